// SPDX-License-Identifier: BSD-2-Clause
//
// The neighbours that are next hops (RFC 826, RFC 4861). XDP sends past the kernel, so
// nothing else keeps them alive: each is probed once a second, by unicast, and one that
// does not answer at its address, or fails, or is flushed, is asked for anew, by
// broadcast. So a MAC address that changed without a word is found within two seconds,
// where the kernel by itself takes half a minute. The one before stays in use while the
// first answer is awaited (HOLD_MS), so that a flush or a changed MAC moves no connection.
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink_internal.h"

#define HOLD_MS 1000
#define DOUBT_MS 3000 // likewise where it did not answer a probe: it may only be slow
#define RETRY_FAST_MS 250
#define RETRY_SLOW_MS 1000
#define PROBE_TICKS 2	  // of NETLINK_PROBE_MS: from one probe of a neighbour to its next
#define PROBES_MAX 250	  // a tick; of more neighbours than twice that, each is probed less often
#define ANSWER_BYTES 1024 // of one neighbour; more is not looked at
#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

static int compare_neighbours(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(((struct netlink_neighbour *)0)->key));
}

// ---- asking the kernel ----

static struct nlmsghdr *start_message(char *buf, uint16_t type, const struct netlink_neighbour *v,
				      struct ndmsg **ret)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);

	m->nlmsg_type = type;
	*ret = mnl_nlmsg_put_extra_header(m, sizeof(**ret));
	(*ret)->ndm_family = netlink_family(&v->key.address);
	(*ret)->ndm_ifindex = v->key.ifindex;
	netlink_put_address(m, NDA_DST, &v->key.address);
	return m;
}

// Makes the kernel resolve it, as a packet to it would.
static void resolve(struct netlink *n, const struct netlink_neighbour *v)
{
	struct ndmsg *info;
	char buf[256];
	struct nlmsghdr *m = start_message(buf, RTM_NEWNEIGH, v, &info);

	m->nlmsg_flags = NLM_F_CREATE;
	info->ndm_flags = NTF_USE;
	netlink_request(n, m, NULL, NULL);
}

// Makes the kernel ask a known neighbour whether it is still there, by unicast. Whether it did.
static bool probe(struct netlink *n, const struct netlink_neighbour *v)
{
	struct ndmsg *info;
	char buf[256];
	struct nlmsghdr *m = start_message(buf, RTM_NEWNEIGH, v, &info);

	m->nlmsg_flags = NLM_F_REPLACE;
	info->ndm_state = NUD_PROBE;
	return !netlink_is_passing(netlink_request(n, m, NULL, NULL));
}

// Copies the answer: to act on it may take a request, and this one is not done yet.
static int read_answer(const struct nlmsghdr *message, void *arg)
{
	if (message->nlmsg_len <= ANSWER_BYTES)
		memcpy(arg, message, message->nlmsg_len);
	return MNL_CB_OK;
}

// Asks what the kernel has, and takes it over. 0, -ENOENT (nothing), or another negative errno.
static int ask(struct netlink *n, const struct netlink_neighbour *v)
{
	char answer[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO))) = {};
	struct ndmsg *info;
	char buf[256];
	struct nlmsghdr *m = start_message(buf, RTM_GETNEIGH, v, &info);
	int status = netlink_request(n, m, read_answer, answer);

	m = (struct nlmsghdr *)answer;
	if (!status && m->nlmsg_len)
		netlink_read_neighbour(n, m);
	return status;
}

// ---- what is known of one ----

static void tell_users(struct netlink *n, struct netlink_neighbour *v)
{
	struct netlink_watched *w;

	LIST_FOREACH(w, &v->users, of_neighbour)
	netlink_report_watched(n, w);
	if (v->routes_n)
		netlink_publish_routes(n);
}

static void start_retry(struct netlink *n, uint64_t delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	if (!event_pending(n->retry, EV_TIMEOUT, NULL))
		event_add(n->retry, &delay);
}

static void set_valid(struct netlink *n, struct netlink_neighbour *v, const uint8_t mac[6])
{
	bool same = v->has_mac && !memcmp(v->mac, mac, sizeof(v->mac));

	v->has_mac = true;
	v->give_up_ms = 0;
	v->is_probed &= v->state != NUD_REACHABLE;
	memcpy(v->mac, mac, sizeof(v->mac));
	if (!same)
		tell_users(n, v);
}

static void set_invalid(struct netlink *n, struct netlink_neighbour *v)
{
	if (!v->give_up_ms)
		v->give_up_ms = clock_now_ms() + HOLD_MS;
	start_retry(n, RETRY_FAST_MS);
}

// Makes the kernel forget its address and ask all for it: one that is wrong does not answer.
static void ask_all(struct netlink *n, struct netlink_neighbour *v)
{
	struct ndmsg *info;
	char buf[256];
	struct nlmsghdr *m = start_message(buf, RTM_NEWNEIGH, v, &info);

	m->nlmsg_flags = NLM_F_REPLACE;
	info->ndm_state = NUD_FAILED;
	netlink_request(n, m, NULL, NULL);
	resolve(n, v);
	v->state = NUD_INCOMPLETE;
	v->give_up_ms = clock_now_ms() + DOUBT_MS;
	set_invalid(n, v);
}

void netlink_read_neighbour(struct netlink *n, const struct nlmsghdr *message)
{
	const struct ndmsg *info = netlink_read_header(message, sizeof(*info));
	const struct nlattr *a, *mac = NULL;
	struct netlink_neighbour key = {}, **found, *v;

	key.key.ifindex = info->ndm_ifindex;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			key.key.address = netlink_read_address(a);
		else if (mnl_attr_get_type(a) == NDA_LLADDR)
			mac = a;
	}
	found = tfind(&key, &n->neighbour_tree, compare_neighbours);
	if (!found)
		return;
	v = *found;
	v->state = message->nlmsg_type == RTM_DELNEIGH ? NUD_NONE : info->ndm_state;
	if (v->state & NUD_VALID && mac && mnl_attr_get_payload_len(mac) == sizeof(v->mac)) {
		set_valid(n, v, mnl_attr_get_payload(mac));
		return;
	}
	if (!(v->state & NUD_INCOMPLETE) && !v->give_up_ms)
		resolve(n, v);
	set_invalid(n, v);
}

void netlink_retry_neighbours(struct netlink *n)
{
	uint64_t now_ms = clock_now_ms(), delay_ms = 0;
	struct netlink_neighbour *v, *next;

	for (v = TAILQ_FIRST(&n->neighbours); v; v = next) {
		next = TAILQ_NEXT(v, all);
		if (!v->give_up_ms)
			continue;
		if (!(v->state & (NUD_INCOMPLETE | NUD_VALID)))
			resolve(n, v);
		if (n->is_cut_off)
			v->give_up_ms = now_ms + HOLD_MS;
		if (now_ms < v->give_up_ms) {
			delay_ms = RETRY_FAST_MS;
			continue;
		}
		delay_ms = delay_ms ? delay_ms : RETRY_SLOW_MS;
		v->has_mac = false;
		tell_users(n, v);
	}
	if (delay_ms)
		start_retry(n, delay_ms);
}

void netlink_set_cut_off(struct netlink *n, bool is_cut_off)
{
	uint64_t give_up_ms = clock_now_ms() + HOLD_MS;
	struct netlink_neighbour *v;

	if (n->is_cut_off && !is_cut_off) {
		TAILQ_FOREACH (v, &n->neighbours, all) {
			if (v->give_up_ms)
				v->give_up_ms = give_up_ms;
		}
	}
	n->is_cut_off = is_cut_off;
}

void netlink_probe_neighbours(struct netlink *n)
{
	struct netlink_neighbour *v;

	n->probe_tick++;
	TAILQ_FOREACH (v, &n->neighbours, all) {
		if (v->is_probed && v->state & NUD_VALID && !n->is_cut_off)
			ask_all(n, v);
		v->is_probed = false;
	}
	if (n->is_cut_off) // nobody could answer
		return;
	// Those that waited longest are first.
	for (int i = 0; i < PROBES_MAX; i++) {
		v = TAILQ_FIRST(&n->neighbours);
		if (!v || n->probe_tick - v->probed_tick < PROBE_TICKS)
			return;
		TAILQ_REMOVE(&n->neighbours, v, all);
		TAILQ_INSERT_TAIL(&n->neighbours, v, all);
		v->probed_tick = n->probe_tick;
		// What the operator gave (PERMANENT, NOARP) is not doubted.
		v->is_probed = v->state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY) && probe(n, v);
	}
}

int netlink_dump_neighbours(struct netlink *n)
{
	struct netlink_neighbour *v, *next;
	int status;

	// One by one: the kernel's table may hold many more than ours.
	for (v = TAILQ_FIRST(&n->neighbours); v; v = next) {
		next = TAILQ_NEXT(v, all);
		status = ask(n, v);
		if (status == -ENOENT) {
			v->state = NUD_NONE;
			resolve(n, v);
			set_invalid(n, v);
		} else if (status) {
			return status;
		}
	}
	return 0;
}

// ---- which ones are followed ----

struct netlink_neighbour *netlink_get_neighbour(struct netlink *n, uint32_t ifindex,
						const struct lb_address *address)
{
	struct netlink_neighbour *v = calloc(1, sizeof(*v)), **place;

	if (!v)
		return NULL;
	v->key.ifindex = ifindex;
	v->key.address = *address;
	place = (struct netlink_neighbour **)tsearch(v, &n->neighbour_tree, compare_neighbours);
	if (!place || *place != v) {
		free(v);
		return place ? *place : NULL;
	}
	LIST_INIT(&v->users);
	TAILQ_INSERT_TAIL(&n->neighbours, v, all);
	v->probed_tick = n->probe_tick;
	v->give_up_ms = clock_now_ms() + HOLD_MS;
	if (ask(n, v)) // not known to the kernel yet
		resolve(n, v);
	if (v->give_up_ms)
		start_retry(n, RETRY_FAST_MS);
	return v;
}

void netlink_drop_neighbour(struct netlink *n, struct netlink_neighbour *v)
{
	if (!LIST_EMPTY(&v->users) || v->routes_n)
		return;
	tdelete(v, &n->neighbour_tree, compare_neighbours);
	TAILQ_REMOVE(&n->neighbours, v, all);
	free(v);
}
