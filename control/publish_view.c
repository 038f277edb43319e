// SPDX-License-Identifier: BSD-2-Clause
//
// What the API, lbctl and the metrics show of services and backends. A service with
// VIPs of both families has two rows, and so have its backends (but in nat); what is
// shown is their sum. Counters are summed over CPUs.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

// Sums @n words of each of @cpus_n rows, @stride words apart, onto @sum.
static void add_counters(__u64 *sum, const __u64 *words, size_t n, size_t stride, uint32_t cpus_n)
{
	for (uint32_t cpu = 0; cpu < cpus_n; cpu++)
		for (size_t i = 0; i < n; i++)
			sum[i] += __atomic_load_n(&words[cpu * stride + i], __ATOMIC_RELAXED);
}

static void add_row(const struct publisher *p, uint32_t row, struct publisher_backend_view *view)
{
	const struct lb_backend *b = &p->t->backends[row];
	const struct pub_backend *own = &p->backends[row];
	const struct lb_meta *m = p->t->meta;
	const size_t words = sizeof(view->counters) / sizeof(__u64);

	view->hop_resolved &= b->hop != 0;
	view->slots += own->current_n;
	view->slots_n += p->t->services[b->service].ring_len;
	view->settled_slots += own->moving_n;
	view->tracked += own->tracked;
	// Slots without `lookup` are not stamped: packets may be going there now.
	if (own->current_n)
		view->last_untracked_s = p->now_s;
	else if (publish_age(own->untracked_s, view->last_untracked_s))
		view->last_untracked_s = own->untracked_s;
	add_counters((__u64 *)&view->counters, (const __u64 *)&p->t->backend_counters[row], words,
		     words * m->backend_n, m->cpu_n);
}

static struct publisher_backend_view make_view(const struct publisher *p, uint32_t row,
					       uint32_t twin)
{
	const struct lb_backend *b = &p->t->backends[row];
	const struct pub_backend *own = &p->backends[row];
	const struct pub_service *s = &p->services[b->service];
	struct publisher_backend_view view = {
		.row = row,
		.service = s->name,
		.address = b->address,
		.port = ntohs(b->port),
		.weight = own->weight,
		.state = own->wanted_state,
		.health = own->health,
		.has_check = s->has_check,
		.hop_resolved = true,
		.leaving = !own->is_wanted,
		.deadline_s = own->deadline_s,
	};

	add_row(p, row, &view);
	if (twin)
		add_row(p, twin, &view);
	return view;
}

// Live rows of service row @row; those that have a twin in @other_row are shown with it, and only
// where @is_first.
static bool each_of_row(const struct publisher *p, uint32_t row, uint32_t other_row, bool is_first,
			bool leaving,
			bool (*fn)(const struct publisher_backend_view *view, void *arg), void *arg)
{
	for (uint32_t b = p->services[row].first_backend; b; b = p->backends[b].next) {
		const struct lb_backend *bytes = &p->t->backends[b];
		struct publisher_backend_view view;
		uint32_t twin;

		if (!backend_is_live(p, b) || backend_is_leaving(p, b) != leaving)
			continue;
		twin = other_row ? backend_lookup(p, other_row, &bytes->address, ntohs(bytes->port))
				 : 0;
		if (twin && backend_is_leaving(p, twin) == leaving && !is_first)
			continue;
		view = make_view(p, b, twin);
		if (!fn(&view, arg))
			return false;
	}
	return true;
}

static bool each_of_service(const struct publisher *p, uint64_t name_hash,
			    bool (*fn)(const struct publisher_backend_view *view, void *arg),
			    void *arg)
{
	uint32_t row4 = service_lookup(p, name_hash, 4), row6 = service_lookup(p, name_hash, 6);

	for (int leaving = 0; leaving < 2; leaving++)
		if ((row4 && !each_of_row(p, row4, row6, true, leaving, fn, arg)) ||
		    (row6 && !each_of_row(p, row6, row4, false, leaving, fn, arg)))
			return false;
	return true;
}

void publisher_each_backend(const struct publisher *p, const char *service,
			    bool (*fn)(const struct publisher_backend_view *view, void *arg),
			    void *arg)
{
	if (service) {
		each_of_service(p, publish_name_hash(service), fn, arg);
		return;
	}
	for (uint32_t row = 1; row < p->t->meta->service_n; row++) {
		const struct lb_service *s = &p->t->services[row];
		uint32_t first;

		if (!p->services[row].is_in_use)
			continue;
		first = service_lookup(p, s->name_hash, 4);
		if (first && first != row)
			continue; // shown with that one
		if (!each_of_service(p, s->name_hash, fn, arg))
			return;
	}
}

// What the backends of a service's row got, also those that are retired.
static void add_sent(const struct publisher *p, uint32_t row, struct lb_service_counters *sum)
{
	const struct lb_meta *m = p->t->meta;

	for (uint32_t b = p->services[row].first_backend; b; b = p->backends[b].next)
		for (uint32_t cpu = 0; cpu < m->cpu_n; cpu++) {
			const struct lb_backend_counters *c =
				&p->t->backend_counters[(size_t)cpu * m->backend_n + b];

			sum->pkts += c->pkts;
			sum->bytes += c->bytes;
			sum->syns += c->syns;
		}
}

int publisher_get_service(const struct publisher *p, const char *service,
			  struct publisher_service_view *ret)
{
	const uint64_t name_hash = publish_name_hash(service);
	const size_t words = sizeof(ret->counters) / sizeof(__u64);
	const struct lb_meta *m = p->t->meta;
	struct publisher_service_view view = {.row4 = service_lookup(p, name_hash, 4),
					      .row6 = service_lookup(p, name_hash, 6)};
	const uint32_t rows[2] = {view.row4, view.row6};

	if (!view.row4 && !view.row6)
		return -ENOENT;
	for (size_t i = 0; i < 2; i++) {
		if (!rows[i])
			continue;
		view.slots_in_transition += p->services[rows[i]].lookups_n;
		add_counters((__u64 *)&view.counters,
			     (const __u64 *)&p->t->service_counters[rows[i]], words,
			     words * m->service_n, m->cpu_n);
		add_sent(p, rows[i], &view.counters);
	}
	*ret = view;
	return 0;
}

const char *publisher_get_service_name(const struct publisher *p, uint32_t row)
{
	if (!row || row >= p->t->meta->service_n || !p->services[row].is_in_use)
		return NULL;
	return p->services[row].name;
}

uint64_t publisher_get_reason(const struct publisher *p, enum lb_reason reason)
{
	const struct lb_reason_line *line = &p->t->reason_counters[reason / LB_REASONS_PER_LINE];
	__u64 sum = 0;

	add_counters(&sum, &line->pkts[reason % LB_REASONS_PER_LINE], 1,
		     LB_REASON_LINES * LB_REASONS_PER_LINE, p->t->meta->cpu_n);
	return sum;
}
