// SPDX-License-Identifier: BSD-2-Clause
//
// The other direction of fields.c: a struct goes out as JSON, key by key in the
// table's order; what a key may be goes out as a phrase for errors and help; and
// what a struct owns is freed. YAML is written from this JSON (schema_render.c), so
// that both say the same. Pure.
#include "control/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/duration.h"

static uint64_t load(const struct field *f, const void *obj)
{
	const char *member = (const char *)obj + f->offset;

	switch (f->size) {
	case 1:
		return *(const uint8_t *)member;
	case 2:
		return *(const uint16_t *)member;
	case 4:
		return *(const uint32_t *)member;
	default:
		return *(const uint64_t *)member;
	}
}

const char *fields_lookup_word(const struct field_word *words, uint64_t value)
{
	for (; words && words->word; words++)
		if (words->value == value)
			return words->word;
	return "?";
}

static json_t *render_value(const struct field *f, const void *obj, bool for_people);

static json_t *render_list(const struct field *f, const void *obj, bool for_people)
{
	const char *items = (const char *)obj + f->offset;
	size_t count = *(const size_t *)((const char *)obj + f->count_offset);
	json_t *list = json_array();

	if (!f->count_max)
		items = *(const char *const *)((const char *)obj + f->offset);
	for (size_t i = 0; i < count && list; i++) {
		json_t *item = render_value(f->element, items + i * f->element->size, for_people);

		if (json_array_append_new(list, item) < 0) { // takes a NULL as a failure too
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

// NULL: out of memory.
static json_t *render_value(const struct field *f, const void *obj, bool for_people)
{
	const char *member = (const char *)obj + f->offset;
	char text[ADDRESS_TEXT_MAX];
	const char *word;
	uint64_t value;

	switch (f->type) {
	case FIELD_NUMBER:
		value = load(f, obj);
		word = fields_lookup_word(f->words, value);
		return *word != '?' ? json_string(word) : json_integer((json_int_t)value);
	case FIELD_WORD:
		return json_string(fields_lookup_word(f->words, load(f, obj)));
	case FIELD_DURATION:
		return json_string(duration_render(load(f, obj) * f->unit_ns, text));
	case FIELD_TEXT:
		return json_string(member);
	case FIELD_STRING:
		return json_string(*(const char *const *)member);
	case FIELD_ADDRESS:
		return json_string(address_render((const struct lb_address *)member, text));
	case FIELD_PREFIX:
		return json_string(prefix_render((const struct prefix *)member, text));
	case FIELD_MAP:
		return fields_render(f->fields, member, for_people);
	case FIELD_LIST:
		return render_list(f, obj, for_people);
	}
	return NULL;
}

static bool is_absent(const struct field *f, const void *obj, bool for_people)
{
	bool is_number =
		f->type == FIELD_NUMBER || f->type == FIELD_WORD || f->type == FIELD_DURATION;

	if (f->has_offset && !*(const bool *)((const char *)obj + f->has_offset))
		return true;
	if (f->type == FIELD_STRING && !*(char *const *)((const char *)obj + f->offset))
		return true;
	if (is_number && f->flags & FIELD_OMIT_ZERO && !load(f, obj))
		return true;
	return is_number && for_people && f->flags & FIELD_OMIT_PRESET && load(f, obj) == f->preset;
}

json_t *fields_render(const struct fields *f, const void *obj, bool for_people)
{
	json_t *map = json_object();

	for (size_t i = 0; i < f->n && map; i++) {
		const struct field *field = &f->list[i];
		json_t *value;

		if (is_absent(field, obj, for_people))
			continue;
		value = render_value(field, obj, for_people);
		// A map of which nothing is set is not there.
		if (value && field->type == FIELD_MAP && !json_object_size(value)) {
			json_decref(value);
			continue;
		}
		if (json_object_set_new(map, field->key, value) < 0) {
			json_decref(map);
			map = NULL;
		}
	}
	return map;
}

void fields_fini(const struct fields *f, void *obj)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct field *field = &f->list[i];
		char *member = (char *)obj + field->offset;

		if (field->type == FIELD_STRING) {
			free(*(char **)member);
			*(char **)member = NULL;
		} else if (field->type == FIELD_MAP) {
			fields_fini(field->fields, member);
		} else if (field->type == FIELD_LIST) {
			size_t *count = (size_t *)((char *)obj + field->count_offset);
			char *items = field->count_max ? member : *(char **)member;

			for (; *count && field->element->type == FIELD_MAP; --*count)
				fields_fini(field->element->fields,
					    items + (*count - 1) * field->element->size);
			*count = 0;
			if (!field->count_max) {
				free(items);
				*(char **)member = NULL;
			}
		}
	}
}

// "tcp or udp", "nat, l2 or ipip".
static void render_words(const struct field_word *words, char *buf, size_t buf_len)
{
	size_t used = 0;

	for (; words->word && used < buf_len; words++) {
		const char *joint = !used ? "" : words[1].word ? ", " : " or ";

		used += (size_t)snprintf(buf + used, buf_len - used, "%s%s", joint, words->word);
	}
}

const char *fields_render_expected(const struct field *f, char *buf, size_t buf_len)
{
	static const char *const phrases[] = {
		[FIELD_DURATION] = "a duration such as 250ms, 2s, 15m or 1h",
		[FIELD_ADDRESS] = "an address such as 10.1.0.11 or 2001:db8::11",
		[FIELD_PREFIX] = "an address or prefix such as 10.0.0.0/24 or 2001:db8::/64",
		[FIELD_MAP] = "a map (key: value)",
		[FIELD_LIST] = "a list ([ONE, MORE])",
	};
	char words[128] = "";

	if (f->words)
		render_words(f->words, words, sizeof(words));
	if (f->type == FIELD_NUMBER)
		snprintf(buf, buf_len, "%llu to %llu%s%s", (unsigned long long)f->min,
			 (unsigned long long)f->max, words[0] ? " or " : "", words);
	else if (f->type == FIELD_WORD)
		snprintf(buf, buf_len, "%s", words);
	else if (f->type == FIELD_TEXT)
		snprintf(buf, buf_len, "a text of 1 to %zu characters", f->size - 1);
	else if (f->type == FIELD_STRING)
		snprintf(buf, buf_len, "a text of at most %llu characters",
			 (unsigned long long)f->max);
	else
		snprintf(buf, buf_len, "%s", phrases[f->type]);
	return buf;
}
