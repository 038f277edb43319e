// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The empty program that tools/bench compares with: it sends every packet back where it
// came from and looks at none. What it costs is what any program costs at this place,
// the kernel's own measuring included.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
