// SPDX-License-Identifier: BSD-2-Clause
//
// lb-decap --status: how the program is attached, what it is set to and what it has
// counted, as text or as JSON. All of it is asked of the kernel, by way of the pins: the
// link names the program that runs, and the program its tables; so it is what packets
// meet now, whether or not an lb-decap is resident. The counters have a pin of their own
// and can be read even after the program was taken away.
#include "tools/lb-decap/decap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAPS_MAX 16	// that a program may have; ours has four
#define PROGRAM_TRIES 8 // while one lb-decap after the other swaps the program

static const struct {
	const char *label, *text;
	const char *verdict;
} reasons[] = {
#define PASS_NAME "pass"
#define DROP_NAME "drop"
#define REASON(name, action, label, text) {label, text, action##_NAME},
	DECAP_REASONS(REASON)
#undef REASON
};

// Sums the CPUs' counters up into a list of reasons.
static int read_counters(const struct options *o, const struct pins *pins, json_t *list,
			 struct err *e)
{
	int cpus_n = libbpf_num_possible_cpus(), code = 0, fd = bpf_obj_get(pins->counters);
	__u64 *values;

	if (fd < 0)
		return err_set(e, -errno, "%s: no lb-decap is attached there (%s: %s)",
			       o->interface, pins->counters, strerror(errno));
	values = calloc(cpus_n, sizeof(*values));
	for (__u32 i = 0; i < DECAP_REASON_N && !code; i++) {
		json_int_t pkts = 0;

		if (!values || bpf_map_lookup_elem(fd, &i, values))
			code = err_set(e, -errno, "%s: %s", pins->counters, strerror(errno));
		for (int cpu = 0; cpu < cpus_n && !code; cpu++)
			pkts += (json_int_t)values[cpu];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:s}", "reason", reasons[i].label,
						"verdict", reasons[i].verdict, "packets", pkts,
						"meaning", reasons[i].text));
	}
	free(values);
	close(fd);
	return code;
}

static void read_balancers(int fd, json_t *root)
{
	json_t *list = json_array();
	struct decap_key key;
	char text[ADDRESS_TEXT_MAX];

	for (void *previous = NULL; !bpf_map_get_next_key(fd, previous, &key); previous = &key) {
		struct prefix prefix = {0};

		memcpy(prefix.address.bytes, key.words, sizeof(key.words));
		prefix.len = key.bits - (address_is_ipv4(&prefix.address) ? 96 : 0);
		json_array_append_new(list, json_string(prefix_render(&prefix, text)));
	}
	json_object_set_new(root, "balancers", list);
}

static void read_map(__u32 id, json_t *root)
{
	struct bpf_map_info info = {0};
	__u32 info_len = sizeof(info), zero = 0;
	int fd = bpf_map_get_fd_by_id(id);
	__u16 port;

	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &info_len)) {
		if (!strcmp(info.name, "balancers"))
			read_balancers(fd, root);
		else if (!strcmp(info.name, DECAP_GUE_PORT_MAP) &&
			 info.value_size == sizeof(port) && !bpf_map_lookup_elem(fd, &zero, &port))
			json_object_set_new(root, "gue_port", json_integer(port));
	}
	close(fd);
}

// False where the program is no more: another took its place.
static bool read_program(__u32 id, json_t *root)
{
	struct bpf_prog_info info = {0};
	__u32 info_len = sizeof(info), map_ids[MAPS_MAX] = {0};
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return false;
	info.nr_map_ids = MAPS_MAX;
	info.map_ids = (__u64)(unsigned long)map_ids;
	if (!bpf_obj_get_info_by_fd(fd, &info, &info_len))
		for (__u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++)
			read_map(map_ids[i], root);
	close(fd);
	return true;
}

// Returns "native", "generic", or "none" where the program was taken away or its interface is gone.
static const char *read_link(int fd, json_t *root)
{
	for (int i = 0; i < PROGRAM_TRIES; i++) {
		LIBBPF_OPTS(bpf_xdp_query_opts, attached);
		struct bpf_link_info info = {0};
		__u32 info_len = sizeof(info);

		if (bpf_obj_get_info_by_fd(fd, &info, &info_len) || !info.xdp.ifindex ||
		    bpf_xdp_query(info.xdp.ifindex, 0, &attached))
			break;
		if (read_program(info.prog_id, root))
			return attached.attach_mode == XDP_ATTACHED_DRV ? "native" : "generic";
	}
	return "none";
}

static void print_text(const json_t *root)
{
	const char *mode = json_string_value(json_object_get(root, "mode"));
	json_int_t port = json_integer_value(json_object_get(root, "gue_port"));
	const json_t *item;
	size_t i;

	if (!strcmp(mode, "none"))
		printf("%s: no program is attached; counters of the last one\n",
		       json_string_value(json_object_get(root, "interface")));
	else
		printf("%s: %s XDP\n", json_string_value(json_object_get(root, "interface")), mode);
	if (port)
		printf("GUE: port %lld\n", (long long)port);
	else if (strcmp(mode, "none"))
		printf("GUE: not opened\n");
	json_array_foreach (json_object_get(root, "balancers"), i, item)
		printf("%s%s", i ? ", " : "balancers: ", json_string_value(item));
	printf("%s\n%-15s %12s  %-7s  %s\n", i ? "\n" : "", "REASON", "PACKETS", "VERDICT",
	       "MEANING");
	json_array_foreach (json_object_get(root, "reasons"), i, item)
		printf("%-15s %12lld  %-7s  %s\n",
		       json_string_value(json_object_get(item, "reason")),
		       (long long)json_integer_value(json_object_get(item, "packets")),
		       json_string_value(json_object_get(item, "verdict")),
		       json_string_value(json_object_get(item, "meaning")));
}

int status_show(const struct options *o, struct err *e)
{
	json_t *root, *list = json_array();
	struct pins pins;
	int code = pins_set(o, &pins, e), link_fd;

	root = json_pack("{s:s, s:o}", "interface", o->interface, "reasons", list);
	if (!root)
		return err_set(e, -ENOMEM, "out of memory");
	if (!code)
		code = read_counters(o, &pins, list, e);
	if (!code) {
		link_fd = bpf_obj_get(pins.link);
		json_object_set_new(root, "mode", json_string(read_link(link_fd, root)));
		if (link_fd >= 0)
			close(link_fd);
		if (o->is_json) {
			json_dumpf(root, stdout, JSON_INDENT(2));
			putchar('\n');
		} else {
			print_text(root);
		}
	}
	json_decref(root);
	return code;
}
