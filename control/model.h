// SPDX-License-Identifier: BSD-2-Clause
//
// What the operator wants: services, their backends and their checks, as plain
// structs. A model is decoded from YAML or JSON by one schema (schema.h), is then
// never changed (a change is a whole new model: copy, edit, validate), and is
// compared with another by plan.h. What health and the network say of a backend
// is not in here. Pure: no I/O, no log.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/address.h"
#include "control/err.h"

#define MODEL_NAME_MAX 63 // of a service: [A-Za-z0-9][A-Za-z0-9._-]*
#define MODEL_VIPS_MAX 16 // of a service
#define MODEL_WEIGHT_MAX 1000
#define MODEL_WEIGHT_DEFAULT 100
#define MODEL_RING_DEFAULT 16381

enum model_state { MODEL_ENABLED, MODEL_DRAIN, MODEL_DISABLED };
enum model_check_type { MODEL_CHECK_NONE, MODEL_CHECK_TCP, MODEL_CHECK_HTTP };
enum model_on_empty { MODEL_REJECT, MODEL_DROP };
enum model_on_down { MODEL_RESET, MODEL_KEEP };

struct model_check {
	enum model_check_type type;
	bool has_address; // else the backend's
	struct lb_address address;
	uint16_t port;	      // 0: the backend's
	char *path;	      // http; owned; NULL otherwise. "/" by default
	char *host;	      // http, Host header; owned; NULL: the backend's address and port
	uint64_t interval_ns; // 1 s by default
	uint64_t timeout_ns;  // 500 ms by default
	uint32_t rise, fall;  // 2 and 3 by default
};

struct model_backend {
	struct lb_address address;
	uint16_t port;	 // host order; 0 where the service's port is `any`
	uint32_t weight; // 0 to MODEL_WEIGHT_MAX
	enum model_state state;
	int line; // of the input; 0: unknown
};

struct model_service {
	char name[MODEL_NAME_MAX + 1];
	struct lb_address vips[MODEL_VIPS_MAX];
	size_t vips_n;
	uint8_t protocol; // IPPROTO_TCP, IPPROTO_UDP
	uint16_t port;	  // host order; 0: any
	uint8_t mode;	  // enum lb_mode
	uint8_t tracking; // enum lb_tracking
	uint32_t idle_s;
	uint32_t ring; // slots of each family's ring; a prime
	enum model_on_empty on_empty;
	enum model_on_down on_down;
	struct model_check check;
	struct model_backend *backends; // owned
	size_t backends_n;
	int line;
};

struct model {
	uint64_t generation;
	struct model_service *services; // owned; in the order of the input
	size_t services_n;
};

struct model *model_new(void);
void model_free(struct model *m); // NULL is allowed
// A deep copy for a change, its lines 0 (they are of another input). NULL: out of memory.
struct model *model_copy(const struct model *m);
// Deep; *ret is the caller's: model_service_fini(). 0 or -ENOMEM.
int model_service_copy(const struct model_service *s, struct model_service *ret);
// Frees what *s owns, not *s, and clears it.
void model_service_fini(struct model_service *s);

// NULL where there is none. Borrowed from @m.
struct model_service *model_lookup_service(const struct model *m, const char *name);
struct model_backend *model_lookup_backend(const struct model_service *s,
					   const struct lb_address *address, uint16_t port);

// Edits, for the API's single changes. 0, -EEXIST, -ENOENT or -ENOMEM.
int model_add_service(struct model *m, const struct model_service *s); // copies *s, deep
int model_del_service(struct model *m, const char *name);
int model_add_backend(struct model_service *s, const struct model_backend *b);
int model_del_backend(struct model_service *s, const struct lb_address *address, uint16_t port);

// Checks everything that is wrong with a model by itself (the list under "Bad input": duplicate VIP
// and port, two nat services that share a backend, ...). Fields in errors are paths such as
// "services[2].backends[0].weight"; the line is left 0. 0, -ENOMEM, or -EINVAL with @e filled.
int model_validate(const struct model *m, struct err *e);
// What is wrong with a service by itself; @path ("services[2]", or "") leads its fields.
int model_validate_service(const struct model_service *s, const char *path, struct err *e);
