// SPDX-License-Identifier: BSD-2-Clause
//
// From a frame to what it says: Ethernet, VLAN tags (IEEE 802.1Q), IPv4 (RFC 791), IPv6 and
// its extension headers (RFC 8200), TCP, UDP, ICMP; and the packet that an ICMP error quotes.
//
// Headers are read from the front on, and the first thing that is wrong is what is wrong with
// the packet; what was read before it stays known. A header that the frame does not hold, or whose
// lengths cannot be, is wrong where it is met; that the frame is shorter than the IP packet says is
// seen at the end, for it may hold all headers.
#include "tests/packet/reference/reference.h"

#include <string.h>

#define TAGS_MAX 2
#define EXTENSIONS_MAX 6
#define CHAIN_BYTES_MAX 256 // an IPv6 header and its extensions

// What is read: the frame, up to where.
struct reading {
	const uint8_t *bytes;
	size_t end;
	bool is_quote;
};

static bool has(const struct reading *r, size_t at, size_t n)
{
	return at + n <= r->end;
}

bool ref_is_icmp(const struct ref_packet *p)
{
	return p->protocol == (p->family == 4 ? REF_ICMP : REF_ICMPV6);
}

bool ref_is_syn(const struct ref_packet *p)
{
	return p->tcp_flags & REF_SYN && !(p->tcp_flags & (REF_ACK | REF_RST | REF_FIN));
}

bool ref_is_unicast_source(const struct ref_packet *p)
{
	static const struct ref_address unspecified, loopback = {.bytes = {[15] = 1}};
	const uint8_t *a = p->source.bytes;

	// 0/8 this network, 127/8 loopback (RFC 1122, 3.2.1.3), 224/4 multicast, 240/4 reserved and
	// broadcast (RFC 1112, 4).
	if (p->family == 4)
		return a[12] != 0 && a[12] != 127 && a[12] < 224;
	// RFC 4291, 2.5.2, 2.5.3, 2.7.
	return a[0] != 0xff && memcmp(a, &unspecified, 16) != 0 && memcmp(a, &loopback, 16) != 0;
}

// A header is not whole. The first fragment must hold all of them (RFC 7112).
static enum lb_reason cut_short(const struct ref_packet *p, enum lb_reason reason)
{
	return p->fragment == REF_FIRST ? LB_REASON_FRAGMENT_HEADER : reason;
}

// ---- what IP carries ----

static enum lb_reason read_tcp(const struct reading *r, struct ref_packet *p, size_t l4_len)
{
	const uint8_t *tcp = r->bytes + p->payload_at;
	size_t header_len;

	if (!has(r, p->payload_at, 20))
		return cut_short(p, LB_REASON_TRUNCATED);
	p->tcp_flags = tcp[13];
	header_len = (tcp[12] >> 4) * 4u;
	if (header_len < 20)
		return LB_REASON_L4_LENGTH;
	if (header_len > l4_len)
		return cut_short(p, LB_REASON_L4_LENGTH);
	return LB_REASON_NONE;
}

static enum lb_reason read_udp(const struct reading *r, struct ref_packet *p, size_t l4_len)
{
	size_t udp_len;

	if (!has(r, p->payload_at, 8))
		return cut_short(p, LB_REASON_TRUNCATED);
	if (l4_len < 8)
		return cut_short(p, LB_REASON_L4_LENGTH);
	udp_len = ref_get16(r->bytes + p->payload_at + 4);
	// A fragment's length is that of the whole datagram.
	if (udp_len < 8 || (udp_len > l4_len && p->fragment == REF_WHOLE))
		return LB_REASON_L4_LENGTH;
	return LB_REASON_NONE;
}

static enum lb_reason read_icmp(const struct reading *r, struct ref_packet *p, size_t l4_len)
{
	if (!has(r, p->payload_at, 8))
		return cut_short(p, LB_REASON_TRUNCATED);
	p->icmp_type = r->bytes[p->payload_at];
	return l4_len < 8 ? cut_short(p, LB_REASON_L4_LENGTH) : LB_REASON_NONE;
}

// At p->payload_at, of type p->protocol.
static enum lb_reason read_payload(const struct reading *r, struct ref_packet *p)
{
	size_t before = p->payload_at - p->ip_at;
	size_t l4_len = p->ip_len - before;

	// Of what is quoted there may be less than its length says (RFC 792: the header and eight
	// bytes).
	if (before > p->ip_len && !r->is_quote)
		return cut_short(p, LB_REASON_IP_LENGTH);
	if (p->fragment == REF_LATER)
		return LB_REASON_NONE;
	if (ref_is_icmp(p))
		return read_icmp(r, p, l4_len);
	if (p->protocol != REF_TCP && p->protocol != REF_UDP)
		return LB_REASON_NONE;
	if (!has(r, p->payload_at, r->is_quote ? 8 : 4))
		return cut_short(p, LB_REASON_TRUNCATED);
	p->has_ports = true;
	p->source_port = ref_get16(r->bytes + p->payload_at);
	p->destination_port = ref_get16(r->bytes + p->payload_at + 2);
	if (r->is_quote)
		return LB_REASON_NONE;
	return p->protocol == REF_TCP ? read_tcp(r, p, l4_len) : read_udp(r, p, l4_len);
}

// ---- IP ----

static void set_ipv4(struct ref_address *a, const uint8_t *bytes)
{
	memset(a, 0, sizeof(*a));
	a->bytes[10] = a->bytes[11] = 0xff;
	memcpy(a->bytes + 12, bytes, 4);
}

static enum lb_reason read_ipv4(const struct reading *r, struct ref_packet *p)
{
	const uint8_t *ip = r->bytes + p->ip_at;
	uint32_t flags_offset;
	size_t header_len;

	if (!has(r, p->ip_at, 20))
		return LB_REASON_TRUNCATED;
	p->family = 4;
	set_ipv4(&p->source, ip + 12);
	set_ipv4(&p->destination, ip + 16);
	p->ip_len = ref_get16(ip + 2);
	p->protocol = ip[9];
	memcpy(p->fragment_id, ip + 4, 2);
	flags_offset = ref_get16(ip + 6);
	if (flags_offset & 0x1fff)
		p->fragment = REF_LATER;
	else if (flags_offset & 0x2000) // more fragments
		p->fragment = REF_FIRST;

	if (ip[0] >> 4 != 4)
		return LB_REASON_IP_VERSION;
	header_len = (ip[0] & 15) * 4u;
	if (header_len < 20 || (p->ip_len < header_len && !r->is_quote))
		return LB_REASON_IP_LENGTH;
	if (!has(r, p->ip_at, header_len))
		return LB_REASON_TRUNCATED;
	p->is_bare = header_len == 20;
	p->payload_at = p->ip_at + header_len;
	return read_payload(r, p);
}

static bool is_extension(uint8_t protocol)
{
	return protocol == REF_HOP_BY_HOP || protocol == REF_ROUTING || protocol == REF_FRAGMENT ||
	       protocol == REF_DESTINATION;
}

// RFC 8200, 4.5. One that is first and last in one is no fragment (RFC 6946).
static void read_fragment(struct ref_packet *p, const uint8_t *header)
{
	uint32_t offset_more = ref_get16(header + 2);

	memcpy(p->fragment_id, header + 4, 4);
	if (offset_more >> 3 != 0)
		p->fragment = REF_LATER;
	else if (offset_more & 1)
		p->fragment = REF_FIRST;
}

// Leaves p->payload_at behind the extension headers, and in p->protocol what follows.
static enum lb_reason read_extensions(const struct reading *r, struct ref_packet *p)
{
	bool had_fragment = false;

	// What a later fragment carries begins behind its fragment header.
	for (int n = 0; is_extension(p->protocol) && p->fragment != REF_LATER; n++) {
		const uint8_t *header = r->bytes + p->payload_at;
		size_t len;

		if (!has(r, p->payload_at, 8))
			return cut_short(p, LB_REASON_TRUNCATED);
		len = (header[1] + 1) * 8u;
		if (n == EXTENSIONS_MAX)
			return LB_REASON_IP_EXTENSIONS;
		if (p->protocol == REF_HOP_BY_HOP && n > 0) // first or not at all: RFC 8200, 4.1
			return LB_REASON_IP_EXTENSIONS;
		if (p->protocol == REF_ROUTING && header[3] != 0) // segments left: 4.4
			return LB_REASON_IP_EXTENSIONS;
		if (p->protocol == REF_FRAGMENT) {
			if (had_fragment)
				return LB_REASON_IP_EXTENSIONS;
			had_fragment = true;
			read_fragment(p, header);
			len = 8; // its second byte is reserved
		}
		p->protocol = header[0];
		p->payload_at += len;
		if (p->payload_at - p->ip_at > CHAIN_BYTES_MAX)
			return LB_REASON_IP_EXTENSIONS;
	}
	return LB_REASON_NONE;
}

// What stands for an IPv4 address (RFC 4291, 2.5.5.2) is nobody's in an IPv6 packet.
static bool is_mapped(const struct ref_address *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->bytes, prefix, sizeof(prefix)) == 0;
}

static enum lb_reason read_ipv6(const struct reading *r, struct ref_packet *p)
{
	const uint8_t *ip = r->bytes + p->ip_at;
	enum lb_reason wrong;

	if (!has(r, p->ip_at, 40))
		return LB_REASON_TRUNCATED;
	p->family = 6;
	memcpy(p->source.bytes, ip + 8, 16);
	memcpy(p->destination.bytes, ip + 24, 16);
	if (is_mapped(&p->source) || is_mapped(&p->destination)) {
		p->family = 0;
		return LB_REASON_NOT_VIP;
	}
	p->ip_len = 40u + ref_get16(ip + 4);
	p->protocol = ip[6];
	if (ip[0] >> 4 != 6)
		return LB_REASON_IP_VERSION;
	p->is_bare = !is_extension(p->protocol);
	p->payload_at = p->ip_at + 40;
	wrong = read_extensions(r, p);
	return wrong != LB_REASON_NONE ? wrong : read_payload(r, p);
}

static enum lb_reason read_ip(const struct reading *r, int family, struct ref_packet *p)
{
	return family == 4 ? read_ipv4(r, p) : read_ipv6(r, p);
}

// ---- the frame ----

// An error about another packet: unreachable, (packet too big,) time exceeded, parameter problem.
static bool is_icmp_error(const struct ref_packet *p)
{
	uint8_t type = p->icmp_type;

	if (!ref_is_icmp(p) || p->fragment != REF_WHOLE)
		return false;
	return p->family == 4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

// What a sound ICMP error quotes: no more than the error itself has, of its own family.
static void read_quote(struct ref_walk *w)
{
	const struct ref_packet *p = &w->packet;
	const struct reading r = {w->frame.bytes, p->ip_at + p->ip_len, true};

	w->quote = (struct ref_packet){.ip_at = p->payload_at + 8};
	w->quote.wrong = read_ip(&r, p->family, &w->quote);
	w->is_quoting = w->quote.wrong == LB_REASON_NONE && w->quote.has_ports;
}

// Returns LB_REASON_NONE with p->ip_at set, and the family in @ret_family.
static enum lb_reason read_ethernet(const struct reading *r, struct ref_packet *p, int *ret_family)
{
	size_t type_at = 12;

	for (int tags = 0; tags <= TAGS_MAX; tags++, type_at += 4) {
		uint32_t type;

		if (!has(r, type_at, 2))
			return LB_REASON_TRUNCATED;
		type = ref_get16(r->bytes + type_at);
		if (type == 0x8100 || type == 0x88a8)
			continue;
		p->ip_at = type_at + 2;
		*ret_family = type == 0x0800 ? 4 : 6;
		return type == 0x0800 || type == 0x86dd ? LB_REASON_NONE : LB_REASON_NOT_IP;
	}
	return LB_REASON_VLAN;
}

void ref_read(struct ref_walk *w)
{
	const struct reading r = {w->frame.bytes, w->frame.len, false};
	struct ref_packet *p = &w->packet;
	int family;

	*p = (struct ref_packet){.wrong = LB_REASON_NONE};
	w->is_quoting = false;
	p->wrong = read_ethernet(&r, p, &family);
	if (p->wrong != LB_REASON_NONE)
		return;
	p->wrong = read_ip(&r, family, p);
	if (p->wrong == LB_REASON_NONE && p->ip_len > w->frame.len - p->ip_at)
		p->wrong = LB_REASON_IP_LENGTH;
	if (p->wrong == LB_REASON_NONE && is_icmp_error(p))
		read_quote(w);
}
