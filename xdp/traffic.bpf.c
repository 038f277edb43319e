// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// lb-pktgen's two programs. `traffic_send` is run by BPF_PROG_TEST_RUN with live frames:
// each run makes one packet (traffic_write.h) and redirects it out of the interface.
// `traffic_sink` counts and drops what carries TCP, UDP or a tunnel, and leaves the rest
// (ARP, ...) to the kernel.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "traffic_write.h"

const volatile struct traffic_shape shape;

struct traffic_turn turn;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct traffic_counters);
} received SEC(".maps");

SEC("xdp")
int traffic_send(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct traffic_flow flow;

	if (data + TRAFFIC_HEADERS4_BYTES > end)
		return XDP_ABORTED;
	traffic_pick(&shape, &turn, &flow);
	if (shape.family == 4)
		traffic_write4(&shape, data, &flow);
	else if (data + TRAFFIC_HEADERS_BYTES <= end)
		traffic_write6(&shape, data, &flow);
	else
		return XDP_ABORTED;
	return bpf_redirect(shape.ifindex, 0);
}

SEC("xdp")
int traffic_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct traffic_counters *counters;
	__u32 zero = 0;

	if (data + TRAFFIC_KIND_BYTES > end || !traffic_is_ours(data))
		return XDP_PASS;
	counters = bpf_map_lookup_elem(&received, &zero);
	if (counters) {
		counters->pkts++;
		counters->bytes += end - data;
	}
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
