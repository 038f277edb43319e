// SPDX-License-Identifier: BSD-2-Clause
//
// control/explain.c: what is said of a packet, where it goes, and of what is sent instead
// of it; and that asking changes nothing. (That a private walk decides as a real one does,
// the packet cases show.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/explain.h"
#include "publish_bed.h"

static struct explain_query tcp(const char *source, const char *destination, uint16_t port)
{
	return (struct explain_query){.protocol = IPPROTO_TCP,
				      .source = bed_address(source),
				      .destination = bed_address(destination),
				      .source_port = 40000,
				      .destination_port = port};
}

// Asks, and sees that no byte of the tables has changed.
static struct explanation ask(struct bed *b, const struct explain_query *q)
{
	const struct explain_world world = {.tables = &b->t->rows, .now_s = b->now_s};
	uint8_t *before = bed_snapshot(b->t, NULL);
	struct explanation x;

	explain_run_query(&world, q, &x);
	assert_true(bed_is_same(b->t, before));
	free(before);
	assert_false(x.is_cut);
	return x;
}

static void assert_address(const struct lb_address *a, const char *text)
{
	char buf[ADDRESS_TEXT_MAX];

	assert_string_equal(address_render(a, buf), text);
}

static void nat_leaves_for_the_backend_a_hop_older(void **state)
{
	struct bed *b = *state;
	struct explain_query q = tcp("198.51.100.7", "192.0.2.1", 80);
	struct explanation x = ask(b, &q);
	const struct lb_backend *row = &b->t->rows.backends[x.backend];

	assert_int_equal(x.verdict, LB_TRANSMIT);
	assert_int_equal(x.reason, LB_REASON_CURRENT);
	assert_int_equal(x.service, bed_row(b, "web", 4));
	assert_true(x.has_slot && x.slot < 31 && x.current == x.backend);
	assert_memory_equal(&x.out.destination, &row->address, 16);
	assert_int_equal(x.out.destination_port, 8080);
	assert_address(&x.out.source, "198.51.100.7");
	assert_int_equal(x.out.ttl, 63);
	assert_int_equal(x.out.len, 40);
	assert_int_equal(x.link.mtu, 1500);
	assert_int_equal(x.tunnel, 0);
	assert_int_equal(x.answer, EXPLAIN_NO_ANSWER);
}

static void tunnels_are_told_with_both_headers(void **state)
{
	struct bed *b = *state;
	struct model_service far = bed_service("far", "192.0.2.8", 8080, LB_MODE_GUE, 11);
	struct explain_query q = tcp("198.51.100.7", "192.0.2.8", 8080);
	struct explanation x;

	b->t->rows.meta->gue_port = htons(6080);
	b->t->rows.meta->source4 =
		(struct lb_tunnel_source){.address = bed_address("192.0.2.250"), .is_set = 1};
	bed_add_backend(&far, "10.0.0.8", 8080);
	bed_add_service(b, far);
	bed_apply(b);
	bed_resolve_hops(b->p, b->m, b->now_s);
	x = ask(b, &q);
	assert_int_equal(x.tunnel, LB_MODE_GUE);
	assert_address(&x.outer.source, "192.0.2.250");
	assert_address(&x.outer.destination, "10.0.0.8");
	assert_int_equal(x.outer.destination_port, 6080);
	assert_int_equal(x.outer.len, 40 + 28);
	assert_address(&x.out.destination, "192.0.2.8");
	assert_int_equal(x.out.ttl, 64);
	assert_int_equal(x.out.len, 40);
	// One byte more than fits beside the outer header.
	q.ip_len = 1472;
	assert_int_equal(ask(b, &q).verdict, LB_TRANSMIT);
	q.ip_len++;
	x = ask(b, &q);
	assert_int_equal(x.reason, LB_REASON_TOO_BIG);
	assert_int_equal(x.answer, EXPLAIN_TOO_BIG);
	assert_int_equal(x.answer_mtu, 1472);
	assert_int_equal(x.link.mtu, 1500);
	assert_address(&x.out.source, "192.0.2.8");
	assert_address(&x.out.destination, "198.51.100.7");
	assert_int_equal(x.out.len, 576); // with what it quotes
	assert_non_null(strstr(x.out_text, "fragmentation needed, MTU 1472, about tcp "));
}

static void refusals_go_back_from_the_vip(void **state)
{
	struct bed *b = *state;
	struct explain_query q = tcp("198.51.100.7", "192.0.2.1", 81);
	struct explanation x = ask(b, &q);

	assert_int_equal(x.verdict, LB_ANSWER);
	assert_int_equal(x.reason, LB_REASON_REFUSED_PORT);
	assert_int_equal(x.answer, EXPLAIN_RST);
	assert_string_equal(x.out_text, "tcp 192.0.2.1:81 > 198.51.100.7:40000 RST");
	assert_int_equal(x.out.ttl, 64);
	assert_false(x.has_slot);
	q.is_syn = true;
	assert_string_equal(ask(b, &q).out_text, "tcp 192.0.2.1:81 > 198.51.100.7:40000 RST ACK");
	q.is_syn = false;
	q.protocol = IPPROTO_UDP;
	x = ask(b, &q);
	assert_int_equal(x.answer, EXPLAIN_PORT_UNREACHABLE);
	assert_string_equal(x.out_text, "icmp 192.0.2.1 > 198.51.100.7 port unreachable, about udp "
					"198.51.100.7:40000 > 192.0.2.1:81");
	q.protocol = IPPROTO_ICMP;
	q.source_port = q.destination_port = 0;
	x = ask(b, &q);
	assert_int_equal(x.reason, LB_REASON_ECHO);
	assert_int_equal(x.answer, EXPLAIN_ECHO_REPLY);
	assert_string_equal(x.out_text, "icmp 192.0.2.1 > 198.51.100.7 echo reply");
}

static void used_up_rates_do_not_hide_the_answer(void **state)
{
	struct bed *b = *state;
	struct explain_query q = tcp("198.51.100.7", "192.0.2.1", 81);
	struct lb_tables *t = &b->t->rows;
	struct lb_limit *limit = &t->limits[1].limits[LB_RATE_REFUSED];

	t->meta->rates[LB_RATE_REFUSED] = 5;
	*limit = (struct lb_limit){.second = b->now_s, .pkts = 5};
	t->limits[0].limits[LB_RATE_REFUSED] = *limit;
	assert_int_equal(ask(b, &q).reason, LB_REASON_REFUSED_PORT);
	assert_int_equal(explain_rate_of(LB_REASON_REFUSED_PORT), LB_RATE_REFUSED);
	assert_int_equal(explain_count_full(t, LB_RATE_REFUSED, b->now_s), 2);
	limit->pkts = 4;
	assert_int_equal(explain_count_full(t, LB_RATE_REFUSED, b->now_s), 1);
	assert_int_equal(explain_count_full(t, LB_RATE_REFUSED, b->now_s + 1), 0);
	t->meta->rates[LB_RATE_REFUSED] = 0; // any number
	assert_int_equal(explain_count_full(t, LB_RATE_REFUSED, b->now_s), 0);
	assert_int_equal(explain_rate_of(LB_REASON_CURRENT), LB_RATE_N);
}

// ---- frames of captures (scapy's) ----

static const char *const first_fragment =
	"0200000000020200000000010800450000341267200040065c21c6336407c00002019c400050"
	"0000000000000000501020009d760000787878787878787878787878";
static const char *const later_fragment =
	"0200000000020200000000010800450000301267000440067c21c6336407c000020178787878"
	"787878787878787878787878787878787878787878787878";

// Walks the first @captured_n bytes (0: all) of the frame @hex.
static struct explanation ask_frame(struct bed *b, const char *hex, uint32_t captured_n,
				    struct explain_fragments *fragments)
{
	const uint32_t len = (uint32_t)strlen(hex) / 2;
	const struct explain_world world = {.tables = &b->t->rows, .now_s = b->now_s};
	uint8_t bytes[128];
	const struct explain_frame frame = {bytes, captured_n ? captured_n : len, len};
	struct explanation x;

	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", bytes + i), 1);
	explain_run_frame(&world, &frame, fragments, &x);
	return x;
}

static void fragments_follow_the_first_one_of_their_capture(void **state)
{
	struct bed *b = *state;
	struct explain_fragments *fragments = calloc(1, sizeof(*fragments));
	uint8_t *before = bed_snapshot(b->t, NULL);
	struct explanation first, later;

	assert_int_equal(ask_frame(b, later_fragment, 0, fragments).reason,
			 LB_REASON_FRAGMENT_EARLY);
	first = ask_frame(b, first_fragment, 0, fragments);
	assert_int_equal(first.reason, LB_REASON_CURRENT);
	later = ask_frame(b, later_fragment, 0, fragments);
	assert_int_equal(later.reason, LB_REASON_FRAGMENT);
	assert_int_equal(later.backend, first.backend);
	assert_int_equal(later.service, first.service);
	assert_false(later.has_slot);
	assert_int_equal(ask_frame(b, later_fragment, 0, NULL).reason, LB_REASON_FRAGMENT_EARLY);
	assert_true(bed_is_same(b->t, before));
	free(before);
	free(fragments);
}

static void of_a_packet_that_was_cut_in_its_headers_nothing_is_claimed(void **state)
{
	struct bed *b = *state;
	const uint32_t headers_len = 14 + 20 + 20;
	struct explanation x;

	for (uint32_t n = 1; n < headers_len; n++)
		assert_true(ask_frame(b, first_fragment, n, NULL).is_cut);
	x = ask_frame(b, first_fragment, headers_len, NULL);
	assert_false(x.is_cut);
	assert_int_equal(x.reason, LB_REASON_CURRENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_BED(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
		WITH_BED(nat_leaves_for_the_backend_a_hop_older),
		WITH_BED(tunnels_are_told_with_both_headers),
		WITH_BED(refusals_go_back_from_the_vip),
		WITH_BED(used_up_rates_do_not_hide_the_answer),
		WITH_BED(fragments_follow_the_first_one_of_their_capture),
		WITH_BED(of_a_packet_that_was_cut_in_its_headers_nothing_is_claimed),
#undef WITH_BED
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
