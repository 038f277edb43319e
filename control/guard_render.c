// SPDX-License-Identifier: BSD-2-Clause
//
// The text of the table `inet sluice`, as nft(8) reads it; for guard.c only. Pure.
//
// input: what is for a service ends here, counted (`to_services`); the program passes none
// of it. forward: a TCP segment from a backend of nat becomes a RST, counted (`replies`),
// which a client that knows no such connection ignores (RFC 9293, 3.10.7.1). It is not
// dropped, for the program passes replies whose next hop the kernel has to resolve first
// (route_neighbour), and only what the kernel sends makes it do so.
#include "control/guard_render.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE GUARD_TABLE

static const char begin[] = "add table " TABLE "\n"
			    "add counter " TABLE " to_services\n"
			    "add counter " TABLE " replies\n"
			    "add set " TABLE " interfaces { type ifname; }\n";

static const char sets_of_family[] =
	"add set " TABLE " services%1$d { type ipv%1$d_addr . inet_proto . inet_service; }\n"
	"add set " TABLE " any_port%1$d { type ipv%1$d_addr . inet_proto; }\n"
	"add set " TABLE " backends%1$d { type ipv%1$d_addr . inet_proto . inet_service; }\n"
	"flush set " TABLE " services%1$d\n"
	"flush set " TABLE " any_port%1$d\n"
	"flush set " TABLE " backends%1$d\n";

static const char chains[] =
	"add chain " TABLE " input { type filter hook input priority raw; }\n"
	"add chain " TABLE " forward { type filter hook forward priority raw; }\n"
	"flush chain " TABLE " input\n"
	"flush chain " TABLE " forward\n"
	"add rule " TABLE " input iifname != @interfaces accept\n"
	"add rule " TABLE " forward iifname != @interfaces accept\n";

// %2$s: the family's word in rules.
static const char rules_of_family[] =
	"add rule " TABLE " input %2$s daddr . meta l4proto . th dport @services%1$d "
	"counter name to_services drop\n"
	"add rule " TABLE " input %2$s daddr . meta l4proto @any_port%1$d "
	"counter name to_services drop\n"
	"add rule " TABLE " forward meta l4proto tcp %2$s saddr . meta l4proto . th sport "
	"@backends%1$d counter name replies tcp flags set rst\n";

// ---- text ----

static const char *family_word(int family)
{
	return family == 4 ? "ip" : "ip6";
}

// All but the sets' elements; what is there already stays, its counts too.
static void render_table(FILE *f, const struct settings *s)
{
	char text[ADDRESS_TEXT_MAX];

	fputs(begin, f);
	fputs("flush set " TABLE " interfaces\n", f);
	for (size_t i = 0; i < s->interfaces_n; i++)
		fprintf(f, "add element " TABLE " interfaces { \"%s\" }\n", s->interfaces[i].name);
	for (int family = 4; family <= 6; family += 2)
		fprintf(f, sets_of_family, family);
	fputs(chains, f);
	for (size_t i = 0; i < s->direct_n; i++)
		fprintf(f, "add rule " TABLE " forward %s daddr %s accept\n",
			family_word(address_family(&s->direct[i].address)),
			prefix_render(&s->direct[i], text));
	for (int family = 4; family <= 6; family += 2)
		fprintf(f, rules_of_family, family, family_word(family));
}

// By set, so that a set's elements are one command.
static int compare_keys(const void *a, const void *b)
{
	const struct guard_key *x = a, *y = b;
	int order = address_family(&x->address) - address_family(&y->address);

	if (!order)
		order = !x->port - !y->port;
	return order ? order : memcmp(x, y, sizeof(*x));
}

void guard_sort(struct guard_keys *k)
{
	size_t unique = 0;

	if (k->n)
		qsort(k->keys, k->n, sizeof(*k->keys), compare_keys);
	for (size_t i = 0; i < k->n; i++)
		if (!i || compare_keys(&k->keys[i], &k->keys[unique - 1]))
			k->keys[unique++] = k->keys[i];
	k->n = unique;
}

static int approach(const struct guard_keys *put, const struct guard_keys *wanted, size_t *left,
		    struct guard_keys *ret)
{
	struct guard_keys keys = {.keys = malloc((put->n + wanted->n + 1) * sizeof(*keys.keys))};
	size_t i = 0, j = 0;

	if (!keys.keys)
		return -ENOMEM;
	while (i < put->n || j < wanted->n) {
		int order = i == put->n	     ? 1
			    : j == wanted->n ? -1
					     : compare_keys(&put->keys[i], &wanted->keys[j]);
		bool changes = order && *left;

		if (changes)
			--*left;
		if (order <= 0 ? !changes : changes)
			keys.keys[keys.n++] = order <= 0 ? put->keys[i] : wanted->keys[j];
		i += order <= 0;
		j += order >= 0;
	}
	*ret = keys;
	return 0;
}

int guard_approach(const struct guard_wanted *put, const struct guard_wanted *wanted, size_t *left,
		   struct guard_wanted *ret)
{
	struct guard_wanted next = {};

	if (approach(&put->services, &wanted->services, left, &next.services))
		return -ENOMEM;
	if (approach(&put->backends, &wanted->backends, left, &next.backends)) {
		free(next.services.keys);
		return -ENOMEM;
	}
	*ret = next;
	return 0;
}

// Whether @k has @key. *at: where the one before, which was smaller, was looked for.
static bool has(const struct guard_keys *k, size_t *at, const struct guard_key *key)
{
	int order = -1;

	while (*at < k->n && (order = compare_keys(&k->keys[*at], key)) < 0)
		(*at)++;
	return order == 0;
}

// @verb for those of @of that @without has not.
static void render_elements(FILE *f, const char *verb, const char *set, const struct guard_keys *of,
			    const struct guard_keys *without)
{
	char text[ADDRESS_TEXT_MAX], name[32], last[32] = "";
	size_t at = 0;

	for (size_t i = 0; i < of->n; i++) {
		const struct guard_key *k = &of->keys[i];

		if (has(without, &at, k))
			continue;
		snprintf(name, sizeof(name), "%s%d", k->port ? set : "any_port",
			 address_family(&k->address));
		if (!strcmp(name, last))
			fputs(", ", f);
		else
			fprintf(f, "%s%s element " TABLE " %s { ", last[0] ? " }\n" : "", verb,
				name);
		strcpy(last, name);
		fprintf(f, "%s . %s", address_render(&k->address, text),
			k->protocol == IPPROTO_TCP ? "tcp" : "udp");
		if (k->port)
			fprintf(f, " . %u", k->port);
	}
	if (last[0])
		fputs(" }\n", f);
}

char *guard_render(const struct settings *s, const struct guard_wanted *put,
		   const struct guard_wanted *wanted)
{
	const struct guard_wanted none = {};
	char *text = NULL;
	size_t text_len;
	FILE *f = open_memstream(&text, &text_len);

	if (!f)
		return NULL;
	if (!put) {
		render_table(f, s);
		put = &none;
	}
	render_elements(f, "delete", "services", &put->services, &wanted->services);
	render_elements(f, "delete", "backends", &put->backends, &wanted->backends);
	render_elements(f, "add", "services", &wanted->services, &put->services);
	render_elements(f, "add", "backends", &wanted->backends, &put->backends);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
