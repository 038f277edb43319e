// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests of the publisher share: small tables in memory, models in a line,
// and a check of everything that must hold of tables and publisher at any time.
#pragma once

#include "control/publish_rows.h"
#include "control/tables.h"

struct bed_sizes {
	uint32_t services, backends, slots, lines; // lines: of connections
};

// Live tables; aborts without memory.
struct tables *bed_tables(const struct bed_sizes *sizes);
// A copy of all bytes, and whether they are the same. The caller frees the copy.
uint8_t *bed_snapshot(const struct tables *t, size_t *ret_len);
bool bed_is_same(const struct tables *t, const uint8_t *snapshot);
void bed_restore(const struct tables *t, const uint8_t *snapshot);

struct lb_address bed_address(const char *text);
// A service of one backend less a check; more by bed_add_backend(). The caller adds it to a model.
struct model_service bed_service(const char *name, const char *vip, uint16_t port, uint8_t mode,
				 uint32_t ring);
void bed_add_backend(struct model_service *s, const char *address, uint16_t port);
// All addresses of the model get a next hop of their own.
void bed_resolve_hops(struct publisher *p, const struct model *m, uint32_t now_s);

// Small tables, a publisher, and a nat service "web" (192.0.2.1:80) with three backends, 10.0.0.1
// to 3, port 8080, all in rotation. setup and teardown are cmocka's; *state is a struct bed *.
struct bed {
	struct tables *t;
	struct publisher *p;
	struct model *m;
	uint32_t now_s;
};

int bed_setup(void **state);
int bed_teardown(void **state);
// A new publisher takes the tables over.
void bed_restart(struct bed *b);
// Makes the tables show b->m, as the next generation.
void bed_apply(struct bed *b);
// Takes @s over.
void bed_add_service(struct bed *b, struct model_service s);
uint32_t bed_row(const struct bed *b, const char *service, int family);
// The row of address, port 8080.
uint32_t bed_backend(const struct bed *b, const char *service, const char *address);
// How many slots have it as current.
uint32_t bed_slots(const struct bed *b, uint32_t backend);

// Aborts with a sentence where counts, lists, maps and tables disagree.
void bed_check(const struct publisher *p);
