// SPDX-License-Identifier: BSD-2-Clause
//
// The model's life: made, copied, looked up, edited, freed. A model is the whole of
// what the operator wants; schema.c fills it, model_validate.c judges it, plan.c
// compares two of them, the publisher shows one. A change never edits the running
// model: it edits a copy, which then takes its place. Pure.
#include "control/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct model *model_new(void)
{
	return calloc(1, sizeof(struct model));
}

void model_service_fini(struct model_service *s)
{
	free(s->check.path);
	free(s->check.host);
	free(s->backends);
	memset(s, 0, sizeof(*s));
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->services_n; i++)
		model_service_fini(&m->services[i]);
	free(m->services);
	free(m);
}

int model_service_copy(const struct model_service *s, struct model_service *ret)
{
	struct model_service copy = *s;

	copy.check.path = s->check.path ? strdup(s->check.path) : NULL;
	copy.check.host = s->check.host ? strdup(s->check.host) : NULL;
	copy.backends = calloc(s->backends_n + 1, sizeof(*s->backends));
	if (!copy.backends || (s->check.path && !copy.check.path) ||
	    (s->check.host && !copy.check.host)) {
		model_service_fini(&copy);
		return -ENOMEM;
	}
	if (s->backends_n)
		memcpy(copy.backends, s->backends, s->backends_n * sizeof(*s->backends));
	*ret = copy;
	return 0;
}

struct model *model_copy(const struct model *m)
{
	struct model *copy = model_new();

	if (!copy)
		return NULL;
	copy->generation = m->generation;
	copy->services = calloc(m->services_n + 1, sizeof(*m->services));
	if (!copy->services)
		goto fail;
	for (size_t i = 0; i < m->services_n; i++) {
		struct model_service *s = &copy->services[i];

		if (model_service_copy(&m->services[i], s) < 0)
			goto fail;
		copy->services_n++;
		s->line = 0;
		for (size_t j = 0; j < s->backends_n; j++)
			s->backends[j].line = 0;
	}
	return copy;
fail:
	model_free(copy);
	return NULL;
}

struct model_service *model_lookup_service(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->services_n; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

struct model_backend *model_lookup_backend(const struct model_service *s,
					   const struct lb_address *address, uint16_t port)
{
	for (size_t i = 0; i < s->backends_n; i++) {
		struct model_backend *b = &s->backends[i];

		if (b->port == port && address_is_equal(&b->address, address))
			return b;
	}
	return NULL;
}

int model_add_service(struct model *m, const struct model_service *s)
{
	struct model_service *grown;
	int r;

	if (model_lookup_service(m, s->name))
		return -EEXIST;
	grown = reallocarray(m->services, m->services_n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->services = grown;
	r = model_service_copy(s, &grown[m->services_n]);
	if (r < 0)
		return r;
	m->services_n++;
	return 0;
}

int model_del_service(struct model *m, const char *name)
{
	struct model_service *s = model_lookup_service(m, name);
	size_t behind;

	if (!s)
		return -ENOENT;
	behind = m->services_n - (size_t)(s - m->services) - 1;
	model_service_fini(s);
	memmove(s, s + 1, behind * sizeof(*s));
	m->services_n--;
	return 0;
}

int model_add_backend(struct model_service *s, const struct model_backend *b)
{
	struct model_backend *grown;

	if (model_lookup_backend(s, &b->address, b->port))
		return -EEXIST;
	grown = reallocarray(s->backends, s->backends_n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->backends = grown;
	grown[s->backends_n++] = *b;
	return 0;
}

int model_del_backend(struct model_service *s, const struct lb_address *address, uint16_t port)
{
	struct model_backend *b = model_lookup_backend(s, address, port);
	size_t behind;

	if (!b)
		return -ENOENT;
	behind = s->backends_n - (size_t)(b - s->backends) - 1;
	memmove(b, b + 1, behind * sizeof(*b));
	s->backends_n--;
	return 0;
}
