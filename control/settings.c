// SPDX-License-Identifier: BSD-2-Clause
//
// lbd.yaml: read once, at start, by the same tree and the same decoder as services
// (fields.h), with a table of its own. What the system must be asked (does the
// interface exist, who is the group) is asked by those who use it. Pure but for
// reading the file.
#include "control/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/file.h"

#define FILE_MAX_BYTES (1u << 20)
#define CONNECTIONS_MAX (1u << 28) // 4 GiB of table
#define SERVICES_MAX 65536
_Static_assert(SERVICES_MAX * 2 <= LB_SERVICE_MAX, "a service has two rows");
#define PATH_MAX_BYTES 80 // lbd.sock in it must fit sockaddr_un

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define SETTINGS(member) AT(struct settings, member)
#define INTERFACE(member) AT(struct settings_interface, member)

static const struct field_word dataplane_words[] = {
	{"xdp", SETTINGS_XDP}, {"dpdk", SETTINGS_DPDK}, {}};
static const struct field_word xdp_words[] = {{"auto", SETTINGS_XDP_AUTO},
					      {"native", SETTINGS_XDP_NATIVE},
					      {"generic", SETTINGS_XDP_GENERIC},
					      {}};

static const struct field interface_keys[] = {
	{.key = "name",
	 .type = FIELD_TEXT,
	 INTERFACE(name),
	 .flags = FIELD_IDENTITY,
	 .help = "as `ip link` shows it"},
	{.key = "xdp",
	 .type = FIELD_WORD,
	 INTERFACE(xdp),
	 .words = xdp_words,
	 .help = "auto takes native, or generic with a warning"},
	{.key = "port",
	 .type = FIELD_TEXT,
	 INTERFACE(port),
	 .help = "dpdk: the port that it stands for, such as 0000:03:00.0; else the next in order"},
};
static const struct fields interface_fields = {
	.list = interface_keys, .n = FIELDS_N(interface_keys), .has_short = true};
static const struct field interface_element = {
	.type = FIELD_MAP, .size = sizeof(struct settings_interface), .fields = &interface_fields};

// Members of struct settings itself, below a key of their own.
static const struct field source_keys[] = {
	{.key = "ipv4",
	 .type = FIELD_PREFIX,
	 SETTINGS(source4),
	 .has_offset = offsetof(struct settings, has_source4),
	 .help = "of outer IPv4; in a prefix the flow's hash fills the host bits"},
	{.key = "ipv6",
	 .type = FIELD_PREFIX,
	 SETTINGS(source6),
	 .has_offset = offsetof(struct settings, has_source6),
	 .help = "of outer IPv6"},
};
static const struct fields source_fields = {.list = source_keys, .n = FIELDS_N(source_keys)};

static const struct field limits_keys[] = {
	{.key = "services",
	 .type = FIELD_NUMBER,
	 SETTINGS(limits.services),
	 .min = 1,
	 .max = SERVICES_MAX,
	 .preset = 1024},
	{.key = "backends",
	 .type = FIELD_NUMBER,
	 SETTINGS(limits.backends),
	 .min = 1,
	 .max = LB_BACKEND_MAX,
	 .preset = LB_BACKEND_MAX},
	{.key = "slots",
	 .type = FIELD_NUMBER,
	 SETTINGS(limits.slots),
	 .min = 1024,
	 .max = LB_SLOT_MAX,
	 .preset = LB_SLOT_MAX,
	 .help = "of all rings"},
	{.key = "connections",
	 .type = FIELD_NUMBER,
	 SETTINGS(limits.connections),
	 .min = 1024,
	 .max = CONNECTIONS_MAX,
	 .preset = 4194304,
	 .help = "tracked at once; 16 bytes each"},
};
static const struct fields limits_fields = {.list = limits_keys, .n = FIELDS_N(limits_keys)};

#define RATE_DEFAULT 1000
#define RATE_MAX 1000000000
static const struct field rates_keys[] = {
	{.key = "echo",
	 .type = FIELD_NUMBER,
	 SETTINGS(rates[LB_RATE_ECHO]),
	 .max = RATE_MAX,
	 .preset = RATE_DEFAULT,
	 .help = "pings of VIPs answered"},
	{.key = "icmp",
	 .type = FIELD_NUMBER,
	 SETTINGS(rates[LB_RATE_ICMP]),
	 .max = RATE_MAX,
	 .preset = RATE_DEFAULT,
	 .help = "ICMP errors about balanced flows handed on"},
	{.key = "refused",
	 .type = FIELD_NUMBER,
	 SETTINGS(rates[LB_RATE_REFUSED]),
	 .max = RATE_MAX,
	 .preset = RATE_DEFAULT,
	 .help = "RST and port unreachable sent"},
	{.key = "errors",
	 .type = FIELD_NUMBER,
	 SETTINGS(rates[LB_RATE_ERROR]),
	 .max = RATE_MAX,
	 .preset = RATE_DEFAULT,
	 .help = "packet too big and time exceeded sent"},
};
static const struct fields rates_fields = {.list = rates_keys, .n = FIELDS_N(rates_keys)};

static const struct field direct_element = {.type = FIELD_PREFIX, .size = sizeof(struct prefix)};

static const struct field settings_keys[] = {
	{.key = "dataplane", .type = FIELD_WORD, SETTINGS(dataplane), .words = dataplane_words},
	{.key = "interfaces",
	 .type = FIELD_LIST,
	 SETTINGS(interfaces),
	 .element = &interface_element,
	 .count_offset = offsetof(struct settings, interfaces_n),
	 .flags = FIELD_REQUIRED,
	 .help = "whose packets are balanced"},
	{.key = "source",
	 .type = FIELD_MAP,
	 .fields = &source_fields,
	 .help = "outer source of tunnels; the first interface's own address by default"},
	{.key = "limits",
	 .type = FIELD_MAP,
	 .fields = &limits_fields,
	 .help = "sizes of the tables, fixed until `lbd --detach`"},
	{.key = "gue_port",
	 .type = FIELD_NUMBER,
	 SETTINGS(gue_port),
	 .min = 1,
	 .max = 65535,
	 .preset = 6080,
	 .help = "UDP port of the backends that open gue"},
	{.key = "rates",
	 .type = FIELD_MAP,
	 .fields = &rates_fields,
	 .help = "at most so many a CPU and second; 0: any number"},
	{.key = "direct",
	 .type = FIELD_LIST,
	 SETTINGS(direct),
	 .element = &direct_element,
	 .count_offset = offsetof(struct settings, direct_n),
	 .help = "nat: replies to these are never rewritten"},
	{.key = "run_dir",
	 .type = FIELD_STRING,
	 SETTINGS(run_dir),
	 .max = PATH_MAX_BYTES,
	 .preset_text = "/run/lbd",
	 .help = "lbd.sock"},
	{.key = "state_dir",
	 .type = FIELD_STRING,
	 SETTINGS(state_dir),
	 .max = 1024,
	 .preset_text = "/var/lib/lbd",
	 .help = "generations of the services"},
	{.key = "bpffs_dir",
	 .type = FIELD_STRING,
	 SETTINGS(bpffs_dir),
	 .max = 1024,
	 .preset_text = "/sys/fs/bpf/lbd",
	 .help = "pins"},
	{.key = "listen",
	 .type = FIELD_STRING,
	 SETTINGS(listen),
	 .max = ADDRESS_TEXT_MAX,
	 .preset_text = "127.0.0.1:9099",
	 .help = "read-only HTTP; \"\" switches it off"},
	{.key = "socket_group",
	 .type = FIELD_STRING,
	 SETTINGS(socket_group),
	 .max = 64,
	 .preset_text = "root",
	 .help = "who may use lbd.sock"},
	{.key = "hash_key_file",
	 .type = FIELD_STRING,
	 SETTINGS(hash_key_file),
	 .max = 1024,
	 .help = "32 hex digits; STATE_DIR/hash.key by default"},
};
const struct fields settings_fields = {.list = settings_keys, .n = FIELDS_N(settings_keys)};

static int check_interfaces(const struct settings *s, struct err *e)
{
	char field[64];

	if (!s->interfaces_n)
		return err_set_field(e, -EINVAL, 0, "interfaces",
				     "must name at least one, whose packets are balanced");
	for (size_t i = 0; i < s->interfaces_n; i++) {
		const char *name = s->interfaces[i].name;

		snprintf(field, sizeof(field), "interfaces[%zu].name", i);
		// As the kernel has it (dev_valid_name()).
		if (strpbrk(name, "/: \t\n\v\f\r") || !strcmp(name, ".") || !strcmp(name, ".."))
			return err_set_field(e, -EINVAL, 0, field,
					     "\"%s\" cannot be an interface's name", name);
		if (s->dataplane != SETTINGS_DPDK && s->interfaces[i].port[0]) {
			snprintf(field, sizeof(field), "interfaces[%zu].port", i);
			return err_set_field(e, -EINVAL, 0, field,
					     "is for `dataplane: dpdk` only; with xdp the "
					     "interface's name says all");
		}
		for (size_t j = 0; j < i; j++)
			if (!strcmp(name, s->interfaces[j].name))
				return err_set_field(e, -EINVAL, 0, field,
						     "%s is interfaces[%zu] already", name, j);
	}
	return 0;
}

static int check_source(const struct prefix *p, int family, struct err *e)
{
	const char *field = family == 4 ? "source.ipv4" : "source.ipv6";
	char text[ADDRESS_TEXT_MAX];

	if (address_family(&p->address) != family)
		return err_set_field(e, -EINVAL, 0, field, "must be of IPv%d, is %s", family,
				     prefix_render(p, text));
	if (!address_is_usable(&p->address))
		return err_set_field(
			e, -EINVAL, 0, field,
			"must be a unicast address, neither loopback nor link-local, is %s",
			prefix_render(p, text));
	return 0;
}

static int check_paths(const struct settings *s, struct err *e)
{
	const struct {
		const char *field, *path;
	} paths[] = {{"run_dir", s->run_dir},
		     {"state_dir", s->state_dir},
		     {"bpffs_dir", s->bpffs_dir},
		     {"hash_key_file", s->hash_key_file}};

	for (size_t i = 0; i < FIELDS_N(paths); i++)
		if (paths[i].path[0] != '/')
			return err_set_field(e, -EINVAL, 0, paths[i].field,
					     "must be a path that starts with /, is \"%s\"",
					     paths[i].path);
	return 0;
}

static int check_listen(const struct settings *s, struct err *e)
{
	struct lb_address a;
	uint16_t port;

	if (!s->listen[0])
		return 0;
	if (address_parse_port(s->listen, &a, &port) < 0 || !port)
		return err_set_field(e, -EINVAL, 0, "listen",
				     "must be an address and port such as 127.0.0.1:9099 or "
				     "[::1]:9099, or \"\", is \"%s\"",
				     s->listen);
	return 0;
}

static int check(const struct settings *s, struct err *e)
{
	int r = 0;

	r = check_interfaces(s, e);
	if (r == 0 && s->has_source4)
		r = check_source(&s->source4, 4, e);
	if (r == 0 && s->has_source6)
		r = check_source(&s->source6, 6, e);
	r = r ? r : check_paths(s, e);
	r = r ? r : check_listen(s, e);
	if (r == 0 && !s->socket_group[0])
		r = err_set_field(e, -EINVAL, 0, "socket_group", "must be a group's name, is \"\"");
	return r;
}

int settings_decode(const char *text, size_t text_len, struct settings **ret, struct err *e)
{
	struct settings *s;
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	r = s ? fields_decode(&settings_fields, tree_root(t), (struct fields_mode){0}, s, e)
	      : err_set(e, -ENOMEM, "out of memory");
	if (r == 0 && !s->hash_key_file &&
	    asprintf(&s->hash_key_file, "%s/hash.key", s->state_dir) < 0) {
		s->hash_key_file = NULL;
		r = err_set(e, -ENOMEM, "out of memory");
	}
	r = r ? r : check(s, e);
	if (r < 0) {
		if (e->field[0] && !e->line)
			e->line = tree_lookup_line(t, e->field);
		settings_free(s);
	} else {
		*ret = s;
	}
	tree_free(t);
	return r;
}

// What to do about a file that could not be read.
static const char *mend_of(int code)
{
	switch (code) {
	case -ENOENT:
	case -ENOTDIR:
		return "the host's settings belong there, `interfaces: [eth0]` at least; --config "
		       "names another file";
	case -EACCES:
	case -EPERM:
		return "run lbd as root, or let it read the file";
	case -EINVAL:
	case -E2BIG:
		return "--config names the file of the host's settings";
	default:
		return NULL;
	}
}

int settings_load(const char *path, struct settings **ret, struct err *e)
{
	struct err why = {};
	size_t text_len;
	char *text;
	int r = file_read(path, FILE_MAX_BYTES, &text, &text_len, &why);

	if (r < 0)
		return mend_of(r) ? err_set(e, r, "%s; %s", why.text, mend_of(r))
				  : err_set(e, r, "%s", why.text);
	r = settings_decode(text, text_len, ret, e);
	free(text);
	return r;
}

void settings_free(struct settings *s)
{
	if (!s)
		return;
	fields_fini(&settings_fields, s);
	free(s);
}
