// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl status, version: what an operator asks first.
#include <stdio.h>
#include <string.h>

#include "control/version.h"
#include "tools/lbctl/lbctl.h"

static void print_interfaces(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "interfaces");
	json_t *item;
	size_t i;

	printf("interfaces  ");
	json_array_foreach (list, i, item)
		printf("%s%s %s", i ? ", " : "", json_text(item, "name"),
		       !json_flag(item, "attached")    ? "NOT ATTACHED"
		       : json_object_get(item, "port") ? json_text(item, "port")
						       : json_text(item, "xdp"));
	printf("%s\n", json_array_size(list) ? "" : "none");
	json_array_foreach (list, i, item) {
		if (*json_text(item, "warning"))
			printf("warning     %s: %s\n", json_text(item, "name"),
			       json_text(item, "warning"));
	}
}

// What lb-dpdk dropped after the walk, beside the reasons.
static void print_lost(const json_t *workers)
{
	json_int_t unsent = 0, unheard = 0;
	json_t *item;
	size_t i;

	json_array_foreach (workers, i, item) {
		unsent += json_whole(item, "unsent");
		unheard += json_whole(item, "unheard");
	}
	if (unsent || unheard)
		printf("lost        %lld for which a port had no room, %lld for the kernel\n",
		       (long long)unsent, (long long)unheard);
}

// Of lb-dpdk: "3 running, 1 stalled".
static void print_workers(const json_t *answer)
{
	static const char *const states[] = {"running", "stalled", "gone"};
	const json_t *list = json_object_get(answer, "workers");
	int kinds_n = 0;
	json_t *item;
	size_t i;

	if (strcmp(json_text(answer, "dataplane"), "dpdk") != 0)
		return;
	printf("workers     ");
	for (size_t state = 0; state < 3; state++) {
		int n = 0;

		json_array_foreach (list, i, item)
			n += !strcmp(json_text(item, "state"), states[state]);
		if (n)
			printf("%s%d %s", kinds_n++ ? ", " : "", n, states[state]);
	}
	printf("%s\n", kinds_n ? "" : "none");
	json_array_foreach (list, i, item)
		printf("            CPU %lld: %lld packets\n", (long long)json_whole(item, "cpu"),
		       (long long)json_whole(item, "packets"));
	print_lost(list);
}

// Each backend of a service that should get connections and does not.
static void print_trouble(const json_t *service)
{
	json_t *b;
	bool is_down = !strcmp(json_text(service, "state"), "down"), is_wanted;
	size_t i, shown_n = 0;

	json_array_foreach (json_object_get(service, "backends"), i, b) {
		const char *why = json_text(b, "why_not");
		const char *cause = strstr(why, "checks") ? json_text(b, "cause") : "";
		char age[SHOW_MAX];
		const json_t *since = json_object_get(b, "health_seconds");

		// What the operator wanted is no trouble, unless it is why the service is down.
		is_wanted =
			!strcmp(json_text(b, "state"), "enabled") && json_whole(b, "weight") > 0;
		if (!*why || json_flag(b, "leaving") || (!is_wanted && !is_down))
			continue;
		printf("%-11s %s %s: %s%s%s%s%s%s\n", shown_n++ ? "" : json_text(service, "state"),
		       json_text(service, "name"), json_text(b, "backend"), why, *cause ? " (" : "",
		       cause, *cause ? ")" : "", *cause && json_is_number(since) ? " for " : "",
		       *cause && json_is_number(since) ? show_age(json_number_value(since), age)
						       : "");
	}
	if (!shown_n)
		printf("%-11s %s: no backend gets its connections\n", json_text(service, "state"),
		       json_text(service, "name"));
}

static void print_services(const json_t *answer)
{
	const json_t *services = json_object_get(answer, "services");
	long long not_up_n = json_whole(services, "degraded") + json_whole(services, "down");
	const json_t *not_up = json_object_get(services, "not_up");
	json_t *service;
	size_t i;

	printf("services    %lld up, %lld degraded, %lld down\n",
	       (long long)json_whole(services, "up"), (long long)json_whole(services, "degraded"),
	       (long long)json_whole(services, "down"));
	json_array_foreach (not_up, i, service)
		print_trouble(service);
	if (not_up_n > (long long)json_array_size(not_up))
		printf("            and %lld more; `lbctl service list` shows all\n",
		       not_up_n - (long long)json_array_size(not_up));
}

static void print_traffic(const json_t *answer)
{
	static const char *const kinds[] = {"forwarded", "answered", "passed", "dropped"};
	const json_t *rates = json_object_get(answer, "packets_per_second");
	const json_t *totals = json_object_get(answer, "packets");

	printf("packets/s   ");
	for (int i = 0; i < 4; i++) {
		char rate[SHOW_MAX];

		printf("%s%s %s", i ? ", " : "",
		       json_is_number(json_object_get(rates, kinds[i]))
			       ? show_rate(json_number(rates, kinds[i]), rate)
			       : "-",
		       kinds[i]);
	}
	putchar('\n');
	// What is not for a VIP is passed, and a backend's reply is the second packet.
	if (json_whole(json_object_get(answer, "services"), "total") &&
	    !json_whole(totals, "forwarded") && !json_whole(totals, "answered") &&
	    !json_whole(totals, "dropped"))
		printf("            none for a VIP yet: does the network bring them to one of the "
		       "interfaces?\n");
	printf("drops       %lld in all%s\n", (long long)json_whole(totals, "dropped"),
	       json_whole(totals, "dropped") ? "; `lbctl drops` says why" : "");
}

int command_status(const struct lbctl *l, const struct args *a)
{
	json_t *answer, *warning;
	char age[SHOW_MAX];
	size_t i;
	int status = http_get(l, "/v1/status", &answer);

	if (status || l->is_json)
		return status ? status : show_json(answer);
	printf("lbd         %s, %s, generation %lld, up %s\n", json_text(answer, "version"),
	       json_text(answer, "dataplane"), (long long)json_whole(answer, "generation"),
	       show_age(json_number(answer, "uptime_seconds"), age));
	print_interfaces(answer);
	print_workers(answer);
	print_services(answer);
	print_traffic(answer);
	json_array_foreach (json_object_get(answer, "warnings"), i, warning)
		printf("warning     %s\n", json_string_value(warning));
	json_decref(answer);
	return EXIT_DONE;
}

int command_version(const struct lbctl *l, const struct args *a)
{
	struct http_request q = {.path = "/v1/status", .is_silent = true};
	json_t *answer = NULL;
	const char *lbd = NULL;

	// lbctl's own version is known without lbd.
	if (!http_call(l, &q, &answer))
		lbd = json_text(answer, "version");
	if (l->is_json)
		show_json(json_pack("{s:s, s:s?}", "lbctl", LBD_VERSION, "lbd", lbd));
	else
		printf("lbctl %s\nlbd %s\n", LBD_VERSION, lbd ? lbd : "not reachable");
	json_decref(answer);
	return EXIT_DONE;
}
