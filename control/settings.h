// SPDX-License-Identifier: BSD-2-Clause
//
// The host's settings: lbd.yaml. Read once, at start.
#pragma once

#include "control/address.h"
#include "control/err.h"
#include "control/fields.h"
#include "dataplane/core/tables.h"

enum settings_dataplane { SETTINGS_XDP, SETTINGS_DPDK };
enum settings_xdp_mode { SETTINGS_XDP_AUTO, SETTINGS_XDP_NATIVE, SETTINGS_XDP_GENERIC };

struct settings_interface {
	char name[16];
	enum settings_xdp_mode xdp;
	char port[LB_PORT_NAME_MAX + 1]; // dpdk: whose packets it carries; "": the next one
};

struct settings {
	enum settings_dataplane dataplane;
	struct settings_interface *interfaces; // owned
	size_t interfaces_n;
	bool has_source4, has_source6; // else the first interface's own address
	struct prefix source4, source6;
	struct {
		uint32_t services, backends, slots, connections;
	} limits;
	uint32_t rates[LB_RATE_N]; // by enum lb_rate: a CPU and second; 0: any number
	uint16_t gue_port;
	struct prefix *direct; // owned
	size_t direct_n;
	char *run_dir, *state_dir, *bpffs_dir, *listen, *socket_group, *hash_key_file; // owned
};

// The keys, for help.
extern const struct fields settings_fields;

// Decodes the text of a whole file. 0, -EINVAL, -E2BIG, -ENOMEM with @e filled.
int settings_decode(const char *text, size_t text_len, struct settings **ret, struct err *e);
// Reads @path (which @e does not name: err_render() does). 0, or a negative errno with @e filled
// (line and field where it has them). The caller frees *ret with settings_free().
int settings_load(const char *path, struct settings **ret, struct err *e);
void settings_free(struct settings *s);
