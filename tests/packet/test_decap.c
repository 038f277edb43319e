// SPDX-License-Identifier: BSD-2-Clause
//
// The decapsulating program by BPF_PROG_TEST_RUN: each case of decap_cases.txt (written
// by make_decap_cases.py, bytes by scapy) must leave the frame, the verdict and the one
// counter that it says. And every frame cut at every length must be survived: whatever
// is passed changed must have been counted as taken out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/address.h"
#include "xdp/decap.h"
#include "xdp/decap.skel.h"

#define FRAME_MAX 2048
#define FRAME_LEAST 14 // the kernel's test run takes no less

static const char *cases_file;
static struct decap_bpf *program;

static const struct {
	const char *label;
	uint32_t verdict;
} reasons[] = {
#define REASON(name, action, label, text) {label, XDP_##action},
	DECAP_REASONS(REASON)
#undef REASON
};

static void add_prefix(struct bpf_map *map, const char *text)
{
	struct decap_key key = {0};
	struct prefix prefix;
	uint32_t one = 1;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	key.bits = prefix.len + (address_is_ipv4(&prefix.address) ? 96 : 0);
	memcpy(key.words, prefix.address.bytes, sizeof(key.words));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &one, BPF_ANY), 0);
}

static int setup(void **state)
{
	static const char *const local[] = {"10.9.0.2", "fd09:0:0:1::2", "203.0.113.10",
					    "2001:db8:9::10", "198.51.100.0/24"};

	program = decap_bpf__open_and_load();
	if (!program)
		return -1;
	add_prefix(program->maps.balancers, "10.9.0.1");
	add_prefix(program->maps.balancers, "fd09::/64");
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		add_prefix(program->maps.local, local[i]);
	return 0;
}

static int teardown(void **state)
{
	decap_bpf__destroy(program);
	return 0;
}

static uint64_t read_counter(uint32_t reason)
{
	uint64_t values[1024], sum = 0;
	int cpus_n = libbpf_num_possible_cpus();

	assert_in_range(cpus_n, 1, 1024);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(program->maps.counters), &reason, values),
			 0);
	for (int i = 0; i < cpus_n; i++)
		sum += values[i];
	return sum;
}

// Runs the frame once. Returns the reason that was counted, and fails if not exactly one was.
static uint32_t run(const uint8_t *in, size_t in_len, uint8_t *out, size_t *out_len,
		    uint32_t *verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = in_len, .data_out = out,
		    .data_size_out = FRAME_MAX, .repeat = 1);
	uint64_t before[DECAP_REASON_N], counted = 0;
	uint32_t reason = DECAP_REASON_N;

	for (uint32_t i = 0; i < DECAP_REASON_N; i++)
		before[i] = read_counter(i);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program->progs.lb_decap), &opts),
			 0);
	for (uint32_t i = 0; i < DECAP_REASON_N; i++) {
		uint64_t more = read_counter(i) - before[i];

		counted += more;
		if (more)
			reason = i;
	}
	assert_int_equal(counted, 1);
	*out_len = opts.data_size_out;
	*verdict = opts.retval;
	return reason;
}

static size_t parse_hex(const char *hex, uint8_t *ret)
{
	size_t len = strlen(hex) / 2;

	assert_in_range(len, 1, FRAME_MAX);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &ret[i]), 1);
	return len;
}

// Calls @check with each case's four fields. Returns how many there were.
static size_t each_case(void (*check)(char *fields[4]))
{
	FILE *file = fopen(cases_file, "r");
	char line[4 * FRAME_MAX + 512];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *rest = line, *fields[4];

		if (*line == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (int i = 0; i < 4; i++)
			fields[i] = strsep(&rest, "|");
		assert_non_null(fields[3]);
		check(fields);
		n++;
	}
	fclose(file);
	return n;
}

static void check_case(char *fields[4])
{
	uint8_t in[FRAME_MAX], out[FRAME_MAX], expected[FRAME_MAX];
	size_t in_len = parse_hex(fields[2], in), out_len;
	bool is_changed = strcmp(fields[3], "-") != 0;
	size_t expected_len = parse_hex(is_changed ? fields[3] : fields[2], expected);
	uint32_t verdict, reason = run(in, in_len, out, &out_len, &verdict);

	print_message("# %s\n", fields[0]);
	assert_string_equal(reasons[reason].label, fields[1]);
	assert_int_equal(verdict, reasons[reason].verdict);
	assert_int_equal(out_len, expected_len);
	assert_memory_equal(out, expected, expected_len);
}

static void test_cases(void **state)
{
	assert_true(each_case(check_case) > 0);
}

static void check_cut(char *fields[4])
{
	uint8_t in[FRAME_MAX], out[FRAME_MAX];
	size_t in_len = parse_hex(fields[2], in), out_len;
	uint32_t verdict;

	for (size_t len = FRAME_LEAST; len < in_len; len++) {
		uint32_t reason = run(in, len, out, &out_len, &verdict);
		bool is_taken_out = reasons[reason].verdict == XDP_PASS && reason != DECAP_OTHER &&
				    reason != DECAP_NOT_OURS;

		assert_int_equal(verdict, reasons[reason].verdict);
		// Only padding may be missing.
		assert_true(!is_taken_out || strstr(fields[0], "padding"));
		if (!is_taken_out) {
			assert_int_equal(out_len, len);
			assert_memory_equal(out, in, len);
		}
	}
}

static void test_cut_frames(void **state)
{
	each_case(check_cut);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cut_frames),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root (BPF)\n");
		return 77;
	}
	if (argc < 2) {
		fprintf(stderr, "usage: test_decap CASES\n");
		return 2;
	}
	cases_file = argv[1];
	libbpf_set_print(NULL);
	return cmocka_run_group_tests_name("decap", tests, setup, teardown);
}
