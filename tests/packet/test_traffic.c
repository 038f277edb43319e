// SPDX-License-Identifier: BSD-2-Clause
//
// lb-pktgen's packets, by BPF_PROG_TEST_RUN of its program with shapes that shape.c made:
// whatever was in the frame before, each packet must have lengths that fit, checksums that
// are right (summed here over the whole packet, RFC 1071), another client for each flow,
// and as many SYNs as were asked for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/lb-pktgen/pktgen.h"
#include "xdp/traffic.skel.h"

#define ETH_LEN 14
#define PKTS 300
#define FLOWS 257 // fewer than packets: flows take turns

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, via[6] = {2, 0, 0, 0, 0, 2};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t sum_bytes(uint32_t sum, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// Checks one packet. Returns its client: the last four bytes of the address, and the port.
static uint64_t check_packet(const struct options *o, const uint8_t *frame, bool *ret_is_syn)
{
	int is_ipv4 = address_is_ipv4(&o->server);
	const uint8_t *ip = frame + ETH_LEN, *l4 = ip + (is_ipv4 ? 20 : 40), *client, *server;
	const uint8_t *source = is_ipv4 ? ip + 12 : ip + 8;
	size_t address_len = is_ipv4 ? 4 : 16, l4_len = o->size - (l4 - frame);
	uint8_t protocol = o->is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	uint32_t sum = protocol + l4_len;

	assert_memory_equal(frame, via, 6);
	assert_memory_equal(frame + 6, mac, 6);
	assert_int_equal(get16(frame + 12), is_ipv4 ? 0x0800 : 0x86dd);
	assert_int_equal(ip[is_ipv4 ? 9 : 6], protocol);
	if (is_ipv4) {
		assert_int_equal(get16(ip + 2), o->size - ETH_LEN);
		assert_int_equal(fold(sum_bytes(0, ip, 20)), 0xffff);
	} else {
		assert_int_equal(get16(ip + 4), l4_len);
	}
	assert_int_equal(fold(sum_bytes(sum_bytes(sum, source, 2 * address_len), l4, l4_len)),
			 0xffff);
	if (!o->is_tcp)
		assert_int_equal(get16(l4 + 4), l4_len);
	client = o->is_reply ? source + address_len : source;
	server = o->is_reply ? source : source + address_len;
	assert_memory_equal(server, o->server.bytes + 16 - address_len, address_len);
	assert_int_equal(get16(l4 + (o->is_reply ? 0 : 2)), o->port);
	*ret_is_syn = o->is_tcp && l4[13] == 0x02;
	if (o->is_tcp && !*ret_is_syn)
		assert_int_equal(l4[13], 0x10);
	client += address_len - 4;
	return (uint64_t)get16(client) << 32 | (uint64_t)get16(client + 2) << 16 |
	       get16(l4 + (o->is_reply ? 2 : 0));
}

static void check_shape(struct options *o)
{
	struct traffic_bpf *program = traffic_bpf__open();
	uint64_t clients[PKTS], syns = 0;
	uint8_t frame[SHAPE_SIZE_MAX];
	struct traffic_shape shape;
	struct err e;

	assert_non_null(program);
	assert_int_equal(shape_build(o, 1, mac, &shape, &e), 0);
	memcpy((void *)&program->rodata->shape, &shape, sizeof(shape));
	assert_int_equal(traffic_bpf__load(program), 0);
	for (int i = 0; i < PKTS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = o->size,
			    .data_out = frame, .data_size_out = sizeof(frame), .repeat = 1);
		bool is_syn;

		// A frame comes back with its headers as its receiver left them.
		memset(frame, i, TRAFFIC_HEADERS4_BYTES - 2);
		memset(frame + TRAFFIC_HEADERS4_BYTES - 2, 0, sizeof(frame) - 54);
		assert_int_equal(
			bpf_prog_test_run_opts(bpf_program__fd(program->progs.traffic_send), &run),
			0);
		assert_int_equal(run.retval, XDP_REDIRECT);
		assert_int_equal(run.data_size_out, o->size);
		clients[i] = check_packet(o, frame, &is_syn);
		syns += is_syn;
		for (int j = i < FLOWS ? 0 : i - FLOWS + 1; j < i; j++)
			assert_true(clients[j] != clients[i]);
		if (i >= FLOWS)
			assert_true(clients[i] == clients[i - FLOWS]);
	}
	assert_int_equal(syns, o->is_tcp ? PKTS * o->syn_percent / 100 : 0);
	traffic_bpf__destroy(program);
}

static void test_packets(void **state)
{
	static const char *const servers[] = {"203.0.113.10:80", "[2001:db8:9::10]:443"};
	static const char *const clients[] = {NULL, "/31", "/28"};

	for (int i = 0; i < 2 * 2 * 2 * 3; i++) {
		struct options o = {.is_tcp = i & 1,
				    .is_reply = i >> 1 & 1,
				    .flows = FLOWS,
				    .syn_percent = 20,
				    .size = i % 5 ? 0 : 333};
		const char *server = servers[i >> 2 & 1], *len = clients[i >> 3];
		char prefix[64];

		memcpy(o.via, via, sizeof(via));
		assert_int_equal(address_parse_port(server, &o.server, &o.port), 0);
		o.has_clients = len != NULL;
		snprintf(prefix, sizeof(prefix), "198.51.100.0%s", len ? len : "");
		if (i >> 2 & 1)
			snprintf(prefix, sizeof(prefix), "2001:db8:7::%s",
				 len && !strcmp(len, "/31") ? "/127" : "/120");
		assert_int_equal(prefix_parse(prefix, &o.clients), 0);
		check_shape(&o);
	}
}

static void test_refused(void **state)
{
	struct options o = {.is_tcp = true, .flows = UINT32_MAX};
	struct traffic_shape shape;
	struct err e;

	address_parse_port("203.0.113.10:80", &o.server, &o.port);
	assert_int_equal(shape_build(&o, 1, mac, &shape, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--flows"));
	o.flows = 1;
	o.size = 59;
	assert_int_equal(shape_build(&o, 1, mac, &shape, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--size: must be 60 to"));
	o.size = 0;
	o.has_clients = true;
	prefix_parse("2001:db8::/64", &o.clients);
	assert_int_equal(shape_build(&o, 1, mac, &shape, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--clients"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_refused),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root (BPF)\n");
		return 77;
	}
	libbpf_set_print(NULL);
	return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
