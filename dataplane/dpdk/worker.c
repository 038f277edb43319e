// SPDX-License-Identifier: BSD-2-Clause
//
// A worker: run to completion on its lcore, without lock or system call (but for the
// sleep that --idle-sleep asks for). A turn: a burst from each of its receive queues
// through the walk, what came of it into an outbox a port, the outboxes out; then what
// others have put into the rings of its send queues.
#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <string.h>
#include <time.h>

#include "lb_dpdk.h"

#define IDLE_TURNS 64 // without a packet, before it sleeps

static struct lb_worker *row_of(const struct worker *w)
{
	return w->used ? &w->used->file.workers[w->index] : NULL;
}

// ---- out ----

static void count_unsent(const struct worker *w, unsigned int n)
{
	struct lb_worker *row = row_of(w);

	if (n && row)
		row->unsent_pkts += n;
}

static void flush(struct worker *w, unsigned int port)
{
	struct outbox *box = &w->outboxes[port];
	unsigned int n = box->n, sent;

	box->n = 0;
	if (!n)
		return;
	if (w->out[port].ring)
		sent = rte_ring_mp_enqueue_burst(w->out[port].ring, (void **)box->pkts, n, NULL);
	else
		sent = rte_eth_tx_burst(w->all->ports[port].id, w->out[port].queue, box->pkts, n);
	count_unsent(w, n - sent);
	rte_pktmbuf_free_bulk(box->pkts + sent, n - sent);
}

// @n: at most WALK_BURST_MAX.
static void put(struct worker *w, unsigned int port, struct rte_mbuf *const *pkts, unsigned int n)
{
	struct outbox *box = &w->outboxes[port];

	if (box->n + n > WALK_BURST_MAX)
		flush(w, port);
	memcpy(box->pkts + box->n, pkts, n * sizeof(*pkts));
	box->n += n;
}

// The port that interface @ifindex stands for: of several one that it sends from itself. ports_n:
// none.
static unsigned int find_port(const struct worker *w, uint32_t ifindex)
{
	const struct lb_port *rows = w->used->file.ports;
	unsigned int found = w->all->ports_n;

	for (unsigned int i = 0; i < w->all->ports_n; i++) {
		if (*(const volatile __u32 *)&rows[i].ifindex != ifindex)
			continue;
		found = i;
		if (!w->out[i].ring)
			break;
	}
	return found;
}

static void send_all(struct worker *w, struct walk_result *r)
{
	unsigned int port, n;

	for (unsigned int i = 0; i < r->send_n; i += n) {
		for (n = 1; i + n < r->send_n && r->ifindex[i + n] == r->ifindex[i]; n++)
			;
		port = find_port(w, r->ifindex[i]);
		if (port < w->all->ports_n) {
			put(w, port, r->send + i, n);
		} else {
			count_unsent(w, n);
			rte_pktmbuf_free_bulk(r->send + i, n);
		}
	}
}

static void give_to_kernel(struct worker *w, const struct port *p, struct rte_mbuf **pkts,
			   unsigned int n)
{
	struct lb_worker *row = row_of(w);
	unsigned int taken = n;

	if (n)
		taken = rte_ring_mp_enqueue_burst(p->to_kernel, (void **)pkts, n, NULL);
	if (taken < n && row)
		row->unheard_pkts += n - taken;
	rte_pktmbuf_free_bulk(pkts + taken, n - taken);
}

// ---- a turn ----

// The clock of a burst: the kernel's coarse one, which the vDSO reads from memory.
static uint32_t now_s(const struct worker *w)
{
	struct timespec now;

	if (w->all->fixed_now_s)
		return w->all->fixed_now_s;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec;
}

static unsigned int receive(struct worker *w, const struct queue *q)
{
	const struct port *p = &w->all->ports[q->port];
	struct rte_mbuf *pkts[WALK_BURST_MAX];
	struct walk_result result;
	unsigned int n = rte_eth_rx_burst(p->id, q->queue, pkts, WALK_BURST_MAX);
	struct walk_trace *trace;

	if (!n)
		return 0;
	if (!w->used) {
		give_to_kernel(w, p, pkts, n);
		return n;
	}
	w->walk.env.now_s = now_s(w);
	trace = __atomic_load_n(&w->trace, __ATOMIC_SEQ_CST);
	if (unlikely(trace != NULL))
		walk_traced(&w->walk, trace, w->used->file.ports[q->port].ifindex, pkts, n,
			    &result);
	else
		walk_burst(&w->walk, pkts, n, &result);
	send_all(w, &result);
	put(w, q->port, result.back, result.back_n);
	give_to_kernel(w, p, result.kernel, result.kernel_n);
	return n;
}

// What others want sent by a queue of this worker.
static unsigned int send_for_others(struct worker *w, const struct queue *q)
{
	const struct port *p = &w->all->ports[q->port];
	struct rte_mbuf *pkts[WALK_BURST_MAX];
	unsigned int n = rte_ring_sc_dequeue_burst(p->ways[q->queue].ring, (void **)pkts,
						   WALK_BURST_MAX, NULL);
	unsigned int sent;

	if (!n)
		return 0;
	sent = rte_eth_tx_burst(p->id, q->queue, pkts, n);
	count_unsent(w, n - sent);
	rte_pktmbuf_free_bulk(pkts + sent, n - sent);
	return n;
}

static unsigned int turn(struct worker *w)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->rx_n; i++)
		n += receive(w, &w->rx[i]);
	for (unsigned int i = 0; i < w->all->ports_n; i++)
		flush(w, i);
	for (unsigned int i = 0; i < w->tx_n; i++)
		n += send_for_others(w, &w->tx[i]);
	return n;
}

// ---- between turns ----

static void set_state(struct worker *w, enum lb_worker_state state)
{
	struct lb_worker *row = row_of(w);

	__atomic_store_n(&w->is_walking, state == LB_WORKER_RUNNING, __ATOMIC_SEQ_CST);
	if (row)
		__atomic_store_n(&row->state, state, __ATOMIC_SEQ_CST);
}

// Other tables, or none: main waits until it sees `used` change before it unmaps the old ones.
static void use_tables(struct worker *w, struct tables *t)
{
	if (t) {
		lb_env_init(&w->walk.env, &t->rows, w->index);
		w->walk.env.route = routes_lookup;
		w->walk.env.routes = w->all->routes;
	}
	__atomic_store_n(&w->used, t, __ATOMIC_RELEASE);
	set_state(w, LB_WORKER_RUNNING);
}

static void beat(struct worker *w)
{
	struct tables *t = __atomic_load_n(&w->tables, __ATOMIC_ACQUIRE);
	struct lb_worker *row;

	if (t != w->used)
		use_tables(w, t);
	row = row_of(w);
	// What it read in the turn before is done with, and seen to be by whoever sees this. A
	// store that waited while this turn reads would let main take that turn for one that is
	// over.
	__atomic_store_n(&w->turns, w->turns + 1, __ATOMIC_SEQ_CST);
	if (row)
		__atomic_store_n(&row->loops, row->loops + 1, __ATOMIC_RELEASE);
}

static void nap(struct worker *w)
{
	const struct timespec moment = {.tv_sec = w->all->idle_sleep_us / 1000000,
					.tv_nsec = w->all->idle_sleep_us % 1000000 * 1000};

	set_state(w, LB_WORKER_OFFLINE);
	nanosleep(&moment, NULL);
	set_state(w, LB_WORKER_RUNNING);
}

// ---- seen by main ----

void workers_note_turns(const struct lb_dpdk *d, uint64_t ret[])
{
	for (unsigned int i = 0; i < d->workers_n; i++)
		ret[i] = __atomic_load_n(&d->workers[i].turns, __ATOMIC_SEQ_CST);
}

bool workers_have_turned(const struct lb_dpdk *d, const uint64_t turns[])
{
	for (unsigned int i = 0; i < d->workers_n; i++) {
		const struct worker *w = &d->workers[i];

		// One that sleeps reads nothing, and will read the new one.
		if (__atomic_load_n(&w->turns, __ATOMIC_ACQUIRE) == turns[i] &&
		    __atomic_load_n(&w->is_walking, __ATOMIC_SEQ_CST))
			return false;
	}
	return true;
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	unsigned int idle_turns = 0;

	set_state(w, LB_WORKER_RUNNING);
	while (!__atomic_load_n(&w->all->is_stopping, __ATOMIC_RELAXED)) {
		beat(w);
		if (turn(w)) {
			idle_turns = 0;
			continue;
		}
		rte_pause();
		if (w->all->idle_sleep_us && ++idle_turns >= IDLE_TURNS)
			nap(w);
	}
	set_state(w, LB_WORKER_OFFLINE);
	return 0;
}
