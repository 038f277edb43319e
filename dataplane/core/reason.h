// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The one list of verdicts and reasons. Every packet that a dataplane sees ends
// with exactly one reason, and is counted under it; so the packets that came in
// equal the sum of this list's counters. The list is at once the return code of
// the core, the label of the metric, and the sentence that `lbctl drops` shows.
//
// A reason's number is its place in the counters' table, which outlives the program that
// wrote it: append only while the layout's version (tables.h) stays.
#pragma once

enum lb_verdict {
	LB_PASS,     // the kernel's: handed on unchanged
	LB_DROP,     // ends here
	LB_TRANSMIT, // rewritten and sent to a backend, or from a backend's side to a client
	LB_ANSWER,   // became its own answer, and goes back where it came from
	LB_VERDICT_N,
};

// X(NAME, verdict, label, sentence for people)
#define LB_REASONS(X)                                                                              \
	X(NONE, DROP, "none", "no decision was reached; this is a defect in Sluice")               \
	/* sent on */                                                                              \
	X(CURRENT, TRANSMIT, "current",                                                            \
	  "sent to the current backend of its slot; nothing looked up, nothing stored")            \
	X(NEW, TRANSMIT, "new", "a new flow: sent to the current backend and tracked")             \
	X(TRACKED, TRANSMIT, "tracked", "sent to the backend that the flow's entry names")         \
	X(SETTLED, TRANSMIT, "settled",                                                            \
	  "older than the slot's last change: sent to the backend where it lives")                 \
	X(CROWDED, TRANSMIT, "crowded",                                                            \
	  "a new flow that found no room for an entry: sent where untracked flows go")             \
	X(REPLY, TRANSMIT, "reply", "a backend's reply, its source rewritten to the VIP")          \
	X(FRAGMENT, TRANSMIT, "fragment", "a fragment that follows the first one of its packet")   \
	X(ICMP_ERROR, TRANSMIT, "icmp_error",                                                      \
	  "an ICMP error about a balanced flow: sent to the flow's backend")                       \
	X(ICMP_REPLY, TRANSMIT, "icmp_reply",                                                      \
	  "an ICMP error from the backends' side about a flow of nat: sent to the client")         \
	/* answered */                                                                             \
	X(ECHO, ANSWER, "echo", "an echo request (ping) to a VIP: answered")                       \
	X(REFUSED_PORT, ANSWER, "refused_port",                                                    \
	  "for a port of a VIP that no service has: answered with RST or port unreachable")        \
	X(REFUSED_BACKEND, ANSWER, "refused_backend",                                              \
	  "the service has no live backend: answered with RST or port unreachable")                \
	X(TOO_BIG, ANSWER, "too_big",                                                              \
	  "does not fit the way on: answered with \"packet too big\" and the MTU that fits")       \
	X(TOO_BIG_NO_DF, ANSWER, "too_big_no_df",                                                  \
	  "as too_big, IPv4 without DF: it might have been cut, Sluice cuts nothing")              \
	X(TTL, ANSWER, "ttl", "its TTL or hop limit ended here: answered with time exceeded")      \
	/* the kernel's */                                                                         \
	X(NOT_IP, PASS, "not_ip", "neither IPv4 nor IPv6 (ARP, LLDP, ...): the kernel's")          \
	X(VLAN, PASS, "vlan", "carries more than two VLAN tags: the kernel's")                     \
	X(NOT_VIP, PASS, "not_vip", "not for a VIP and no backend's reply: the kernel's")          \
	X(VIP_ICMP, PASS, "vip_icmp",                                                              \
	  "ICMP for a VIP that the dataplane has no answer to: the kernel's")                      \
	X(VIP_OF_HOST, PASS, "vip_of_host",                                                        \
	  "for no service of a VIP that is an interface's address: the kernel's")                  \
	X(DIRECT, PASS, "direct",                                                                  \
	  "from a backend to this host or to a `direct` prefix: left alone")                       \
	X(ROUTE_LOCAL, PASS, "route_local",                                                        \
	  "a backend's reply that the kernel's routes do not forward: left to the kernel")         \
	X(ROUTE_NEIGHBOUR, PASS, "route_neighbour",                                                \
	  "a backend's reply whose next hop the kernel must resolve first: left to the kernel")    \
	/* malformed */                                                                            \
	X(TRUNCATED, DROP, "truncated", "ends inside its headers")                                 \
	X(IP_VERSION, DROP, "ip_version", "the IP version is not what the Ethernet type says")     \
	X(IP_LENGTH, DROP, "ip_length", "an IP length that contradicts itself or the frame")       \
	X(IP_EXTENSIONS, DROP, "ip_extensions",                                                    \
	  "IPv6 extension headers that are too many, too long, out of order or route on")          \
	X(L4_LENGTH, DROP, "l4_length", "a TCP, UDP or ICMP header whose length cannot be")        \
	X(FRAGMENT_HEADER, DROP, "fragment_header",                                                \
	  "a first fragment without the whole of its headers")                                     \
	X(FRAGMENT_EARLY, DROP, "fragment_early",                                                  \
	  "a fragment whose first one was not seen in the last 30 s")                              \
	X(SOURCE, DROP, "source", "the source is no unicast address")                              \
	/* refused in silence */                                                                   \
	X(NO_SERVICE, DROP, "no_service",                                                          \
	  "for a port of a VIP that no service has, and not to be answered")                       \
	X(VIP_PROTOCOL, DROP, "vip_protocol", "for a VIP, but neither TCP, UDP nor ICMP")          \
	X(IPSEC, DROP, "ipsec", "AH or ESP for a VIP, which cannot be balanced")                   \
	X(ICMP_STRANGER, DROP, "icmp_stranger",                                                    \
	  "an ICMP error for a VIP about no flow of a service: forged, or late")                   \
	X(NO_BACKEND, DROP, "no_backend", "the service has no live backend")                       \
	X(BACKEND_GONE, DROP, "backend_gone", "its slot names a backend that is no more")          \
	X(TTL_SILENT, DROP, "ttl_silent",                                                          \
	  "its TTL or hop limit ended here, and it must not be answered")                          \
	X(TOO_BIG_SILENT, DROP, "too_big_silent",                                                  \
	  "does not fit the way on, and must not be answered")                                     \
	X(TOO_BIG_MINIMUM, DROP, "too_big_minimum",                                                \
	  "IPv6 of at most 1280 bytes that does not fit: the way on needs a greater MTU")          \
	/* over a rate */                                                                          \
	X(ECHO_RATE, DROP, "echo_rate", "an echo request over `rates: echo`")                      \
	X(ICMP_RATE, DROP, "icmp_rate", "an ICMP error over `rates: icmp`")                        \
	X(REFUSED_RATE, DROP, "refused_rate", "refused, but over `rates: refused`")                \
	X(ANSWER_RATE, DROP, "answer_rate", "too big, or its TTL ended, and over `rates: errors`") \
	/* next hops and routes */                                                                 \
	X(HOP_UNRESOLVED, DROP, "hop_unresolved",                                                  \
	  "the backend's next hop did not answer ARP or neighbour discovery")                      \
	X(ROUTE_NONE, DROP, "route_none", "a backend's reply, but no route leads to the client")   \
	X(ROUTE_REFUSED, DROP, "route_refused",                                                    \
	  "a backend's reply, but the route to the client is blackhole, unreachable or prohibit")  \
	X(FORWARDING_OFF, DROP, "forwarding_off",                                                  \
	  "a backend's reply by a route that the kernel may not use: IP forwarding is off")        \
	X(HEADROOM, DROP, "headroom", "the driver had no room for the outer header")

enum lb_reason {
#define LB_REASON_ENUM(name, verdict, label, text) LB_REASON_##name,
	LB_REASONS(LB_REASON_ENUM)
#undef LB_REASON_ENUM
		LB_REASON_N,
};

// The counters' table has room for this many, so that reasons can be appended.
#define LB_REASON_MAX 128
