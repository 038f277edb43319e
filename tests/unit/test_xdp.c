// SPDX-License-Identifier: BSD-2-Clause
//
// The program is attached, swapped, left alone and taken away as xdp.h says: the real
// program and maps, on veth pairs in a network namespace of the test's own, with a bpf
// filesystem of its own. Needs root.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/pins.h"
#include "control/xdp.h"

static char mount_dir[] = "/tmp/test_xdp.XXXXXX";
static char pin_dir[64];
static const uint64_t key[2] = {1, 2};
static struct settings_interface interfaces[2] = {{.name = "xt0"}, {.name = "xt1.5"}};
static struct settings settings = {
	.interfaces = interfaces,
	.interfaces_n = 1,
	.limits = {.services = 4, .backends = 100, .slots = 65536, .connections = 4096},
	.bpffs_dir = pin_dir,
};

static void run(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

static int make_world(void **state)
{
	if (unshare(CLONE_NEWNET) || !mkdtemp(mount_dir) || mount("bpf", mount_dir, "bpf", 0, NULL))
		return -1;
	snprintf(pin_dir, sizeof(pin_dir), "%s/lbd", mount_dir);
	return 0;
}

static int remove_world(void **state)
{
	umount(mount_dir);
	return rmdir(mount_dir);
}

static int make_links(void **state)
{
	settings.interfaces_n = 1;
	interfaces[0].xdp = interfaces[1].xdp = SETTINGS_XDP_AUTO;
	run("ip link add xt0 type veth peer name xp0 && ip link add xt1.5 type veth peer name xp1");
	return 0;
}

static int remove_links(void **state)
{
	struct err e;

	xdp_detach(&settings, &e);
	if (if_nametoindex("xt0"))
		run("ip link del xt0");
	if (if_nametoindex("xt1.5"))
		run("ip link del xt1.5");
	return access(pin_dir, F_OK) ? 0 : -1;
}

// ---- a start of lbd, as far as it concerns us ----

struct started {
	struct tables *tables;
	struct xdp *xdp;
};

static int start(struct started *s, struct err *e)
{
	int status = xdp_check(&settings, e);

	s->tables = NULL;
	s->xdp = NULL;
	if (!status)
		status = tables_open(&settings, key, &s->tables, e);
	if (!status)
		status = xdp_load(&settings, s->tables, &s->xdp, e);
	if (!status)
		status = xdp_attach(s->xdp, e);
	return status;
}

static void stop(struct started *s)
{
	xdp_free(s->xdp);
	tables_close(s->tables);
}

static struct started start_ok(void)
{
	struct started s;
	struct err e = {};

	if (start(&s, &e))
		fail_msg("%s: %s", e.field, e.text);
	return s;
}

static void assert_refused(int code, const char *part)
{
	struct started s;
	struct err e = {};

	assert_int_equal(start(&s, &e), code);
	stop(&s);
	if (!strstr(e.text, part))
		fail_msg("not about %s: %s", part, e.text);
}

static struct bpf_xdp_query_opts query(const char *interface)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	assert_int_equal(bpf_xdp_query(if_nametoindex(interface), 0, &q), 0);
	return q;
}

static uint32_t pinned_program(void)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	char path[PINS_PATH_MAX];
	int fd = bpf_obj_get(pins_path(&settings, path, "lb_xdp"));

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static struct xdp_interface_view view(const struct started *s, size_t i)
{
	struct xdp_interface_view views[2];

	assert_int_equal(xdp_each_interface(s->xdp, views, 2), settings.interfaces_n);
	return views[i];
}

// ---- tests ----

static void test_outlives_lbd_and_is_swapped(void **state)
{
	struct started s = start_ok();
	uint32_t before;

	assert_true(view(&s, 0).attached && view(&s, 0).native);
	assert_string_equal(view(&s, 0).warning, "");
	stop(&s);
	before = query("xt0").drv_prog_id;
	assert_int_not_equal(before, 0);
	assert_int_equal(pinned_program(), before);

	s = start_ok();
	assert_int_not_equal(query("xt0").drv_prog_id, before);
	assert_int_equal(query("xt0").drv_prog_id, pinned_program());
	stop(&s);
}

static void test_dotted_name(void **state)
{
	char path[PINS_PATH_MAX];
	struct started s;

	settings.interfaces_n = 2;
	s = start_ok();
	assert_true(view(&s, 1).attached);
	stop(&s);
	assert_int_equal(access(pins_path(&settings, path, "link_xt1%%2e5"), F_OK), 0);

	// No longer in the settings: no longer attached.
	settings.interfaces_n = 1;
	s = start_ok();
	stop(&s);
	assert_int_equal(query("xt1.5").attach_mode, XDP_ATTACHED_NONE);
	assert_int_equal(query("xt0").attach_mode, XDP_ATTACHED_DRV);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_modes(void **state)
{
	struct started s;

	interfaces[0].xdp = SETTINGS_XDP_GENERIC;
	s = start_ok();
	assert_true(view(&s, 0).attached && !view(&s, 0).native);
	assert_string_equal(view(&s, 0).warning, "");
	stop(&s);
	interfaces[0].xdp = SETTINGS_XDP_AUTO; // keeps what is attached, but says so
	s = start_ok();
	assert_false(view(&s, 0).native);
	assert_non_null(strstr(view(&s, 0).warning, "generic"));
	stop(&s);
	interfaces[0].xdp = SETTINGS_XDP_NATIVE;
	s = start_ok();
	assert_true(view(&s, 0).native);
	stop(&s);
}

// Its driver cannot: a bridge has generic XDP only.
static void test_fallback_warns(void **state)
{
	struct started s;

	run("ip link del xt0 && ip link add xt0 type bridge");
	interfaces[0].xdp = SETTINGS_XDP_NATIVE;
	assert_refused(-EOPNOTSUPP, "native mode");
	assert_int_equal(query("xt0").attach_mode, XDP_ATTACHED_NONE);
	interfaces[0].xdp = SETTINGS_XDP_AUTO;
	s = start_ok();
	assert_true(view(&s, 0).attached && !view(&s, 0).native);
	assert_non_null(strstr(view(&s, 0).warning, "generic"));
	stop(&s);
}

static void test_missing_interface_refused(void **state)
{
	run("ip link del xt0");
	assert_refused(-ENODEV, "there is no interface xt0");
	assert_int_not_equal(access(pin_dir, F_OK), 0);
}

static int load_foreign(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "somebodys", "GPL", pass, 2, NULL);
}

static void test_foreign_program_refused(void **state)
{
	int fd = load_foreign();
	uint32_t id;

	assert_true(fd >= 0);
	assert_int_equal(bpf_xdp_attach(if_nametoindex("xt0"), fd, XDP_FLAGS_SKB_MODE, NULL), 0);
	close(fd);
	id = query("xt0").skb_prog_id;
	assert_refused(-EBUSY, "somebodys");
	assert_int_equal(query("xt0").skb_prog_id, id);
	assert_int_not_equal(access(pin_dir, F_OK), 0);
}

// The second interface cannot be attached to: the first is let go again.
static void test_failure_leaves_nothing(void **state)
{
	settings.interfaces_n = 2;
	run("ip link del xt1.5 && ip link add xt1.5 type bridge");
	interfaces[1].xdp = SETTINGS_XDP_NATIVE;
	assert_refused(-EOPNOTSUPP, "xt1.5");
	assert_int_equal(query("xt0").attach_mode, XDP_ATTACHED_NONE);
}

static void test_interface_gone_and_back(void **state)
{
	struct started s = start_ok();

	run("ip link del xt0");
	xdp_refresh(s.xdp);
	assert_false(view(&s, 0).attached);
	assert_non_null(strstr(view(&s, 0).warning, "no interface"));
	run("ip link add xt0 type veth peer name xp0");
	xdp_refresh(s.xdp);
	assert_true(view(&s, 0).attached);
	assert_string_equal(view(&s, 0).warning, "");
	assert_int_equal(query("xt0").drv_prog_id, pinned_program());
	// At once, and under the number that it had.
	run("i=$(ip -j link show xt0 | jq '.[0].ifindex') && ip link del xt0 && "
	    "ip link add xt0 index $i type veth peer name xp0");
	xdp_refresh(s.xdp);
	assert_int_equal(query("xt0").drv_prog_id, pinned_program());
	stop(&s);

	// While no lbd runs.
	run("ip link del xt0 && ip link add xt0 type veth peer name xp0");
	s = start_ok();
	assert_int_equal(query("xt0").drv_prog_id, pinned_program());
	stop(&s);
}

static void test_detach(void **state)
{
	struct started s = start_ok();
	struct err e = {};

	stop(&s);
	assert_int_equal(xdp_detach(&settings, &e), 0);
	assert_int_equal(query("xt0").attach_mode, XDP_ATTACHED_NONE);
	assert_int_not_equal(access(pin_dir, F_OK), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_links, remove_links)
	const struct CMUnitTest tests[] = {
		TEST(test_outlives_lbd_and_is_swapped),
		TEST(test_dotted_name),
		TEST(test_modes),
		TEST(test_fallback_warns),
		TEST(test_missing_interface_refused),
		TEST(test_foreign_program_refused),
		TEST(test_failure_leaves_nothing),
		TEST(test_interface_gone_and_back),
		TEST(test_detach),
	};

	if (geteuid() != 0) {
		puts("needs root: it attaches XDP programs");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_world, remove_world);
}
