// SPDX-License-Identifier: BSD-2-Clause
//
// The parameters of a trace, read and explained.
#include "control/trace_filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"
#include "control/nearest.h"
#include "control/reasons.h"

#define WORD_MAX 32

// Words that a parameter may list.
struct vocabulary {
	const char *name; // of the parameter
	const char *mend; // where they are shown
	const char *(*word)(uint32_t i);
	uint32_t n;
};

static const char *reason_word(uint32_t i)
{
	return reason_label((enum lb_reason)i);
}

static const char *verdict_word(uint32_t i)
{
	return verdict_name((enum lb_verdict)i);
}

static const struct vocabulary reasons = {"reason", "`lbctl drops --all` shows them", reason_word,
					  LB_REASON_N};
static const struct vocabulary verdicts = {"verdict", "pass, drop, transmit and answer are known",
					   verdict_word, LB_VERDICT_N};
static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"icmp", IPPROTO_ICMP},
	{"icmpv6", IPPROTO_ICMPV6},
};

static int parse_protocol(const char *text, struct lb_trace_filter *f, struct err *e)
{
	unsigned int number;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(text, protocols[i].name))
			continue;
		f->protocol = protocols[i].number;
		return 0;
	}
	if (number_parse(text, 255, &number))
		return err_set_field(e, -EPROTO, 0, "protocol",
				     "must be tcp, udp, icmp, icmpv6 or a number up to 255, is "
				     "%.32s",
				     text);
	f->protocol = (__u16)number;
	return 0;
}

// ---- ends ----

// Splits "ADDRESS[/LEN][:PORT]" or "[ADDRESS[/LEN]]:PORT" into @host (ADDRESS_TEXT_MAX; "": none)
// and the port's text (NULL: none).
static int split_end(const char *text, char *host, const char **ret_port)
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text);
	const char *port = NULL;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) {
		end = colon;
		port = colon + 1;
	}
	if ((size_t)(end - text) >= ADDRESS_TEXT_MAX)
		return -EINVAL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	*ret_port = port;
	return 0;
}

static int parse_end(const char *name, const char *text, struct lb_address *ret_prefix,
		     struct lb_address *ret_mask, __be16 *ret_port, struct err *e)
{
	char host[ADDRESS_TEXT_MAX];
	const char *port_text;
	unsigned int port = 0;
	struct prefix p;
	bool is_sound = !split_end(text, host, &port_text);

	if (is_sound && port_text)
		is_sound = !number_parse(port_text, 65535, &port) && port;
	if (is_sound && (*host || !port_text))
		is_sound = !prefix_parse(host, &p);
	if (!is_sound)
		return err_set_field(e, -EPROTO, 0, name,
				     "must be an address, a prefix, a port or both, such as "
				     "198.51.100.7, 198.51.100.0/24:80, [2001:db8::7]:80 or :80, "
				     "is %.64s",
				     text);
	if (*host) {
		*ret_mask = prefix_mask(&p);
		for (int i = 0; i < 2; i++)
			ret_prefix->halves[i] = p.address.halves[i] & ret_mask->halves[i];
	}
	*ret_port = htons((uint16_t)port);
	return 0;
}

// ---- reasons ----

// v->n: there is no such word.
static uint32_t lookup_word(const struct vocabulary *v, const char *word)
{
	uint32_t i = 0;

	while (i < v->n && strcmp(v->word(i), word) != 0)
		i++;
	return i;
}

static int refuse_word(const struct vocabulary *v, const char *word, struct err *e)
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (nearest_is_close(word, v->word(i)))
			return err_set_field(e, -EPROTO, 0, v->name,
					     "there is no %s %.32s; did you mean %s?", v->name,
					     word, v->word(i));
	}
	return err_set_field(e, -EPROTO, 0, v->name, "there is no %s %.32s; %s", v->name, word,
			     v->mend);
}

// Bits of the words that @text lists.
static int parse_words(const struct vocabulary *v, const char *text, __u64 *ret, struct err *e)
{
	char word[WORD_MAX];
	__u64 bits = 0;

	for (;;) {
		size_t len = strcspn(text, ",");
		uint32_t found;

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		found = lookup_word(v, word);
		if (found == v->n)
			return refuse_word(v, word, e);
		bits |= 1ull << found;
		if (!text[len])
			break;
		text += len + 1;
	}
	*ret = bits;
	return 0;
}

static uint64_t reasons_of(uint64_t verdict_bits)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < LB_REASON_N; i++)
		bits |= (verdict_bits >> lb_reason_verdict((enum lb_reason)i) & 1) << i;
	return bits;
}

static int parse_reasons(const char *reason, const char *verdict, struct lb_trace_filter *f,
			 struct err *e)
{
	__u64 bits;
	int status = 0;

	if (reason)
		status = parse_words(&reasons, reason, &f->reasons, e);
	if (status || !verdict)
		return status;
	status = parse_words(&verdicts, verdict, &bits, e);
	if (status)
		return status;
	f->reasons &= reasons_of(bits);
	if (!f->reasons)
		return err_set_field(e, -EPROTO, 0, "verdict",
				     "no such reason has this verdict: nothing would be shown");
	return 0;
}

// ---- all ----

static int parse_limit(const char *name, const char *text, unsigned int min, unsigned int max,
		       unsigned int *ret, struct err *e)
{
	if (text && (number_parse(text, max, ret) || *ret < min))
		return err_set_field(e, -EPROTO, 0, name, "must be %u to %u, is %.32s", min, max,
				     text);
	return 0;
}

static int check_families(const struct lb_trace_filter *f, struct err *e)
{
	const struct lb_address none = {};

	if (address_is_equal(&f->source_mask, &none) ||
	    address_is_equal(&f->destination_mask, &none) ||
	    address_is_ipv4(&f->source) == address_is_ipv4(&f->destination))
		return 0;
	return err_set_field(e, -EPROTO, 0, "destination", "must be of the source's family, IPv%d",
			     address_family(&f->source));
}

int trace_filter_parse(const char *(*get)(void *arg, const char *name), void *arg,
		       struct lb_trace_filter *ret, struct err *e)
{
	struct lb_trace_filter f = {.reasons = LB_TRACE_REASONS_ALL,
				    .protocol = LB_TRACE_ANY_PROTOCOL};
	unsigned int rate = TRACE_RATE_DEFAULT, snap = TRACE_SNAP_DEFAULT;
	const char *source = get(arg, "source"), *destination = get(arg, "destination");
	const char *protocol = get(arg, "protocol");
	int status = protocol ? parse_protocol(protocol, &f, e) : 0;

	if (!status && source)
		status = parse_end("source", source, &f.source, &f.source_mask, &f.source_port, e);
	if (!status && destination)
		status = parse_end("destination", destination, &f.destination, &f.destination_mask,
				   &f.destination_port, e);
	if (!status)
		status = check_families(&f, e);
	if (!status)
		status = parse_reasons(get(arg, "reason"), get(arg, "verdict"), &f, e);
	if (!status)
		status = parse_limit("rate", get(arg, "rate"), 1, TRACE_RATE_MAX, &rate, e);
	if (!status)
		status = parse_limit("snap", get(arg, "snap"), TRACE_SNAP_MIN, LB_TRACE_SNAP_MAX,
				     &snap, e);
	if (status)
		return status;
	f.rate = (__u32)rate;
	f.snap = (__u16)snap;
	*ret = f;
	return 0;
}
