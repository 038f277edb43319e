// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Passes every packet to the kernel: topology.sh gives it to the end of a veth whose other end's
// XDP sends packets back. veth wakes such an end for them, and no other. It takes packets of many
// pages ("frags"), so it bounds no MTU.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
