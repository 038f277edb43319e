// SPDX-License-Identifier: BSD-2-Clause
//
// Puts the table `inet sluice` into the kernel, by libnftables, and sees to it that it
// stays there. Called by follow_network.c when services or backends changed, from the
// loop; guard_render.c says what is in it.
//
// Sets are changed by their elements, and hooks stay as they are: to unregister one waits
// for all packets. A transaction is whole or nothing, so there is no moment without. Many
// changed elements go in some of them, one a turn of the loop: thousands would hold it up.
#include "control/guard.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

#include "control/guard_render.h"

#define REMOVE "add table " GUARD_TABLE "\ndelete table " GUARD_TABLE "\n"
#define EVENTS_MAX 64	// read in a turn of the loop
#define CHANGES_MAX 256 // likewise made: a few milliseconds

struct guard {
	const struct settings *settings;
	struct nft_ctx *nft; // NULL: this kernel has no nfnetlink
	struct mnl_socket *events;
	struct event *readable;
	void (*lost)(void *arg);
	void *arg;
	bool is_put; // the table holds `put`
	struct guard_wanted put, wanted;
	struct event *more; // pending while `put` is not yet `wanted`
};

// ---- nftables ----

// libnftables ends the process where it finds no nfnetlink: that is found out before it is asked.
static struct nft_ctx *open_nft(void)
{
	struct mnl_socket *probe = mnl_socket_open(NETLINK_NETFILTER);
	struct nft_ctx *nft;

	if (!probe)
		return NULL;
	mnl_socket_close(probe);
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft) {
		nft_ctx_buffer_output(nft);
		nft_ctx_buffer_error(nft);
	}
	return nft;
}

static int run(struct nft_ctx *nft, const char *text, struct err *e)
{
	const char *said = NULL, *cause;

	if (nft && !nft_run_cmd_from_buffer(nft, text))
		return 0;
	if (nft)
		said = nft_ctx_get_error_buffer(nft);
	cause = said ? strstr(said, "Error: ") : NULL;
	cause = cause ? cause + strlen("Error: ") : "no answer";
	if (!nft)
		cause = "this kernel has no nf_tables";
	return err_set(e, -EOPNOTSUPP,
		       "nftables refused the table " GUARD_TABLE
		       " (%.*s): while an interface is without "
		       "its program, the kernel breaks connections; `modprobe nf_tables`, or a "
		       "kernel with CONFIG_NF_TABLES_INET, mends that",
		       (int)strcspn(cause, "\n"), cause);
}

static int read_table(const struct nlmsghdr *message, void *arg)
{
	return MNL_CB_OK;
}

// True where it is not known.
static bool has_table(void)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *family;
	ssize_t len = -1;
	int status;

	if (!s)
		return true;
	m->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	family = mnl_nlmsg_put_extra_header(m, sizeof(*family));
	family->nfgen_family = NFPROTO_INET;
	mnl_attr_put_strz(m, NFTA_TABLE_NAME, "sluice");
	if (mnl_socket_sendto(s, m, m->nlmsg_len) >= 0)
		len = mnl_socket_recvfrom(s, buf, sizeof(buf));
	status = len > 0 ? mnl_cb_run(buf, len, 0, 0, read_table, NULL) : 0;
	mnl_socket_close(s);
	return status >= 0 || errno != ENOENT;
}

// Something changed in nftables, perhaps by ourselves, and events may have been lost: only whether
// the table is still there counts.
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct guard *g = arg;

	for (int i = 0; i < EVENTS_MAX; i++)
		if (mnl_socket_recvfrom(g->events, buf, sizeof(buf)) < 0 && errno == EAGAIN)
			break;
	if (!g->is_put || has_table())
		return;
	g->is_put = false;
	g->lost(g->arg);
}

// Without events a table that is taken away is not missed: as well as can be.
static void open_events(struct guard *g, struct event_base *base)
{
	g->events = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!g->events ||
	    mnl_socket_bind(g->events, 1 << (NFNLGRP_NFTABLES - 1), MNL_SOCKET_AUTOPID))
		return;
	g->readable =
		event_new(base, mnl_socket_get_fd(g->events), EV_READ | EV_PERSIST, on_readable, g);
	if (g->readable)
		event_add(g->readable, NULL);
}

// ---- public ----

static void on_more(evutil_socket_t fd, short what, void *arg);

int guard_open(struct event_base *base, const struct settings *s, void (*lost)(void *arg),
	       void *arg, struct guard **ret, struct err *e)
{
	struct guard *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, -ENOMEM, "guard: out of memory");
	g->settings = s;
	g->lost = lost;
	g->arg = arg;
	g->more = evtimer_new(base, on_more, g);
	if (!g->more) {
		free(g);
		return err_set(e, -ENOMEM, "guard: out of memory");
	}
	g->nft = open_nft();
	if (g->nft)
		open_events(g, base);
	*ret = g;
	return 0;
}

static int put(struct guard *g, const char *before, const struct guard_wanted *wanted,
	       struct err *e)
{
	char *text = guard_render(g->settings, g->is_put ? &g->put : NULL, wanted), *whole = text;
	int status;

	if (text && before[0] && asprintf(&whole, "%s%s", before, text) < 0)
		whole = NULL;
	if (!whole)
		status = err_set(e, -ENOMEM, "guard: out of memory");
	else
		status = whole[0] ? run(g->nft, whole, e) : 0;
	if (whole != text)
		free(whole);
	free(text);
	return status;
}

static void free_wanted(struct guard_wanted *w)
{
	free(w->services.keys);
	free(w->backends.keys);
	*w = (struct guard_wanted){};
}

static int put_some(struct guard *g, struct err *e)
{
	static const struct timeval soon = {0};
	struct guard_wanted next;
	size_t left = CHANGES_MAX;
	int status = guard_approach(&g->put, &g->wanted, &left, &next);

	if (status)
		return err_set(e, status, "guard: out of memory");
	status = put(g, "", &next, e);
	if (status) {
		free_wanted(&next);
		return status;
	}
	free_wanted(&g->put);
	g->put = next;
	if (!left)
		event_add(g->more, &soon);
	return 0;
}

static int put_all(struct guard *g, struct err *e)
{
	int status;

	g->is_put = false;
	status = put(g, "", &g->wanted, e);
	if (status) // another version's sets
		status = put(g, REMOVE, &g->wanted, e);
	if (status)
		return status;
	free_wanted(&g->put);
	g->put = g->wanted;
	g->wanted = (struct guard_wanted){};
	g->is_put = true;
	return 0;
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	struct guard *g = arg;
	struct err e;

	if (!g->is_put || !put_some(g, &e))
		return;
	g->is_put = false; // somebody else changed it
	g->lost(g->arg);
}

int guard_put(struct guard *g, struct guard_wanted *wanted, struct err *e)
{
	event_del(g->more);
	guard_sort(&wanted->services);
	guard_sort(&wanted->backends);
	free_wanted(&g->wanted);
	g->wanted = *wanted;
	*wanted = (struct guard_wanted){};
	if (g->is_put && !put_some(g, e))
		return 0;
	return put_all(g, e); // for the first time, or somebody else changed it
}

void guard_close(struct guard *g)
{
	if (!g)
		return;
	if (g->readable)
		event_free(g->readable);
	event_free(g->more);
	if (g->events)
		mnl_socket_close(g->events);
	if (g->nft)
		nft_ctx_free(g->nft);
	free_wanted(&g->put);
	free_wanted(&g->wanted);
	free(g);
}

int guard_remove(struct err *e)
{
	struct nft_ctx *nft = has_table() ? open_nft() : NULL;
	int status = 0;

	if (nft && nft_run_cmd_from_buffer(nft, REMOVE))
		status = err_set(e, -EIO,
				 "nftables cannot take the table " GUARD_TABLE
				 " away; `nft delete table " GUARD_TABLE "` says why");
	if (nft)
		nft_ctx_free(nft);
	return status;
}
