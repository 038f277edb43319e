// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl service ...: list, show, add, set, remove. Changes are one request each; lbd
// checks what they say.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

// "nat", "tcp" and addresses of a configuration, in one word: 203.0.113.10, 2001:db8::10 port
// 80/tcp.
static void join_vips(const json_t *config, char *buf, size_t buf_len)
{
	json_t *vip;
	size_t i, len = 0;

	*buf = '\0';
	json_array_foreach (json_object_get(config, "vips"), i, vip) {
		len += (size_t)snprintf(buf + len, buf_len - len, "%s%s", i ? ", " : "",
					json_string_value(vip));
		if (len >= buf_len)
			return;
	}
}

// "80", "any".
static const char *port_text(const json_t *config, char *buf)
{
	json_t *port = json_object_get(config, "port");

	return json_is_string(port) ? json_string_value(port)
				    : show_whole(json_integer_value(port), buf);
}

static void count_backends(const json_t *service, char *buf)
{
	json_t *backend;
	size_t i, all_n = 0, serving_n = 0;

	json_array_foreach (json_object_get(service, "backends"), i, backend) {
		all_n += !json_flag(backend, "leaving");
		serving_n += json_flag(backend, "gets_new_connections");
	}
	snprintf(buf, SHOW_MAX, "%zu of %zu", serving_n, all_n);
}

int command_service_list(const struct lbctl *l, const struct args *a)
{
	static const struct column columns[] = {{"SERVICE"},
						{"STATE"},
						{"VIPS"},
						{"PORT", .is_right = true},
						{"PROTOCOL"},
						{"MODE"},
						{"SERVING", .is_right = true}};
	struct libscols_table *t;
	json_t *answer, *service;
	size_t i;
	int status = http_get(l, "/v1/services", &answer);

	if (status || l->is_json)
		return status ? status : show_json(answer);
	t = show_table_new(columns, 7);
	json_array_foreach (json_object_get(answer, "services"), i, service) {
		const json_t *config = json_object_get(service, "config");
		char vips[1024], port[SHOW_MAX], serving[SHOW_MAX];

		join_vips(config, vips, sizeof(vips));
		count_backends(service, serving);
		show_table_add(t, (const char *[]){json_text(service, "name"),
						   json_text(service, "state"), vips,
						   port_text(config, port),
						   json_text(config, "protocol"),
						   json_text(config, "mode"), serving});
	}
	json_decref(answer);
	return show_table_print(t, "no services; `lbctl apply` and `lbctl service add` make some");
}

static void print_facts(const json_t *service)
{
	const json_t *config = json_object_get(service, "config");
	const json_t *counters = json_object_get(service, "counters");
	char vips[1024], port[SHOW_MAX];
	const char *key;
	json_t *value;

	join_vips(config, vips, sizeof(vips));
	printf("service      %s (%s)\n", json_text(service, "name"), json_text(service, "state"));
	printf("vips         %s port %s/%s\n", vips, port_text(config, port),
	       json_text(config, "protocol"));
	printf("mode         %s\n", json_text(config, "mode"));
	printf("tracking     %s, idle time %s\n", json_text(config, "tracking"),
	       json_text(config, "idle_timeout"));
	printf("ring         %lld slots, %lld in transition\n",
	       (long long)json_whole(config, "ring"),
	       (long long)json_whole(service, "slots_in_transition"));
	printf("no backend   %s\n", json_text(config, "on_empty"));
	printf("down         %s\n", json_text(config, "on_down"));
	printf("check       ");
	if (!json_is_object(json_object_get(config, "check")))
		printf(" none");
	json_object_foreach (json_object_get(config, "check"), key, value) {
		if (json_is_string(value))
			printf(" %s=%s", key, json_string_value(value));
		else
			printf(" %s=%lld", key, (long long)json_integer_value(value));
	}
	printf("\npackets      %lld (%lld bytes), %lld new connections, %lld dropped\n",
	       (long long)json_whole(counters, "packets"), (long long)json_whole(counters, "bytes"),
	       (long long)json_whole(counters, "new_connections"),
	       (long long)json_whole(counters, "drops"));
}

int command_service_show(const struct lbctl *l, const struct args *a)
{
	char *path = http_path("/v1/services/%", a->words[0]);
	json_t *answer, *services;
	int status = http_get(l, path, &answer);

	free(path);
	if (status || l->is_json)
		return status ? status : show_json(answer);
	print_facts(answer);
	putchar('\n');
	services = json_pack("[o]", answer);
	status = show_backends(services, false);
	json_decref(services);
	return status;
}

// A value as YAML would read it: a whole number stays one.
static json_t *value_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits && digits < 10 && !text[digits])
		return json_integer(atoi(text));
	return json_string(text);
}

static json_t *body_of_add(const struct args *a)
{
	json_t *body = json_object(), *check = NULL, *vips = json_array(), *backends = json_array();

	for (int i = 0; i < a->given_n; i++) {
		const char *name = a->given[i].name, *value = a->given[i].value;
		char key[32];

		snprintf(key, sizeof(key), "%s", strncmp(name, "check-", 6) ? name : name + 6);
		for (char *p = key; *p; p++)
			*p = *p == '-' ? '_' : *p;
		if (!strcmp(name, "vip")) {
			json_array_append_new(vips, json_string(value));
		} else if (!strcmp(name, "backend")) {
			json_array_append_new(backends, backend_body(value));
		} else if (!strncmp(name, "check", 5)) {
			check = check ? check : json_object();
			json_object_set_new(check, name[5] ? key : "type", value_of(value));
		} else if (strcmp(name, "dry-run")) {
			json_object_set_new(body, key, value_of(value));
		}
	}
	json_object_set_new(body, "vips", vips);
	if (check)
		json_object_set_new(body, "check", check);
	json_object_set_new(body, "backends", backends);
	return body;
}

int command_service_add(const struct lbctl *l, const struct args *a)
{
	char *path =
		http_path(args_get(a, "dry-run") ? "/v1/services/%?dry_run=1" : "/v1/services/%",
			  a->words[0]);

	if (!args_get(a, "vip") || !args_get(a, "port")) {
		free(path);
		return fail(
			EXIT_USAGE,
			"service add needs --vip and --port; `lbctl help service add` says more");
	}
	return send_change(l, "PUT", path, "If-None-Match: *", body_of_add(a));
}

int command_service_set(const struct lbctl *l, const struct args *a)
{
	json_t *body = json_object();

	for (int i = 1; i < a->words_n; i++) {
		const char *equals = strchr(a->words[i], '=');
		char key[64];

		if (!equals || equals == a->words[i] ||
		    (size_t)(equals - a->words[i]) >= sizeof(key)) {
			json_decref(body);
			return fail(EXIT_USAGE, "`%s` is not KEY=VALUE", a->words[i]);
		}
		snprintf(key, sizeof(key), "%.*s", (int)(equals - a->words[i]), a->words[i]);
		json_object_set_new(body, key, value_of(equals + 1));
	}
	return send_change(
		l, "PATCH",
		http_path(args_get(a, "dry-run") ? "/v1/services/%?dry_run=1" : "/v1/services/%",
			  a->words[0]),
		NULL, body);
}

int command_service_remove(const struct lbctl *l, const struct args *a)
{
	return send_change(
		l, "DELETE",
		http_path(args_get(a, "dry-run") ? "/v1/services/%?dry_run=1" : "/v1/services/%",
			  a->words[0]),
		NULL, NULL);
}
