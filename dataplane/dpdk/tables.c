// SPDX-License-Identifier: BSD-2-Clause
//
// The tables' file, followed by the main lcore: mapped when lbd has made it, given to
// the workers, and given up when lbd says that it is retired. In between, and while
// there is none, every packet is the kernel's.
#include <errno.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <string.h>
#include <unistd.h>

#include "lb_dpdk.h"

// Gives them to each worker, and waits until none walks the ones before any more.
static void give(struct lb_dpdk *d, struct tables *t)
{
	for (unsigned int i = 0; i < d->workers_n; i++)
		__atomic_store_n(&d->workers[i].tables, t, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < d->workers_n; i++)
		while (rte_eal_get_lcore_state(d->workers[i].lcore) == RUNNING &&
		       __atomic_load_n(&d->workers[i].used, __ATOMIC_ACQUIRE) != t)
			rte_pause();
}

// The row behind those of the workers.
static struct lb_worker *main_row(const struct tables *t)
{
	return &t->file.workers[t->rows.meta->cpu_n];
}

static void write_row(struct lb_worker *row, unsigned int lcore, uint64_t ports)
{
	row->pid = getpid();
	row->cpu = rte_lcore_to_cpu_id((int)lcore);
	row->ports = ports;
	__atomic_store_n(&row->state, LB_WORKER_OFFLINE, __ATOMIC_RELEASE);
}

static void write_workers(const struct lb_dpdk *d, struct tables *t)
{
	for (uint32_t i = 0; i < t->rows.meta->cpu_n; i++)
		__atomic_store_n(&t->file.workers[i].state, LB_WORKER_NONE, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < d->workers_n; i++) {
		const struct worker *w = &d->workers[i];
		uint64_t ports = 0;

		for (unsigned int q = 0; q < w->rx_n; q++)
			ports |= 1ull << w->rx[q].port;
		write_row(&t->file.workers[i], w->lcore, ports);
	}
	write_row(main_row(t), rte_get_main_lcore(), 0);
}

void tables_beat(const struct lb_dpdk *d)
{
	struct lb_worker *row = d->tables ? main_row(d->tables) : NULL;

	if (row)
		__atomic_store_n(&row->loops, row->loops + 1, __ATOMIC_RELEASE);
}

static int take(struct lb_dpdk *d, struct tables *t, struct err *e)
{
	if (d->workers_n > t->rows.meta->cpu_n)
		return err_set(e, -EINVAL,
			       "there are %u workers, and the tables count for %u (lbd makes a row "
			       "for each CPU of the host): name fewer lcores",
			       d->workers_n, t->rows.meta->cpu_n);
	if (!tables_lock_file(t))
		return err_set(e, -EBUSY, "another lb-dpdk (process %u) runs on %s: stop it first",
			       t->file.workers[0].pid, d->tables_path);
	write_workers(d, t);
	d->tables = t;
	ports_show(d);
	give(d, t);
	return 0;
}

int tables_follow(struct lb_dpdk *d, struct err *e)
{
	struct tables *t = d->tables;
	int status;

	if (t && __atomic_load_n(&t->rows.meta->state, __ATOMIC_ACQUIRE) == LB_META_LIVE)
		return 0;
	if (t) {
		say("the tables were retired: all packets are the kernel's until there are others");
		give(d, NULL);
		d->tables = NULL;
		tables_close(t);
	}
	t = NULL;
	status = tables_map_file(d->tables_path, &t, e);
	if (status == -ENOENT)
		return 0;
	if (!status)
		status = take(d, t, e);
	if (status) {
		snprintf(e->field, sizeof(e->field), "%s", d->tables_path);
		tables_close(t);
	}
	return status;
}

void tables_leave(struct lb_dpdk *d)
{
	if (!d->tables)
		return;
	for (uint32_t i = 0; i <= d->tables->rows.meta->cpu_n; i++)
		__atomic_store_n(&d->tables->file.workers[i].state, LB_WORKER_NONE,
				 __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < d->ports_n; i++)
		__atomic_store_n(&d->tables->file.ports[i].state, LB_PORT_NONE, __ATOMIC_RELEASE);
	tables_close(d->tables);
	d->tables = NULL;
}
