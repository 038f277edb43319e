// SPDX-License-Identifier: BSD-2-Clause
//
// The XDP programs, by BPF_PROG_TEST_RUN, on maps made as lbd makes them: the plain one, and
// the one that copies packets, which must do the same, and say in each copy what it did.
// They run in a network namespace of their own, whose routes are what the cases of the
// kernel's look-up speak of. The kernel gives test packets loopback as their interface
// (RUN_IFINDEX).
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/xdp_tables.h"
#include "tests/packet/copy.h"
#include "tests/packet/run.h"
#include "xdp/lb.skel.h"

// A program and its tables.
struct loaded {
	struct lb_tables tables;
	struct lb_bpf *skeleton;
};

static struct loaded plain, traced;

// Of lb_xdp_traced: what the packet in hand was copied as.
static struct ring_buffer *copies;
static struct copy copy;

// Interface 10 is "the link" of cases_reply.py; 12 has no neighbour on it.
static const char *const routes[] = {
	"link set lo up",
	("link add name link index 10 address 02:00:00:00:00:51 mtu 1400 type veth peer name peer "
	 "index 11"),
	"link set dev link up",
	"link set dev peer up",
	"route add 100.64.1.0/24 via 192.0.2.1 dev link onlink",
	"neigh add 192.0.2.1 lladdr 02:00:00:00:00:50 nud permanent dev link",
	"route add 100.64.5.0/24 via 192.0.2.5 dev link onlink",
	"route add blackhole 100.64.2.0/24",
	"route add unreachable 100.64.3.0/24",
	"route add prohibit 100.64.4.0/24",
	"-6 route add 2001:db8:64:1::/64 via fe80::1 dev link onlink",
	"-6 neigh add fe80::1 lladdr 02:00:00:00:00:50 nud permanent dev link",
	"-6 route add 2001:db8:64:5::/64 via fe80::5 dev link onlink",
	"-6 route add blackhole 2001:db8:64:2::/64",
	"-6 route add unreachable 2001:db8:64:3::/64",
	"-6 route add prohibit 2001:db8:64:4::/64",
};

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static void set_forwarding(bool on)
{
	static int is_on = -1;
	const char *text = on ? "1" : "0";

	if (is_on == on)
		return;
	is_on = on;
	if (!write_file("/proc/sys/net/ipv4/conf/lo/forwarding", text) ||
	    !write_file("/proc/sys/net/ipv6/conf/lo/forwarding", text)) {
		perror("forwarding");
		exit(1);
	}
}

// Ends the process where a route cannot be made.
static const char *make_routes(void)
{
	static bool is_made;

	if (is_made)
		return NULL;
	is_made = true;
	if (unshare(CLONE_NEWNET))
		return "no network namespace of its own: needs root";
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		char command[256];

		snprintf(command, sizeof(command), "ip %.200s", routes[i]);
		if (system(command) != 0) {
			fprintf(stderr, "cannot do: %s\n", command);
			exit(1);
		}
	}
	return NULL;
}

// An array as lbd makes it, mapped. Ends the process where that fails.
static void *make_table(const char *name, size_t row_bytes, uint64_t rows_n, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct xdp_map_shape map = xdp_tables_shape(name, row_bytes, rows_n);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, (uint32_t)map.row_bytes,
				(uint32_t)map.rows_n, &opts);
	void *rows = mmap(NULL, row_bytes * rows_n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || rows == MAP_FAILED) {
		fprintf(stderr, "table %s: %s\n", name, strerror(errno));
		exit(1);
	}
	*ret_fd = fd;
	return rows;
}

// The tables of @l, which its program gets. Ends the process where that fails.
static void make_tables(struct loaded *l, const struct lb_meta *m)
{
#define COUNT_ONE(table, type, number) +1
	int fds[0 LB_TABLES(COUNT_ONE)];
#undef COUNT_ONE
	struct err e = {};
	size_t n = 0;

#define MAKE(table, type, number)                                                                  \
	l->tables.table = make_table(#table, sizeof(type), (number), &fds[n++]);
	LB_TABLES(MAKE)
#undef MAKE
	l->skeleton->rodata->lb_flat_sizes = xdp_tables_sizes(m);
	if (xdp_tables_give(l->skeleton->obj, fds, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	while (n)
		close(fds[--n]); // the object and the mappings hold the maps
}

static const char *start(struct loaded *l, const struct lb_meta *meta, uint32_t now_s,
			 struct lb_tables **ret)
{
	const char *why;

	if (geteuid() != 0)
		return "the XDP program needs root";
	why = make_routes();
	if (why)
		return why;
	l->skeleton = xdp_tables_register() ? NULL : lb_bpf__open();
	if (!l->skeleton)
		return "cannot read the program";
	make_tables(l, meta);
	l->skeleton->rodata->lb_fixed_now_s = now_s;
	bpf_program__set_autoload(l->skeleton->progs.lb_xdp, l == &plain);
	bpf_program__set_autoload(l->skeleton->progs.lb_xdp_traced, l == &traced);
	// All of every packet, as far as it is kept.
	l->skeleton->rodata->lb_trace_filter =
		(struct lb_trace_filter){.reasons = LB_TRACE_REASONS_ALL,
					 .protocol = LB_TRACE_ANY_PROTOCOL,
					 .snap = LB_TRACE_SNAP_MAX,
					 .rate = UINT32_MAX};
	if (lb_bpf__load(l->skeleton)) {
		fprintf(stderr, "the kernel refuses the program\n");
		exit(1);
	}
	*l->tables.meta = *meta;
	*ret = &l->tables;
	return NULL;
}

static void run(const struct bpf_program *program, const struct case_facts *facts,
		struct run_result *ret)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = facts->in,
		    .data_size_in = (uint32_t)facts->in_len, .data_out = ret->out,
		    .data_size_out = sizeof(ret->out), .repeat = 1);

	*ret = (struct run_result){};
	set_forwarding(facts->forwarding);
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts)) {
		ret->complaint = strerror(errno);
		return;
	}
	ret->out_len = opts.data_size_out;
	switch (opts.retval) {
	case XDP_TX:
		ret->ifindex = RUN_IFINDEX;
		ret->verdict = LB_TRANSMIT;
		break;
	case XDP_REDIRECT:
		ret->verdict = LB_TRANSMIT;
		break;
	case XDP_PASS:
		ret->verdict = LB_PASS;
		break;
	case XDP_DROP:
		ret->verdict = LB_DROP;
		break;
	default:
		ret->complaint = "the program aborted";
	}
}

// ---- the plain one ----

static const char *plain_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	return start(&plain, meta, now_s, ret);
}

static void plain_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	run(plain.skeleton->progs.lb_xdp, facts, ret);
}

static void plain_stop(void)
{
	lb_bpf__destroy(plain.skeleton);
}

// ---- the one that copies ----

static int take_copy(void *arg, void *data, size_t size)
{
	copy.n++;
	memcpy(&copy.record, data, sizeof(copy.record));
	size -= sizeof(copy.record);
	memcpy(copy.bytes, (uint8_t *)data + sizeof(copy.record),
	       size < sizeof(copy.bytes) ? size : sizeof(copy.bytes));
	return 0;
}

static const char *traced_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	const char *why = start(&traced, meta, now_s, ret);

	if (why)
		return why;
	copies = ring_buffer__new(bpf_map__fd(traced.skeleton->maps.trace_events), take_copy, NULL,
				  NULL);
	if (!copies) {
		perror("the buffer of copies");
		exit(1);
	}
	return NULL;
}

static void traced_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	copy.n = 0;
	run(traced.skeleton->progs.lb_xdp_traced, facts, ret);
	ring_buffer__consume(copies);
	if (!ret->complaint)
		ret->complaint = copy_judge(&copy, facts, ret);
}

static void traced_stop(void)
{
	ring_buffer__free(copies);
	lb_bpf__destroy(traced.skeleton);
}

const struct run_executor run_xdp = {"xdp", plain_start, plain_run, plain_stop};
const struct run_executor run_xdp_traced = {"xdp_traced", traced_start, traced_run, traced_stop};
