// SPDX-License-Identifier: BSD-2-Clause
//
// Which interface stands for which port, and who of lb-dpdk is alive. A timer looks
// ten times a second at a few words of the tables:
//  - lb-dpdk runs while its lock on the file is held, whatever its rows say;
//  - a worker moves while its count of loops does; one that does not for STALL_MS is
//    reported. While one stalls, or none runs, nobody can answer a check or an ARP
//    request through it, so nobody is judged by that;
//  - a row that went is not used again before every worker has begun another loop.
#include "control/dpdk.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/tap.h"

#define WATCH_MS 100
#define STALL_MS 1000

struct interface {
	int tap_fd; // -1: there is none
	uint32_t ifindex;
	struct dpdk_interface_view view;
};

// What was seen of a worker.
struct seen {
	uint64_t loops;
	uint64_t moved_ms;
	uint32_t quiet_s; // what it read before this is done with
};

struct dpdk {
	struct lbd *d;
	struct event *timer;
	struct interface *interfaces; // [settings->interfaces_n]
	struct seen *seen;	      // [meta.cpu_n + 1], as the rows of workers
	uint32_t looked_s;	      // when it last looked
	bool is_running;
	bool is_cut_off;
};

// ---- TAPs ----

static int make_tap(struct dpdk *p, size_t i, struct err *e)
{
	struct interface *at = &p->interfaces[i];
	int status;

	if (at->tap_fd >= 0)
		close(at->tap_fd);
	at->tap_fd = -1;
	status = tap_make(at->view.name, &at->tap_fd, e);
	if (status) {
		snprintf(e->field, sizeof(e->field), "interfaces[%zu].name", i);
		return status;
	}
	at->ifindex = if_nametoindex(at->view.name);
	return 0;
}

void dpdk_refresh(struct dpdk *p)
{
	for (size_t i = 0; i < p->d->settings->interfaces_n; i++) {
		struct interface *at = &p->interfaces[i];
		struct err e = {};

		at->view.warning[0] = '\0';
		if (at->ifindex && at->ifindex == if_nametoindex(at->view.name))
			continue;
		at->ifindex = 0;
		if (make_tap(p, i, &e))
			snprintf(at->view.warning, sizeof(at->view.warning), "%.*s",
				 (int)sizeof(at->view.warning) - 1, e.text);
	}
}

// ---- ports ----

static bool has_port(const struct dpdk *p, size_t i, const struct lb_port *row)
{
	return !strcmp(p->d->settings->interfaces[i].port, row->name);
}

static bool is_probed(const struct lb_port *row)
{
	return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == LB_PORT_PROBED;
}

// The interface that names the port of @row, or of one with its MAC address (several queues of one
// kernel interface, each a port of its own to DPDK); -1: none.
static int find_named(const struct dpdk *p, const struct lb_port *row)
{
	const struct lb_port *rows = p->d->tables->file.ports;

	for (size_t i = 0; i < p->d->settings->interfaces_n; i++)
		for (size_t j = 0; j < LB_PORT_MAX; j++)
			if (is_probed(&rows[j]) && has_port(p, i, &rows[j]) &&
			    !memcmp(rows[j].mac, row->mac, sizeof(row->mac)))
				return (int)i;
	return -1;
}

// Fills for each row the place of its interface; -1: none.
static void match_ports(const struct dpdk *p, int ret[LB_PORT_MAX])
{
	const struct lb_port *rows = p->d->tables->file.ports;
	const struct settings *s = p->d->settings;
	size_t next = 0;

	for (size_t i = 0; i < LB_PORT_MAX; i++) {
		ret[i] = is_probed(&rows[i]) ? find_named(p, &rows[i]) : -1;
		if (ret[i] >= 0 || !is_probed(&rows[i]))
			continue;
		for (size_t j = 0; j < i && ret[i] < 0; j++)
			if (is_probed(&rows[j]) &&
			    !memcmp(rows[j].mac, rows[i].mac, sizeof(rows[i].mac)))
				ret[i] = ret[j];
		while (ret[i] < 0 && next < s->interfaces_n && s->interfaces[next].port[0])
			next++;
		if (ret[i] < 0 && next < s->interfaces_n)
			ret[i] = (int)next++;
	}
}

static void follow_ports(struct dpdk *p)
{
	struct lb_port *rows = p->d->tables->file.ports;
	const char *lost = NULL;
	int at[LB_PORT_MAX];

	match_ports(p, at);
	for (size_t i = 0; i < p->d->settings->interfaces_n; i++) {
		p->interfaces[i].view.attached = false;
		p->interfaces[i].view.port[0] = '\0';
	}
	for (size_t i = 0; i < LB_PORT_MAX; i++) {
		struct interface *own = at[i] < 0 ? NULL : &p->interfaces[at[i]];
		uint32_t ifindex = own ? own->ifindex : 0;

		// It keeps its interface: lb-dpdk may start again while lbd does not run.
		if (!is_probed(&rows[i]))
			continue;
		if (own) {
			memcpy(own->view.port, rows[i].name, sizeof(own->view.port));
			own->view.attached = p->is_running;
			tap_set_mac(own->view.name, rows[i].mac);
			tap_limit_mtu(own->view.name, rows[i].mtu);
		} else {
			lost = rows[i].name;
		}
		if (rows[i].ifindex != ifindex)
			__atomic_store_n(&rows[i].ifindex, ifindex, __ATOMIC_RELEASE);
	}
	if (lost && p->is_running)
		events_set_warning(p->d->events, "dpdk-port",
				   "port %s of lb-dpdk has no interface in lbd.yaml: its packets "
				   "are dropped; add a line below `interfaces`",
				   lost);
	else
		events_clear_warning(p->d->events, "dpdk-port");
}

// ---- workers ----

static bool is_worker(const struct lb_worker *row)
{
	return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) != LB_WORKER_NONE;
}

// Looks at one; returns for how long it has not moved.
static uint64_t look_at(struct dpdk *p, uint32_t i, uint64_t at_ms)
{
	const struct lb_worker *row = &p->d->tables->file.workers[i];
	uint64_t loops = __atomic_load_n(&row->loops, __ATOMIC_ACQUIRE);
	struct seen *seen = &p->seen[i];

	// It has begun another loop since the look before this one: when in between is not known.
	if (loops != seen->loops || row->state != LB_WORKER_RUNNING)
		seen->quiet_s = p->looked_s;
	if (loops != seen->loops)
		seen->moved_ms = at_ms;
	seen->loops = loops;
	return at_ms - seen->moved_ms;
}

static void warn_of(struct dpdk *p, const struct lb_worker *stalled)
{
	const struct lb_worker *main_row =
		&p->d->tables->file.workers[p->d->tables->rows.meta->cpu_n];
	struct events *v = p->d->events;

	if (!p->is_running)
		events_set_warning(v, "dpdk",
				   "lb-dpdk does not run, or has no worker: no packet is balanced, "
				   "and nobody is judged by checks; start it (`systemctl start "
				   "lb-dpdk`)");
	else if (stalled == main_row)
		events_set_warning(
			v, "dpdk",
			"the main lcore of lb-dpdk on CPU %u (process %u) has stood still "
			"for more than a second: what is the kernel's waits, and nobody is "
			"judged by checks",
			stalled->cpu, stalled->pid);
	else if (stalled)
		events_set_warning(v, "dpdk",
				   "the worker of lb-dpdk on CPU %u (process %u) has stood still "
				   "for more than a second: its packets wait, and nobody is judged "
				   "by checks",
				   stalled->cpu, stalled->pid);
	else
		events_clear_warning(v, "dpdk");
}

static void look(struct dpdk *p)
{
	const struct lb_worker *rows = p->d->tables->file.workers, *stalled = NULL;
	bool is_locked = tables_is_file_locked(p->d->tables), was_running = p->is_running;
	uint32_t now_s = clock_now_s(), quiet_s = now_s;
	uint32_t cpu_n = p->d->tables->rows.meta->cpu_n;
	uint64_t at_ms = clock_now_ms();
	size_t workers_n = 0;

	for (uint32_t i = 0; i <= cpu_n; i++) {
		uint64_t still_ms = look_at(p, i, at_ms);

		if (!is_locked || !is_worker(&rows[i]))
			continue;
		if (still_ms > STALL_MS && !stalled)
			stalled = &rows[i];
		if (i == cpu_n)
			continue;
		workers_n++;
		if ((int32_t)(p->seen[i].quiet_s - quiet_s) < 0)
			quiet_s = p->seen[i].quiet_s;
	}
	p->is_running = workers_n > 0;
	p->is_cut_off = !p->is_running || stalled;
	p->looked_s = now_s;
	if (p->is_running && !was_running)
		events_add(p->d->events, "start", NULL, NULL, "lb-dpdk runs: %zu worker%s",
			   workers_n, workers_n == 1 ? "" : "s");
	warn_of(p, stalled);
	publisher_set_quiet(p->d->publisher, quiet_s);
	health_set_cut_off(p->d->health, p->is_cut_off);
	netlink_set_cut_off(p->d->netlink, p->is_cut_off);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct dpdk *p = arg;

	look(p);
	follow_ports(p);
}

// ---- shown ----

bool dpdk_is_running(const struct dpdk *p)
{
	return p->is_running;
}

size_t dpdk_each_interface(const struct dpdk *p, struct dpdk_interface_view *ret, size_t ret_max)
{
	size_t n = p->d->settings->interfaces_n;

	for (size_t i = 0; i < n && i < ret_max; i++)
		ret[i] = p->interfaces[i].view;
	return n;
}

static uint64_t count_pkts(const struct dpdk *p, uint32_t worker)
{
	const struct lb_reason_line *lines =
		&p->d->tables->rows.reason_counters[(size_t)worker * LB_REASON_LINES];
	uint64_t pkts = 0;

	for (size_t i = 0; i < LB_REASON_N; i++)
		pkts += __atomic_load_n(
			&lines[i / LB_REASONS_PER_LINE].pkts[i % LB_REASONS_PER_LINE],
			__ATOMIC_RELAXED);
	return pkts;
}

size_t dpdk_each_worker(const struct dpdk *p, struct dpdk_worker_view *ret, size_t ret_max)
{
	const struct lb_worker *rows = p->d->tables->file.workers;
	size_t n = 0;

	for (uint32_t i = 0; i < p->d->tables->rows.meta->cpu_n; i++) {
		struct dpdk_worker_view view = {.cpu = rows[i].cpu,
						.pid = rows[i].pid,
						.pkts = count_pkts(p, i),
						.unsent_pkts = rows[i].unsent_pkts,
						.unheard_pkts = rows[i].unheard_pkts};

		if (!is_worker(&rows[i]))
			continue;
		if (!p->is_running)
			view.state = DPDK_WORKER_GONE;
		else if (clock_now_ms() - p->seen[i].moved_ms > STALL_MS)
			view.state = DPDK_WORKER_STALLED;
		if (n < ret_max)
			ret[n] = view;
		n++;
	}
	return n;
}

// ---- made and ended ----

int dpdk_new(struct lbd *d, struct dpdk **ret, struct err *e)
{
	size_t interfaces_n = d->settings->interfaces_n;
	struct dpdk *p = calloc(1, sizeof(*p));
	int status = 0;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->d = d;
	p->looked_s = clock_now_s();
	p->interfaces = calloc(interfaces_n, sizeof(*p->interfaces));
	p->seen = calloc(d->tables->rows.meta->cpu_n + 1, sizeof(*p->seen));
	if (!p->interfaces || !p->seen)
		status = err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < interfaces_n && p->interfaces; i++) {
		p->interfaces[i].tap_fd = -1;
		snprintf(p->interfaces[i].view.name, sizeof(p->interfaces[i].view.name), "%s",
			 d->settings->interfaces[i].name);
	}
	for (size_t i = 0; i < interfaces_n && !status; i++)
		status = make_tap(p, i, e);
	for (uint32_t i = 0; i <= d->tables->rows.meta->cpu_n && !status; i++)
		p->seen[i] = (struct seen){.moved_ms = clock_now_ms(), .quiet_s = p->looked_s};
	if (status) {
		dpdk_free(p);
		return status;
	}
	follow_ports(p);
	*ret = p;
	return 0;
}

int dpdk_watch(struct dpdk *p, struct err *e)
{
	static const struct timeval period = {.tv_usec = WATCH_MS * 1000};

	p->timer = event_new(p->d->base, -1, EV_PERSIST, on_watch, p);
	if (!p->timer || event_add(p->timer, &period))
		return err_set(e, -ENOMEM, "out of memory");
	look(p);
	return 0;
}

void dpdk_free(struct dpdk *p)
{
	if (!p)
		return;
	if (p->timer)
		event_free(p->timer);
	for (size_t i = 0; p->interfaces && i < p->d->settings->interfaces_n; i++)
		if (p->interfaces[i].tap_fd >= 0)
			close(p->interfaces[i].tap_fd);
	free(p->interfaces);
	free(p->seen);
	free(p);
}
