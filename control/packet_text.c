// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as one line: first VLAN tags, then the protocol, both ends, and what sets
// this packet apart from others of its flow (TCP's flags, ICMP's type, a fragment's
// number, what is wrong with it).
#include "control/packet_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"
#include "control/reasons.h"
#include "dataplane/core/parse.h"

struct text {
	char *buf; // [PACKET_TEXT_MAX]
	size_t len;
};

// What does not fit is left out (nothing is as long as that).
static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->len, PACKET_TEXT_MAX - t->len, format, args);
	va_end(args);
	if (n > 0)
		t->len += (size_t)n;
	if (t->len >= PACKET_TEXT_MAX)
		t->len = PACKET_TEXT_MAX - 1;
}

// ---- what is no IP ----

static void add_tags(struct text *t, const uint8_t *start, uint32_t tags_n)
{
	for (uint32_t i = 0; i < tags_n; i++) {
		const uint8_t *tag = start + LB_ETH_LEN + 4 * i;

		add(t, "%s%u", i ? "." : "vlan ", (tag[0] & 0xfu) << 8 | tag[1]);
	}
	if (tags_n)
		add(t, " ");
}

static void add_stranger(struct text *t, const uint8_t *start, uint32_t captured_len)
{
	uint32_t at = 12;
	uint16_t type;

	for (;; at += 4) {
		if (at + 2 > captured_len) {
			add(t, "ends inside its Ethernet header");
			return;
		}
		type = (uint16_t)(start[at] << 8 | start[at + 1]);
		if (type != 0x8100 && type != 0x88a8)
			break;
	}
	add_tags(t, start, (at - 12) / 4);
	if (type == 0x0806)
		add(t, "arp");
	else if (type < 0x0600)
		add(t, "802.3"); // a length, not a type
	else
		add(t, "ethertype 0x%04x", type);
}

// ---- ICMP ----

struct icmp_name {
	uint8_t type;
	int16_t code; // -1: any
	const char *name;
};

static const struct icmp_name icmp4_names[] = {
	{0, -1, "echo reply"},
	{3, 0, "network unreachable"},
	{3, 1, "host unreachable"},
	{3, 3, "port unreachable"},
	{3, 4, "fragmentation needed"},
	{3, -1, "destination unreachable"},
	{5, -1, "redirect"},
	{8, -1, "echo request"},
	{9, -1, "router advertisement"},
	{10, -1, "router solicitation"},
	{11, 0, "time exceeded"},
	{11, 1, "reassembly time exceeded"},
	{12, -1, "parameter problem"},
	{13, -1, "timestamp request"},
	{14, -1, "timestamp reply"},
	{0, 0, NULL},
};
static const struct icmp_name icmp6_names[] = {
	{1, 0, "no route"},
	{1, 1, "administratively prohibited"},
	{1, 3, "address unreachable"},
	{1, 4, "port unreachable"},
	{1, -1, "destination unreachable"},
	{2, -1, "packet too big"},
	{3, 0, "time exceeded"},
	{3, 1, "reassembly time exceeded"},
	{4, -1, "parameter problem"},
	{128, -1, "echo request"},
	{129, -1, "echo reply"},
	{130, -1, "multicast listener query"},
	{131, -1, "multicast listener report"},
	{133, -1, "router solicitation"},
	{134, -1, "router advertisement"},
	{135, -1, "neighbour solicitation"},
	{136, -1, "neighbour advertisement"},
	{137, -1, "redirect"},
	{143, -1, "multicast listener report"},
	{0, 0, NULL},
};

static void add_flow(struct text *t, const char *protocol, const struct lb_address *source,
		     uint16_t source_port, const struct lb_address *destination,
		     uint16_t destination_port)
{
	char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

	add(t, "%s %s > %s", protocol, address_render_port(source, source_port, from),
	    address_render_port(destination, destination_port, to));
}

static void add_icmp(struct text *t, const struct lb_packet *p, const uint8_t *icmp)
{
	const struct icmp_name *n = p->family == 4 ? icmp4_names : icmp6_names;
	const struct lb_quote *q = &p->quote;

	while (n->name && (n->type != icmp[0] || (n->code >= 0 && n->code != icmp[1])))
		n++;
	if (n->name)
		add(t, " %s", n->name);
	else
		add(t, " type %u code %u", icmp[0], icmp[1]);
	if (p->family == 4 && icmp[0] == 3 && icmp[1] == 4)
		add(t, ", MTU %u", icmp[6] << 8 | icmp[7]);
	if (p->family == 6 && icmp[0] == 2)
		add(t, ", MTU %u", ntohl(lb_get32(icmp + 4)));
	if (!q->at)
		return;
	add(t, ", about ");
	add_flow(t, q->protocol == IPPROTO_TCP ? "tcp" : "udp", &q->source, ntohs(q->source_port),
		 &q->destination, ntohs(q->destination_port));
}

// ---- IP ----

static const char *protocol_name(const struct lb_packet *p, char *buf, size_t buf_len)
{
	switch (p->protocol) {
	case LB_IP_TCP:
		return "tcp";
	case LB_IP_UDP:
		return "udp";
	case LB_IP_ICMP:
		return "icmp";
	case LB_IP_ICMPV6:
		return "icmp6";
	case LB_IP_IPIP:
		return "ipip";
	case LB_IP_IPV6:
		return "ip6ip";
	case LB_IP_ESP:
		return "esp";
	case LB_IP_AH:
		return "ah";
	case IPPROTO_GRE:
		return "gre";
	default:
		snprintf(buf, buf_len, "protocol %u", p->protocol);
		return buf;
	}
}

static void add_tcp_flags(struct text *t, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} names[] = {
		{LB_TCP_SYN, "SYN"}, {LB_TCP_FIN, "FIN"}, {LB_TCP_RST, "RST"}, {LB_TCP_ACK, "ACK"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (flags & names[i].flag)
			add(t, " %s", names[i].name);
	}
}

static void add_ip(struct text *t, const uint8_t *start, const struct lb_packet *p)
{
	const bool is_icmp = p->protocol == (p->family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6);
	char number[16];

	add_flow(t, protocol_name(p, number, sizeof(number)), &p->source,
		 ntohs(lb_packet_source_port(p)), &p->destination,
		 ntohs(lb_packet_destination_port(p)));
	add_tcp_flags(t, p->tcp_flags);
	if (is_icmp && p->defect == LB_REASON_NONE && p->fragment != LB_FRAGMENT_LATER)
		add_icmp(t, p, start + p->l4_at);
	if (p->fragment != LB_FRAGMENT_NONE)
		add(t, ", %s fragment %u", p->fragment == LB_FRAGMENT_FIRST ? "first" : "later",
		    p->family == 4 ? ntohs((uint16_t)p->fragment_id) : ntohl(p->fragment_id));
}

const char *packet_text_render(const uint8_t *start, uint32_t captured_len, uint32_t frame_len,
			       char *buf)
{
	struct text t = {.buf = buf};
	struct lb_packet p;

	*buf = '\0';
	lb_parse(start, start + captured_len, frame_len, &p);
	if (!p.family) {
		add_stranger(&t, start, captured_len);
		return buf;
	}
	add_tags(&t, start, (p.l3_at - LB_ETH_LEN) / 4u);
	add_ip(&t, start, &p);
	if (p.defect != LB_REASON_NONE)
		add(&t, ", %s", reason_label(p.defect));
	return buf;
}
