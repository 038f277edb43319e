// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The one list of verdicts and reasons. Every packet that a dataplane sees ends
// with exactly one reason, and is counted under it; so the packets that came in
// equal the sum of this list's counters. The list is at once the return code of
// the core, the label of the metric, and the sentence that `lbctl drops` shows.
//
// Append only: a reason's number is its place in the counters' table, which
// outlives the program that wrote it.
#pragma once

enum lb_verdict {
	LB_PASS,     // the kernel's: handed on unchanged
	LB_DROP,     // ends here
	LB_TRANSMIT, // rewritten and sent to a backend, or a backend's reply to its client
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
	/* the kernel's */                                                                         \
	X(NOT_IP, PASS, "not_ip", "neither IPv4 nor IPv6 (ARP, LLDP, ...): the kernel's")          \
	X(VLAN, PASS, "vlan", "carries a VLAN tag, which is not balanced yet: the kernel's")       \
	X(NOT_VIP, PASS, "not_vip", "not for a VIP and no backend's reply: the kernel's")          \
	X(VIP_ICMP, PASS, "vip_icmp", "ICMP for a VIP: the kernel answers it")                     \
	X(VIP_OF_HOST, PASS, "vip_of_host",                                                        \
	  "for a port without service of a VIP that is an interface's address: the kernel's")      \
	X(DIRECT, PASS, "direct",                                                                  \
	  "from a backend to this host or to a `direct` prefix: left alone")                       \
	X(ROUTE_LOCAL, PASS, "route_local",                                                        \
	  "a backend's reply that the kernel's routes do not forward: left to the kernel")         \
	/* malformed */                                                                            \
	X(TRUNCATED, DROP, "truncated", "ends inside its headers")                                 \
	X(IP_VERSION, DROP, "ip_version", "the IP version is not what the Ethernet type says")     \
	X(IP_LENGTH, DROP, "ip_length", "an IP length that contradicts itself or the frame")       \
	X(L4_LENGTH, DROP, "l4_length", "a TCP or UDP header whose length cannot be")              \
	/* not handled by the dataplane yet */                                                     \
	X(IP_OPTIONS, DROP, "ip_options", "IPv4 options, which are not balanced yet")              \
	X(IP_EXTENSIONS, DROP, "ip_extensions",                                                    \
	  "IPv6 extension headers, which are not balanced yet")                                    \
	X(FRAGMENT, DROP, "fragment", "a fragment, which is not balanced yet")                     \
	/* refused */                                                                              \
	X(NO_SERVICE, DROP, "no_service", "for a VIP, but no service has this protocol and port")  \
	X(VIP_PROTOCOL, DROP, "vip_protocol", "for a VIP, but neither TCP, UDP nor ICMP")          \
	X(NO_BACKEND, DROP, "no_backend", "the service has no live backend")                       \
	X(BACKEND_GONE, DROP, "backend_gone", "its slot names a backend that is no more")          \
	X(TTL, DROP, "ttl", "its TTL or hop limit ended here")                                     \
	X(TOO_BIG, DROP, "too_big", "does not fit the next hop's MTU")                             \
	X(SOURCE, DROP, "source", "the source is no unicast address")                              \
	/* next hops and routes */                                                                 \
	X(HOP_UNRESOLVED, DROP, "hop_unresolved",                                                  \
	  "the backend's next hop did not answer ARP or neighbour discovery")                      \
	X(ROUTE_NONE, DROP, "route_none", "a backend's reply, but no route leads to the client")   \
	X(ROUTE_REFUSED, DROP, "route_refused",                                                    \
	  "a backend's reply, but the route to the client is blackhole, unreachable or prohibit")  \
	X(ROUTE_NEIGHBOUR, PASS, "route_neighbour",                                                \
	  "a backend's reply whose next hop the kernel must resolve first: left to the kernel")    \
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
