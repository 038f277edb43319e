// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// What lb-decap and its program agree on: the key of their tables and the one list
// of reasons. Every packet that the program sees is counted under exactly one; the
// list is the program's verdict, the label and the sentence that `lb-decap --status`
// shows. Append only: the counters outlive a program when it is replaced.
#pragma once

#include <linux/types.h>

// Key of a longest-prefix-match table. Addresses have 16 bytes, IPv4 as
// ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so an IPv4 prefix has 96 bits more.
struct decap_key {
	__u32 bits;
	__be32 words[4];
};

#define DECAP_BALANCER_MAX 4096
#define DECAP_LOCAL_MAX 65536

// Both the section and, as libbpf makes it, the map that holds the program's GUE port (a __u16 in
// host order; 0: none).
#define DECAP_GUE_PORT_MAP ".rodata.gue"
#define DECAP_GUE_PORT 6080 // of GUE, by IANA

// X(NAME, XDP action, label, sentence for people)
#define DECAP_REASONS(X)                                                                           \
	X(OTHER, PASS, "other", "no tunnel packet: the kernel's")                                  \
	X(STRANGER, DROP, "stranger", "a tunnel packet for this host that is not from a balancer") \
	X(NOT_OURS, PASS, "not_ours", "a tunnel packet for another host: left to the kernel")      \
	X(OK_4IN4, PASS, "4in4", "IPv4 taken out of IPv4")                                         \
	X(OK_6IN4, PASS, "6in4", "IPv6 taken out of IPv4")                                         \
	X(OK_4IN6, PASS, "4in6", "IPv4 taken out of IPv6")                                         \
	X(OK_6IN6, PASS, "6in6", "IPv6 taken out of IPv6")                                         \
	X(MALFORMED, DROP, "malformed", "from a balancer, but its lengths or versions are wrong")  \
	X(CHECKSUM, DROP, "checksum", "from a balancer, but its outer IPv4 checksum is wrong")     \
	X(OPTIONS, DROP, "options", "from a balancer, but with options in its outer header")       \
	X(FRAGMENT, DROP, "fragment", "a fragment of a tunnel packet: the tunnel's MTU is wrong")  \
	X(INNER_NOT_OURS, DROP, "inner_not_ours", "from a balancer, for a VIP that is not here")   \
	X(CONGESTION, DROP, "congestion",                                                          \
	  "marked congested on the way, for a flow that knows no such marks (RFC 6040)")           \
	X(OK_GUE_4IN4, PASS, "gue_4in4", "IPv4 taken out of GUE in IPv4")                          \
	X(OK_GUE_6IN4, PASS, "gue_6in4", "IPv6 taken out of GUE in IPv4")                          \
	X(OK_GUE_4IN6, PASS, "gue_4in6", "IPv4 taken out of GUE in IPv6")                          \
	X(OK_GUE_6IN6, PASS, "gue_6in6", "IPv6 taken out of GUE in IPv6")                          \
	X(GUE_HEADER, DROP, "gue_header",                                                          \
	  "GUE from a balancer, but with flags, options, a control message or no IP in it")        \
	X(NESTED, DROP, "nested", "from a balancer, but what is inside is a tunnel packet again")

enum decap_reason {
#define DECAP_REASON_ENUM(name, action, label, text) DECAP_##name,
	DECAP_REASONS(DECAP_REASON_ENUM)
#undef DECAP_REASON_ENUM
		DECAP_REASON_N,
};

#define DECAP_REASON_MAX 64
