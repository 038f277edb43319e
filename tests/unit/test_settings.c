// SPDX-License-Identifier: BSD-2-Clause
//
// control/settings.c: lbd.yaml. Defaults, every key, and each refusal with its
// field and line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/settings.h"

static struct settings *decode(const char *text)
{
	struct settings *s = NULL;
	char is[1024];
	struct err e;

	if (settings_decode(text, strlen(text), &s, &e) < 0)
		fail_msg("%s", err_render(&e, "lbd.yaml", is, sizeof(is)));
	return s;
}

static void all_but_interfaces_have_defaults(void **state)
{
	struct settings *s = decode("interfaces: [{name: eth0}]\n");

	assert_int_equal(s->dataplane, SETTINGS_XDP);
	assert_int_equal(s->interfaces_n, 1);
	assert_string_equal(s->interfaces[0].name, "eth0");
	assert_int_equal(s->interfaces[0].xdp, SETTINGS_XDP_AUTO);
	assert_false(s->has_source4);
	assert_false(s->has_source6);
	assert_int_equal(s->limits.services, 1024);
	assert_int_equal(s->limits.backends, 32767);
	assert_int_equal(s->limits.slots, 16777216);
	assert_int_equal(s->limits.connections, 4194304);
	assert_int_equal(s->direct_n, 0);
	assert_string_equal(s->run_dir, "/run/lbd");
	assert_string_equal(s->state_dir, "/var/lib/lbd");
	assert_string_equal(s->bpffs_dir, "/sys/fs/bpf/lbd");
	assert_string_equal(s->listen, "127.0.0.1:9099");
	assert_string_equal(s->socket_group, "root");
	assert_string_equal(s->hash_key_file, "/var/lib/lbd/hash.key");
	settings_free(s);
}

static void every_key_is_taken(void **state)
{
	struct settings *s =
		decode("dataplane: xdp\n"
		       "interfaces:\n"
		       "  - name: eth0\n"
		       "    xdp: native\n"
		       "  - eth0.100\n"
		       "source: {ipv4: 10.0.0.2, ipv6: 2001:db8::2/64}\n"
		       "limits: {services: 8, backends: 64, slots: 65536, connections: 1024}\n"
		       "direct: [10.0.0.0/24, \"::1\"]\n"
		       "run_dir: /tmp/run\n"
		       "state_dir: /tmp/state\n"
		       "bpffs_dir: /tmp/bpf\n"
		       "listen: \"\"\n"
		       "socket_group: adm\n");

	assert_int_equal(s->interfaces_n, 2);
	assert_int_equal(s->interfaces[0].xdp, SETTINGS_XDP_NATIVE);
	assert_string_equal(s->interfaces[1].name, "eth0.100");
	assert_true(s->has_source4 && s->has_source6);
	assert_int_equal(s->source4.len, 32);
	assert_int_equal(s->source6.len, 64);
	assert_int_equal(s->source6.address.bytes[15], 2);
	assert_int_equal(s->limits.services, 8);
	assert_int_equal(s->limits.connections, 1024);
	assert_int_equal(s->direct_n, 2);
	assert_int_equal(s->direct[0].len, 24);
	assert_int_equal(s->direct[1].len, 128);
	assert_string_equal(s->run_dir, "/tmp/run");
	assert_string_equal(s->hash_key_file, "/tmp/state/hash.key");
	assert_string_equal(s->listen, "");
	settings_free(s);
}

// clang-format off
static const struct {
	const char *text, *error;
} bad[] = {
	{"{}", "interfaces: is missing: must be a list ([ONE, MORE]) (lbd.yaml:1)"},
	{"interfaces: []\n", "interfaces: must name at least one, whose packets are balanced (lbd.yaml:1)"},
	{"interfaces:\n  - {}\n", "interfaces[0].name: is missing: must be a text of 1 to 15 characters (lbd.yaml:2)"},
	{"interfaces:\n  - abcdefghijklmnop\n", "interfaces[0].name: must be a text of 1 to 15 characters, is \"abcdefghijklmnop\" (lbd.yaml:2)"},
	{"interfaces:\n  - a/b\n", "interfaces[0].name: \"a/b\" cannot be an interface's name (lbd.yaml:2)"},
	{"interfaces:\n  - eth0\n  - eth0\n", "interfaces[1].name: eth0 is interfaces[0] already (lbd.yaml:3)"},
	{"interfaces:\n  - {name: eth0, xdp: offload}\n", "interfaces[0].xdp: must be auto, native or generic, is \"offload\" (lbd.yaml:2)"},
	{"interfaces: [{name: eth0, port: net_tap0}]\n", "interfaces[0].port: is for `dataplane: dpdk` only; with xdp the interface's name says all (lbd.yaml:1)"},
	{"interfaces: [eth0]\nstatedir: /x\n", "statedir: is no known key; did you mean `state_dir`? (lbd.yaml:2)"},
	{"interfaces: [eth0]\nsource: {ipv4: 2001:db8::2}\n", "source.ipv4: must be of IPv4, is 2001:db8::2/128 (lbd.yaml:2)"},
	{"interfaces: [eth0]\nsource:\n  ipv6: 10.0.0.2\n", "source.ipv6: must be of IPv6, is 10.0.0.2/32 (lbd.yaml:3)"},
	{"interfaces: [eth0]\nsource: {ipv4: 127.0.0.1}\n", "source.ipv4: must be a unicast address, neither loopback nor link-local, is 127.0.0.1/32 (lbd.yaml:2)"},
	{"interfaces: [eth0]\nlimits: {services: 0}\n", "limits.services: must be 1 to 65536, is 0 (lbd.yaml:2)"},
	{"interfaces: [eth0]\nlimits: {backends: 32768}\n", "limits.backends: must be 1 to 32767, is 32768 (lbd.yaml:2)"},
	{"interfaces: [eth0]\nlimits: {slots: 16777217}\n", "limits.slots: must be 1024 to 16777216, is 16777217 (lbd.yaml:2)"},
	{"interfaces: [eth0]\nlimits: {connections: 4M}\n", "limits.connections: must be 1024 to 268435456, is \"4M\" (lbd.yaml:2)"},
	{"interfaces: [eth0]\ndirect: [10.0.0.0/33]\n", "direct[0]: must be an address or prefix such as 10.0.0.0/24 or 2001:db8::/64, is \"10.0.0.0/33\" (lbd.yaml:2)"},
	{"interfaces: [eth0]\nrun_dir: run\n", "run_dir: must be a path that starts with /, is \"run\" (lbd.yaml:2)"},
	{"interfaces: [eth0]\nrun_dir:\n", "run_dir: must be a text of at most 80 characters, is empty (lbd.yaml:2)"},
	{"interfaces: [eth0]\nlisten: 9099\n", "listen: must be an address and port such as 127.0.0.1:9099 or [::1]:9099, or \"\", is \"9099\" (lbd.yaml:2)"},
	{"interfaces: [eth0]\nsocket_group: ''\n", "socket_group: must be a group's name, is \"\" (lbd.yaml:2)"},
};
// clang-format on

static void the_refused(void **state)
{
	char is[1024];

	for (size_t i = 0; i < FIELDS_N(bad); i++) {
		struct settings *s = NULL;
		struct err e;

		assert_int_equal(settings_decode(bad[i].text, strlen(bad[i].text), &s, &e),
				 -EINVAL);
		assert_null(s);
		assert_string_equal(err_render(&e, "lbd.yaml", is, sizeof(is)), bad[i].error);
	}
}

static void files(void **state)
{
	char dir[] = "/tmp/test-settings-XXXXXX", path[64], is[1024];
	struct settings *s = NULL;
	struct err e;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/lbd.yaml", dir);
	assert_int_equal(settings_load(path, &s, &e), -ENOENT);
	assert_string_equal(err_render(&e, "lbd.yaml", is, sizeof(is)),
			    "lbd.yaml: cannot be read: No such file or directory; the host's "
			    "settings belong there, `interfaces: [eth0]` at least; --config names "
			    "another file");
	assert_int_equal(settings_load(dir, &s, &e), -EINVAL);
	assert_string_equal(e.text, "is no regular file; --config names the file of the host's "
				    "settings");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(settings_load(path, &s, &e), -EINVAL);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("interfaces: [eth0]\n", f);
	fclose(f);
	assert_int_equal(settings_load(path, &s, &e), 0);
	settings_free(s);
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_int_equal(settings_load(path, &s, &e), -E2BIG);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_but_interfaces_have_defaults),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(the_refused),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
