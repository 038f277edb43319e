// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Every table that a dataplane reads or writes. Each is a flat array of 64-byte
// lines: under XDP a pinned BPF_MAP_TYPE_ARRAY with BPF_F_MMAPABLE, under DPDK a
// part of one shared file. lbd maps them and writes with plain stores; the comment
// on each struct says who writes it and who reads it.
//
// The rules that let packets read while lbd writes:
//  - what spans more than one machine word is immutable while a packet can reach
//    it: a new row is written aside, then one word is switched (release store).
//    Words that may change in place are marked "live word".
//  - an index is used again only when nothing names it any more and a grace period
//    has passed. Such a row says `retired` in itself.
//  - all times are CLOCK_MONOTONIC in seconds, and compared so that they may wrap.
//  - addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
// Ports and addresses are in network order (_be), all else in host order.
#pragma once

#include <linux/types.h>

#include "reason.h"

// What <linux/types.h> leaves of it is a plain `inline`; a packet's walk is one function.
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline, unused))

#define LB_MAGIC 0x31656369756c53ull // "Sluice1", little endian
#define LB_LAYOUT_VERSION 7
#define LB_LINE_BYTES 64

// An address in the one form of keys: two words compare faster than sixteen bytes.
struct lb_address {
	union {
		__u8 bytes[16];
		__be32 words[4];
		__u64 halves[2];
	};
};

// ---- meta: one row. Written by lbd, read by every packet. ----

enum lb_meta_state {
	LB_META_EMPTY,	 // being made
	LB_META_LIVE,	 // packets may use the tables
	LB_META_RETIRED, // lbd made new ones: map again (DPDK)
};

// Where outer headers of tunnels come from: address | (hash & host_bits).
struct lb_tunnel_source {
	struct lb_address address;
	struct lb_address
		host_bits; // ones where the flow's hash may fill in; all zero: one address
	__u32 is_set;	   // 0: no source of this family; its backends are refused by lbd
	__u32 pad[7];
};

// Replies come from few addresses and go to very many: what decides that a destination is no VIP
// must stay in the cache. 4 KiB tell it for nearly all; the index, which is far bigger, is read for
// the rest (measured: without it a reply to one of a million clients costs thrice that to a single
// one). A byte an address, for what packets read in one load is no bit.
#define LB_VIP_FILTER_BYTES 4096

// What a dataplane sends or lets through at a limited rate, so that no flood makes it a source of
// floods. Per CPU (worker) and second.
enum lb_rate {
	LB_RATE_ECHO,	 // echo requests answered
	LB_RATE_ICMP,	 // ICMP errors handed on
	LB_RATE_REFUSED, // RST and port unreachable
	LB_RATE_ERROR,	 // packet too big, time exceeded
	LB_RATE_N,
};
#define LB_RATE_MAX 8 // room for more of them

// Of the flow hash: for each half of it, up to three pairs of words and a constant (hash.h).
#define LB_FLOW_KEYS 16

struct lb_meta {
	__u64 magic;
	__u32 layout_version;
	__u32 state; // enum lb_meta_state
	// Sizes, fixed when the tables are made.
	__u32 service_n;       // rows in `services`
	__u32 backend_n;       // rows in `backends`; row 0 is "none"
	__u32 slot_n;	       // slots; `slots` and `slot_times` have slot_n / 16 lines
	__u32 hop_n;	       // rows in `hops`; row 0 is "unresolved"
	__u32 cpu_n;	       // rows per counter: possible CPUs, or workers
	__u32 service_shift;   // `service_index` has 2^(32 - this) lines
	__u32 reverse_shift;   // `reverse_index` likewise
	__u32 connection_mask; // lines in `connections` - 1
	__u64 hash_key[2];     // the secret key, fixed when the tables are made
	// The first line is full here.
	__u64 flow_keys[LB_FLOW_KEYS]; // expanded from hash_key
	__u64 generation;	       // live word: the model's generation that the tables show
	__u32 route_set;	       // live word: which of routes.sets is in use
	__u32 fragment_mask;	       // lines in `fragments` - 1
	__u32 rates[LB_RATE_MAX]; // live words, by enum lb_rate: packets a CPU and second; 0: any
				  // number
	__be16 gue_port;	  // live word: UDP destination of gue
	__u16 pad16;
	__u32 pad[3];
	struct lb_tunnel_source source4; // outer IPv4
	struct lb_tunnel_source source6; // outer IPv6
	// Live bytes: not 0 for each address that was a VIP since the tables were made (index.h).
	__u8 vip_filter[LB_VIP_FILTER_BYTES];
};

// ---- routes: one row. Written by lbd, read by the replies of nat. ----
//
// A mirror of the kernel's routes, longest prefix first; the first match holds.
// No match: LB_ROUTE_LOOKUP. lbd writes the set after the one that meta.route_set
// names, then switches; a set that packets may still be reading is not written.

#define LB_ROUTE_MAX 32
#define LB_ROUTE_SETS 16 // a power of two; five changes a second come round after the grace period

enum lb_route_kind {
	LB_ROUTE_LOOKUP, // ask the driver (bpf_fib_lookup, rte_fib)
	LB_ROUTE_HOP,	 // send to this hop
	LB_ROUTE_DIRECT, // this host, or a `direct` prefix: the kernel's, unchanged
};

struct lb_route4 {
	__be32 prefix;
	__be32 mask;
	__u32 kind; // enum lb_route_kind
	__u32 hop;
};

struct lb_route6 {
	struct lb_address prefix;
	struct lb_address mask;
	__u32 kind;
	__u32 hop;
	__u32 pad[6];
};

struct lb_route_set {
	__u32 route4_n; // at most LB_ROUTE_MAX
	__u32 route6_n;
	__u32 pad[14];
	struct lb_route4 route4[LB_ROUTE_MAX];
	struct lb_route6 route6[LB_ROUTE_MAX];
};

struct lb_routes {
	struct lb_route_set sets[LB_ROUTE_SETS];
};

// ---- the two indexes: hash tables of lines, two entries a line ----
//
// service_index: (VIP, protocol, port) -> service. Port 0 is every port; protocol 0
//   with port 0 is the VIP itself, and says that it is known, and how.
// reverse_index: (backend address, protocol, port) -> backend, for replies in nat.
// Written by lbd, read by packets. An entry's line is the one that lb_index_hash() of its
// key says, or one of the LB_INDEX_PROBE - 1 lines behind it. An entry with value 0 is free. A
// look-up ends at a match, or at a line whose first entry has `more` clear: nothing
// that hashes to this line or an earlier one was pushed past it.
// Adding: write the key while value is 0, then store value (release). Deleting:
// value 0; the entry is not used again before the grace period.

#define LB_INDEX_ENTRIES 2
#define LB_INDEX_PROBE 8
#define LB_INDEX_LINES(shift) (1ull << (32 - (shift)))

struct lb_index_entry {
	struct lb_address address;
	__be16 port;
	__u8 protocol;
	__u8 more; // live word, in the first entry of a line only: look in the next line too
	__u32 pad;
	__u64 value; // live word: LB_SERVICE_WORD(), enum lb_vip, or backend row; 0: free
};

struct lb_index_line {
	struct lb_index_entry entries[LB_INDEX_ENTRIES];
};

// What `value` says in the entry of a VIP itself (protocol 0, port 0): bits.
enum lb_vip {
	LB_VIP_KNOWN = 1,
	LB_VIP_OF_HOST = 2,  // an address of an interface: other ports are the host's own
	LB_VIP_ANY_PORT = 4, // a service with port 0 exists: look for it
};

// What the index says of a service is all that a packet in the steady state asks of it, so that it
// need not wait for the service's row: the row, how it tracks, where its ring is in `slots` (it
// begins a line), and its length.
#define LB_SERVICE_ROW_BITS 18
#define LB_SERVICE_MAX ((1u << LB_SERVICE_ROW_BITS) - 1)
#define LB_SERVICE_WORD(row, tracking, ring_offset, ring_len)                                      \
	((__u64)(row) | (__u64)((tracking) % LB_TRACK_NONE) << LB_SERVICE_ROW_BITS |               \
	 (__u64)((ring_offset) / LB_SLOTS_PER_LINE) << 20 | (__u64)(ring_len) << 40)
#define LB_SERVICE_ROW(word) ((__u32)(word)&LB_SERVICE_MAX)
#define LB_SERVICE_TRACKING(word) ((__u32)((word) >> LB_SERVICE_ROW_BITS) & 3) // NONE: 0
#define LB_SERVICE_RING_OFFSET(word) ((__u32)((word) >> 16) & (LB_SLOT_MAX - LB_SLOTS_PER_LINE))
#define LB_SERVICE_RING_LEN(word) ((__u32)((word) >> 40))

// ---- services. Written by lbd, read by packets. Row 0 is not used. ----

enum lb_mode { LB_MODE_NAT = 1, LB_MODE_L2, LB_MODE_IPIP, LB_MODE_GUE };
enum lb_tracking { LB_TRACK_ADAPTIVE = 1, LB_TRACK_ALWAYS, LB_TRACK_NONE };
enum lb_row_state { LB_ROW_FREE, LB_ROW_LIVE, LB_ROW_RETIRED };

enum lb_service_flag {
	LB_SERVICE_REJECT = 1, // without a live backend it refuses, and does not drop
};

struct lb_service {
	__u32 ring_offset; // its first slot in `slots`; packets read it in LB_SERVICE_WORD()
	__u32 ring_len;	   // slots; a prime; read there, too
	__u32 idle_s;	   // live word: an entry's life
	__u8 tracking;	   // enum lb_tracking; read there, too
	__u8 mode;	   // enum lb_mode, for people; packets read the backend's
	__u8 protocol;	   // IPPROTO_TCP, IPPROTO_UDP
	__u8 family;	   // 4 or 6, of its VIPs
	__u32 state;	   // live word: enum lb_row_state; lbd's own
	__u32 retired_s;   // when it was retired; lbd's own
	__u64 name_hash;   // by which a restarted lbd knows it (FNV-1a of the name)
	__be16 port;	   // 0: any
	__u16 pad16;
	__u32 flags; // live word: bits of enum lb_service_flag
	__u32 pad[6];
};

// ---- slots: one word each. Written by lbd, read by packets. ----
//
// current (bits 0-14), settled (bits 15-29), lookup (bit 30). See design: tracking
// on demand. A packet reads one slot, once.

#define LB_SLOT_BACKEND_BITS 15
#define LB_BACKEND_MAX ((1u << LB_SLOT_BACKEND_BITS) - 1)
#define LB_SLOT_CURRENT(word) ((word)&LB_BACKEND_MAX)
#define LB_SLOT_SETTLED(word) (((word) >> LB_SLOT_BACKEND_BITS) & LB_BACKEND_MAX)
#define LB_SLOT_LOOKUP (1u << 30)
#define LB_SLOT_WORD(current, settled, lookup)                                                     \
	((__u32)(current) | (__u32)(settled) << LB_SLOT_BACKEND_BITS |                             \
	 ((lookup) ? LB_SLOT_LOOKUP : 0))
#define LB_SLOTS_PER_LINE 16
#define LB_SLOT_MAX (1u << 24) // an entry names its slot in 24 bits

struct lb_slot_line {
	__u32 words[LB_SLOTS_PER_LINE];
};

// ---- slot times: when a packet without an entry last went to `settled`. ----
// Written by packets, and by lbd before the store that makes a slot's current and
// settled differ; read by lbd.
struct lb_slot_time_line {
	__u32 times_s[LB_SLOTS_PER_LINE];
};

// ---- backends: one row per service row, address and port. Row 0 is "none". ----
// Written by lbd, read by packets.

enum lb_backend_flag {
	LB_BACKEND_DOWN =
		1, // health or the operator says down: its entries are decided anew by a SYN
	LB_BACKEND_RESET = 2, // down under `on_down: reset`: its entries read as misses
};

// Where a packet leaves.
struct lb_link {
	__u32 ifindex;
	__u32 mtu;     // bytes of an IP packet
	__u8 macs[12]; // destination, source
	__u32 pad;     // so that what copies 16 bytes of macs reads nothing else
};

struct lb_backend {
	struct lb_address address;
	// That of hop `link_hop`. It is written while that has not been `hop` for the grace period.
	struct lb_link link;
	__u32 hop;	// live word: row in `hops`; 0: unresolved
	__u32 link_hop; // lbd's own
	__u32 state;	// live word: enum lb_row_state; a packet drops on a retired row
	__u8 flags;	// live word: bits of enum lb_backend_flag
	__u8 grow;	// bytes of outer header: lb_mode_grow() of `mode` and `family`
	__u8 way;	// live word: lb_backend_way()
	__u8 pad8;
	// nat: what checksums change by when the VIP and its port become the backend's
	// (checksum.h).
	__u16 header_sum; // of an IPv4 header: addresses, and a TTL one less
	__u16 flow_sum;	  // of TCP or UDP: addresses and ports
	__be16 port;	  // nat: what the destination's port becomes
	__u8 mode;	  // enum lb_mode
	__u8 family;	  // 4 or 6, of `address`: a tunnel's outer family
	// The first line, which is all that a packet to it reads, is full here.
	struct lb_address vip; // nat: what a reply's source becomes
	__be16 vip_port;       // nat: what a reply's source port becomes
	__u8 protocol;
	__u8 vip_pad;
	__u32 service;	 // row
	__u32 retired_s; // lbd's own
	// nat: the same of a reply, which changes the other way round.
	__u16 reply_header_sum;
	__u16 reply_flow_sum;
	__u32 pad[8];
};

// ---- hops: immutable once named. Row 0 is "unresolved". Written by lbd. ----

struct lb_hop {
	struct lb_link link;
	__u32 state;	 // enum lb_row_state; lbd's own
	__u32 retired_s; // lbd's own
	__u32 pad[8];
};

// ---- connections: a line is a bucket of four. ----
// Written by packets (compare-and-swap); lbd reads, and clears what has expired.
//
// word: backend (bits 0-14), slot (15-38), state (39-40), time in seconds (41-63).
// word 0 is free. A busy entry (its fingerprint is being written) names backend 0,
// reads as a miss, and expires as an embryonic one does.

enum lb_entry_state { LB_ENTRY_BUSY, LB_ENTRY_EMBRYONIC, LB_ENTRY_ESTABLISHED, LB_ENTRY_CLOSING };

#define LB_ENTRY_TIME_BITS 23
#define LB_ENTRY_TIME_MASK ((1u << LB_ENTRY_TIME_BITS) - 1)
#define LB_ENTRY_WORD(backend, slot, state, now_s)                                                 \
	((__u64)(backend) | (__u64)(slot) << 15 | (__u64)(state) << 39 |                           \
	 (__u64)((now_s)&LB_ENTRY_TIME_MASK) << 41)
#define LB_ENTRY_BACKEND(word) ((__u32)(word)&LB_BACKEND_MAX)
#define LB_ENTRY_SLOT(word) ((__u32)((word) >> 15) & (LB_SLOT_MAX - 1))
#define LB_ENTRY_STATE(word) ((__u32)((word) >> 39) & 3)
#define LB_ENTRY_TIME(word) ((__u32)((word) >> 41))

#define LB_EMBRYONIC_S 10
#define LB_CLOSING_S 10			       // after this a closing entry's place may be taken
#define LB_IDLE_MAX_S (LB_ENTRY_TIME_MASK / 2) // times wrap: older than this is not told from newer

#define LB_ENTRIES_PER_LINE 4

struct lb_entry {
	__u64 fingerprint; // the flow's hash, all 64 bits
	__u64 word;	   // live word
};

struct lb_entry_line {
	struct lb_entry entries[LB_ENTRIES_PER_LINE];
};

// ---- fragments: first fragments of the last seconds, so that the others follow. ----
// A line is a bucket of four struct lb_entry, as in `connections`. Written and read by packets
// alone. fingerprint: the hash of source, destination, identification and, of IPv4, protocol. word:
// as a connection's, ESTABLISHED (BUSY while it is written); in the place of the slot it has bit 0:
// a backend's reply; bits 1 to 23: the low ones of the flow's hash. What finds its line full takes
// another's place: memory is bounded, and a flood of first fragments costs others' fragments at
// most.

#define LB_FRAGMENT_S 30 // RFC 8200, 4.5: at most 60 s; what IPv4 hosts do too (Linux: 30)
#define LB_FRAGMENT_LINES (1u << 16)
#define LB_FRAGMENT_REPLY 1u
#define LB_FRAGMENT_HASH_MASK ((1u << 23) - 1)

// ---- limits: a line a CPU, an entry a rate (enum lb_rate). Written by packets. ----
// A window of a second, by the clock's whole seconds: simple, and at most two rates' worth pass in
// any one second.
struct lb_limit {
	__u32 second;
	__u32 pkts; // that passed in it
};

struct lb_limit_line {
	struct lb_limit limits[LB_RATE_MAX];
};

// ---- counters: rows per CPU, row cpu * n + i. Written by packets, without ----
// atomics: a CPU writes its own rows only. lbd sums, and never writes a word that a
// packet can reach.

// What was sent is counted at the backend alone, for each counter costs every packet; a service has
// sent what its backends got, and what lbd adds here when the row of one is freed.
struct lb_service_counters {
	__u64 pkts; // of freed backends, as below: written by lbd, in the first CPU's row
	__u64 bytes;
	__u64 syns;
	__u64 drops; // for this service, and not sent on (dropped, answered): written by packets
	__u64 pad[4];
};

struct lb_backend_counters {
	__u64 pkts;	 // sent to it
	__u64 bytes;	 // of these, Ethernet frames as they came in
	__u64 syns;	 // of these, SYNs: new connections
	__u64 untracked; // went here as `settled`, without an entry
	__u64 reply_pkts;
	__u64 reply_bytes;
	__u64 reply_rsts; // replies with RST
	__u64 pad;
};

// Reasons: LB_REASON_MAX words a CPU, in lines of eight.
#define LB_REASONS_PER_LINE 8
#define LB_REASON_LINES (LB_REASON_MAX / LB_REASONS_PER_LINE)
struct lb_reason_line {
	__u64 pkts[LB_REASONS_PER_LINE];
};

// ---- the list: X(name, type of a row, how many rows) ----
// The number is an expression over `m`, a struct lb_meta whose sizes are set. One
// list makes the BPF maps, the file of the DPDK dataplane, and what lbd maps.
#define LB_TABLES(X)                                                                               \
	X(meta, struct lb_meta, 1)                                                                 \
	X(routes, struct lb_routes, 1)                                                             \
	X(service_index, struct lb_index_line, LB_INDEX_LINES(m->service_shift))                   \
	X(services, struct lb_service, m->service_n)                                               \
	X(slots, struct lb_slot_line, m->slot_n / LB_SLOTS_PER_LINE)                               \
	X(slot_times, struct lb_slot_time_line, m->slot_n / LB_SLOTS_PER_LINE)                     \
	X(backends, struct lb_backend, m->backend_n)                                               \
	X(hops, struct lb_hop, m->hop_n)                                                           \
	X(reverse_index, struct lb_index_line, LB_INDEX_LINES(m->reverse_shift))                   \
	X(connections, struct lb_entry_line, (__u64)m->connection_mask + 1)                        \
	X(fragments, struct lb_entry_line, (__u64)m->fragment_mask + 1)                            \
	X(limits, struct lb_limit_line, m->cpu_n)                                                  \
	X(service_counters, struct lb_service_counters, (__u64)m->cpu_n * m->service_n)            \
	X(backend_counters, struct lb_backend_counters, (__u64)m->cpu_n * m->backend_n)            \
	X(reason_counters, struct lb_reason_line, (__u64)m->cpu_n *LB_REASON_LINES)

// ---- workers, ports: of the DPDK dataplane, whose tables are one file. ----
// One row a worker, a line of its own; the last one is the main lcore's, which reads no table but
// carries what is the kernel's. Written by the worker (but pid and ports: by lb-dpdk before
// it starts); read by lbd, which learns from it who stalls, and which rows nobody reads any more.

enum lb_worker_state {
	LB_WORKER_NONE,	   // no such worker
	LB_WORKER_RUNNING, // reads tables; whoever reads none any more begins another loop
	LB_WORKER_OFFLINE, // sleeps, or has ended: reads none before it says running
};

struct lb_worker {
	__u64 loops; // live word: bursts asked for since it started
	__u32 state; // live word: enum lb_worker_state
	__u32 pid;
	__u64 ports; // a bit per row of `ports` whose packets it takes
	// Dropped after their walk: a port's queue, or the way to the kernel, had no room.
	__u64 unsent_pkts;
	__u64 unheard_pkts;
	__u32 cpu;
	__u32 pad[5];
};

// One row a port that DPDK has. Written by lb-dpdk, but for ifindex: by lbd.
enum lb_port_state { LB_PORT_NONE, LB_PORT_PROBED };

#define LB_PORT_MAX 32
#define LB_PORT_NAME_MAX 39

struct lb_port {
	char name[LB_PORT_NAME_MAX + 1]; // as DPDK calls it: "0000:03:00.0", "net_af_xdp0"
	__u8 mac[6];
	__u8 is_up; // live: the link
	__u8 pad8;
	__u32 state;   // live word: enum lb_port_state; the rest holds while it is PROBED
	__u32 mtu;     // bytes of an IP packet that the port takes
	__u32 ifindex; // live word: the interface that stands for it in the kernel; 0: none yet
	__u32 pad;
};

// What the file has behind LB_TABLES, in the same form. The file: one table after another, each at
// a multiple of LB_FILE_ALIGN bytes. Its first bytes are the row of meta, from which all else
// follows.
#define LB_FILE_TABLES(X)                                                                          \
	X(workers, struct lb_worker, m->cpu_n + 1)                                                 \
	X(ports, struct lb_port, LB_PORT_MAX)
#define LB_FILE_ALIGN 4096

#define LB_TABLE_IS_LINES(name, type, rows)                                                        \
	_Static_assert(sizeof(type) % LB_LINE_BYTES == 0, #name ": rows are whole lines");
LB_TABLES(LB_TABLE_IS_LINES)
LB_FILE_TABLES(LB_TABLE_IS_LINES)
#undef LB_TABLE_IS_LINES
