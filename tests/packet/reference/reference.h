// SPDX-License-Identifier: BSD-2-Clause
//
// The slow reference: what Sluice does with a packet, written a second time, from the
// documents (docs/packets.md, docs/how-it-works.md, the comments of tables.h and reason.h,
// the RFCs) and not from the core. Only run_reference.c calls it, to compare the dataplanes
// with it. It is to be read, so it is plain: bytes one by one, loops, whole checksums, one
// packet after the other, no thought of speed, of the BPF verifier, or of another CPU.
//
// It shares no code with the dataplanes: of dataplane/ it includes the layout of the tables
// (tables.h, and native.h, where they are) and the list of reasons (reason.h), which are what
// it reads and writes, and nothing else. tools/lint/sources holds it to that.
//
//   read.c    a frame -> what it says            find.c    VIPs, services, backends, routes
//   decide.c  whose it is, what becomes of it    track.c   slots, connections
//   follow.c  fragments, rate limits             hash.c    the flow hash, and the index's
//   write.c   nat, l2, tunnels, ICMP errors      answer.c  what is sent back
//   sum.c     the Internet checksum
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/native/native.h"

#define REF_FRAME_MAX 2048

// Sixteen bytes; of IPv4 ::ffff:a.b.c.d.
struct ref_address {
	uint8_t bytes[16];
};

enum ref_fragment { REF_WHOLE, REF_FIRST, REF_LATER };

// What a packet says of itself, in host order. A packet that an ICMP error quotes is one too.
struct ref_packet {
	size_t ip_at;	      // bytes of the frame before its IP header
	size_t payload_at;    // before what the IP header and its extensions carry
	int family;	      // 4, 6; 0: no IP, or it ends before its addresses
	uint32_t ip_len;      // bytes of all of the IP packet
	uint8_t protocol;     // of what it carries
	bool is_bare;	      // no IPv4 options, no IPv6 extension headers
	enum lb_reason wrong; // LB_REASON_NONE: nothing
	struct ref_address source, destination;
	enum ref_fragment fragment;
	uint8_t fragment_id[4]; // as it is in the header; of IPv4 the first two bytes
	bool has_ports;
	uint16_t source_port, destination_port;
	uint8_t tcp_flags;
	uint8_t icmp_type;
};

struct ref_frame {
	uint8_t bytes[REF_FRAME_MAX];
	size_t len;
};

// What the kernel's routes say of a reply.
struct ref_route {
	enum lb_reason reason; // LB_REASON_REPLY: by `link`
	struct lb_link link;
};

// One packet's way. The first part is given, the rest becomes known on the way.
struct ref_walk {
	struct lb_tables *tables;
	uint32_t cpu;
	uint32_t now_s;
	void (*ask_route)(const void *routes, const struct ref_address *destination, int family,
			  uint32_t ip_len, struct ref_route *ret);
	const void *routes;
	struct ref_frame frame; // as it came

	struct ref_packet packet;
	bool is_quoting;	 // it is an ICMP error about TCP or UDP
	struct ref_packet quote; // that packet, as far as it is quoted
	uint32_t service;	 // row; 0: none
	uint32_t backend;	 // row; 0: none
	bool is_reply;		 // from the backend, not to it
	bool is_untracked;	 // goes to its slot's settled backend without an entry
	uint64_t hash;		 // of its flow, the first
	uint64_t key;		 // of its flow's entry
	struct lb_link link;	 // where it leaves
	enum lb_reason reason;
};

enum ref_protocol {
	REF_HOP_BY_HOP = 0,
	REF_ICMP = 1,
	REF_IPIP = 4,
	REF_TCP = 6,
	REF_UDP = 17,
	REF_IPV6 = 41,
	REF_ROUTING = 43,
	REF_FRAGMENT = 44,
	REF_ESP = 50,
	REF_AH = 51,
	REF_ICMPV6 = 58,
	REF_DESTINATION = 60,
};

enum ref_flag { REF_FIN = 1, REF_SYN = 2, REF_RST = 4, REF_ACK = 16 };

// ---- bytes ----

static inline uint16_t ref_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t ref_get32(const uint8_t *at)
{
	return (uint32_t)ref_get16(at) << 16 | ref_get16(at + 2);
}

static inline void ref_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void ref_put32(uint8_t *at, uint32_t value)
{
	ref_put16(at, value >> 16);
	ref_put16(at + 2, value);
}

// A port of a table's row, which has it in network order.
static inline uint16_t ref_port(__be16 port)
{
	return ref_get16((const uint8_t *)&port);
}

// ---- read.c ----

// Fills in w->packet, and w->quote, from w->frame.
void ref_read(struct ref_walk *w);
bool ref_is_icmp(const struct ref_packet *p);
// Begins a connection: SYN, and not ACK, RST or FIN.
bool ref_is_syn(const struct ref_packet *p);
// Whether the source is one that something can be sent to.
bool ref_is_unicast_source(const struct ref_packet *p);

// ---- hash.c ----

struct ref_hashes {
	uint64_t first; // says the slot, and what varies a tunnel's source
	uint64_t key; // what an entry is found by: the high half of the first, and that of another
};

struct ref_hashes ref_hash_flow(const struct lb_meta *meta, int family,
				const struct ref_address *source,
				const struct ref_address *destination, uint8_t protocol,
				const uint8_t ports[4]);
uint32_t ref_hash_key(const struct ref_address *address, uint8_t protocol, uint16_t port);
uint32_t ref_hash_filter(const struct ref_address *address);

// ---- find.c ----

bool ref_is_same(const struct ref_address *a, const struct ref_address *b);
struct ref_address ref_address(const struct lb_address *address);
// Bits of enum lb_vip; 0: the address is no VIP.
uint32_t ref_find_vip(const struct ref_walk *w, const struct ref_address *address);
// The row of the service of this VIP, of which @vip is known; 0: none.
uint32_t ref_find_service(const struct ref_walk *w, uint32_t vip, const struct ref_address *address,
			  uint8_t protocol, uint16_t port);
// The row of the backend whose packets in nat come from there; 0: none.
uint32_t ref_find_sender(const struct ref_walk *w, const struct ref_address *address,
			 uint8_t protocol, uint16_t port);
// Rows; NULL: not in the table.
const struct lb_service *ref_service(const struct ref_walk *w, uint32_t row);
const struct lb_backend *ref_backend(const struct ref_walk *w, uint32_t row);
const struct lb_hop *ref_hop(const struct ref_walk *w, uint32_t row);
// What the mirrored routes say of w->packet's destination.
enum lb_route_kind ref_find_route(const struct ref_walk *w, uint32_t *ret_hop);

// ---- track.c ----

struct ref_entry {
	uint32_t backend, slot, state, time_s;
};

uint64_t ref_entry_pack(const struct ref_entry *e);
struct ref_entry ref_entry_unpack(uint64_t word);
// Whether an entry has come to its end; @life_s of one that is established.
bool ref_entry_is_expired(const struct ref_entry *e, uint32_t life_s, uint32_t now_s);

// Chooses w->backend for TCP or UDP of w->service, whose flow's hash is w->hash. Returns why.
enum lb_reason ref_track_choose(struct ref_walk *w);
// The same for an ICMP error about such a flow: changes no table.
enum lb_reason ref_track_look(struct ref_walk *w);

// ---- follow.c ----

// Whether one more packet may pass.
bool ref_take(struct ref_walk *w, enum lb_rate rate);
// A first fragment was sent on: keeps what the later ones need.
void ref_follow_remember(struct ref_walk *w);
// A later fragment, from a backend or to one: fills in w->backend, w->is_reply, w->hash. Returns
// whether its first one is known.
bool ref_follow_first(struct ref_walk *w, bool is_reply);

// ---- decide.c ----

enum lb_verdict ref_verdict(enum lb_reason reason);
// From w->frame to w->reason, and all that the tables keep of it.
void ref_decide(struct ref_walk *w);
// Bytes of outer headers in front of the packet.
uint32_t ref_outer_len(const struct ref_walk *w);

// ---- sum.c ----

// Adds the 16-bit words of these bytes to a one's complement sum.
uint32_t ref_sum(uint32_t sum, const uint8_t *bytes, size_t n);
uint32_t ref_sum16(uint32_t sum, uint32_t word);
uint32_t ref_sum_address(uint32_t sum, const struct ref_address *address);
// The checksum to be sent of a sum.
uint32_t ref_check(uint32_t sum);
// The checksum @check after what it covers had sum @before and now has @after.
uint32_t ref_mend(uint32_t check, uint32_t before, uint32_t after);

// ---- write.c, answer.c ----

// The frame that leaves: verdict TRANSMIT, ANSWER.
void ref_write(const struct ref_walk *w, struct ref_frame *ret);
void ref_answer(const struct ref_walk *w, struct ref_frame *ret);
void ref_put_address(uint8_t *at, int family, const struct ref_address *address);
