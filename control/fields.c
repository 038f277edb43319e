// SPDX-License-Identifier: BSD-2-Clause
//
// Decoding by tables: a tree of text comes in, a struct goes out, or one error that
// names the field, the line, what was expected and what is there. Every type has a
// row in `types`; a map's members recurse. Called by schema.c and settings.c; the
// other direction is fields_render.c. Pure.
#include "control/fields.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/duration.h"
#include "control/nearest.h"

// Where the decoder is: from the innermost outwards.
struct path {
	const struct path *up;
	const char *key; // NULL: an item of a list
	size_t idx;
};

struct decoder {
	struct fields_mode mode;
	struct err *e;
};

static size_t render_path(const struct path *p, char *buf, size_t buf_len)
{
	size_t used;

	if (!p)
		return 0;
	used = render_path(p->up, buf, buf_len);
	if (used >= buf_len)
		return used;
	if (p->key)
		used += (size_t)snprintf(buf + used, buf_len - used, "%s%s", used ? "." : "",
					 p->key);
	else
		used += (size_t)snprintf(buf + used, buf_len - used, "[%zu]", p->idx);
	return used;
}

static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text == 0x7f)
			*text = '?';
}

static int refuse(struct decoder *d, const struct path *p, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(struct decoder *d, const struct path *p, int line, const char *format, ...)
{
	char field[sizeof(d->e->field)] = "", text[sizeof(d->e->text)];
	va_list args;

	render_path(p, field, sizeof(field));
	make_printable(field); // an unknown key may be anything
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err_set_field(d->e, -EINVAL, line, field, "%s", text);
}

// What is there, for an error: short, printable, as it was written.
static const char *describe(const struct tree_node *n, char *buf, size_t buf_len)
{
	if (n->kind == TREE_SCALAR && (n->text[0] || n->is_quoted)) {
		bool is_long = strlen(n->text) > 40;

		if (!is_long && n->text[strspn(n->text, "-0123456789")] == 0 && !n->is_quoted)
			snprintf(buf, buf_len, "%s", n->text);
		else
			snprintf(buf, buf_len, "\"%.40s%s\"", n->text, is_long ? "..." : "");
		make_printable(buf);
		return buf;
	}
	snprintf(buf, buf_len, "%s",
		 n->kind == TREE_LIST  ? "a list"
		 : n->kind == TREE_MAP ? "a map"
				       : "empty");
	return buf;
}

static int refuse_value(struct decoder *d, const struct path *p, const struct field *f,
			const struct tree_node *n)
{
	char expected[256], is[64];
	const char *of = f->type == FIELD_NUMBER && n->is_quoted ? ", without quotes" : "";

	return refuse(d, p, n->line, "must be %s%s, is %s",
		      fields_render_expected(f, expected, sizeof(expected)), of,
		      describe(n, is, sizeof(is)));
}

static void store(const struct field *f, void *obj, uint64_t value)
{
	char *member = (char *)obj + f->offset;

	switch (f->size) {
	case 1:
		*(uint8_t *)member = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)member = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)member = (uint32_t)value;
		break;
	default:
		*(uint64_t *)member = value;
		break;
	}
}

static bool parse_word(const struct field_word *words, const char *text, uint64_t *ret)
{
	for (; words && words->word; words++) {
		if (strcmp(words->word, text) != 0)
			continue;
		*ret = words->value;
		return true;
	}
	return false;
}

// Digits without a leading zero.
static bool parse_number(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}

static int decode_number(struct decoder *d, const struct field *f, const struct tree_node *n,
			 void *obj, const struct path *p)
{
	uint64_t value;

	if (!parse_word(f->words, n->text, &value)) {
		if ((n->is_quoted && !d->mode.is_lenient) || !parse_number(n->text, &value) ||
		    value < f->min || value > f->max)
			return refuse_value(d, p, f, n);
	}
	store(f, obj, value);
	return 0;
}

static int decode_word(struct decoder *d, const struct field *f, const struct tree_node *n,
		       void *obj, const struct path *p)
{
	uint64_t value;

	if (!parse_word(f->words, n->text, &value))
		return refuse_value(d, p, f, n);
	store(f, obj, value);
	return 0;
}

static int decode_duration(struct decoder *d, const struct field *f, const struct tree_node *n,
			   void *obj, const struct path *p)
{
	char is[64], min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX], unit[DURATION_TEXT_MAX];
	uint64_t ns;
	int r;

	if (parse_number(n->text, &ns))
		return refuse(d, p, n->line,
			      "must have a unit (ms, s, m, h), is the bare number %s",
			      describe(n, is, sizeof(is)));
	r = duration_parse(n->text, &ns);
	if (r == -EINVAL)
		return refuse_value(d, p, f, n);
	if (r < 0 || ns < f->min || ns > f->max)
		return refuse(d, p, n->line, "must be %s to %s, is %s",
			      duration_render(f->min, min), duration_render(f->max, max),
			      describe(n, is, sizeof(is)));
	if (ns % f->unit_ns)
		return refuse(d, p, n->line, "must be a multiple of %s, is %s",
			      duration_render(f->unit_ns, unit), describe(n, is, sizeof(is)));
	store(f, obj, ns / f->unit_ns);
	return 0;
}

static int decode_text(struct decoder *d, const struct field *f, const struct tree_node *n,
		       void *obj, const struct path *p)
{
	if (!n->text[0] || strlen(n->text) >= f->size)
		return refuse_value(d, p, f, n);
	snprintf((char *)obj + f->offset, f->size, "%s", n->text);
	return 0;
}

static int decode_string(struct decoder *d, const struct field *f, const struct tree_node *n,
			 void *obj, const struct path *p)
{
	char **member = (char **)((char *)obj + f->offset);
	char *copy;

	if ((!n->text[0] && !n->is_quoted) || strlen(n->text) > f->max)
		return refuse_value(d, p, f, n);
	copy = strdup(n->text);
	if (!copy)
		return err_set(d->e, -ENOMEM, "out of memory");
	free(*member);
	*member = copy;
	return 0;
}

static int decode_address(struct decoder *d, const struct field *f, const struct tree_node *n,
			  void *obj, const struct path *p)
{
	struct lb_address a;

	if (address_parse(n->text, &a) < 0)
		return refuse_value(d, p, f, n);
	memcpy((char *)obj + f->offset, &a, sizeof(a));
	return 0;
}

static int decode_prefix(struct decoder *d, const struct field *f, const struct tree_node *n,
			 void *obj, const struct path *p)
{
	struct prefix prefix;

	if (prefix_parse(n->text, &prefix) < 0)
		return refuse_value(d, p, f, n);
	memcpy((char *)obj + f->offset, &prefix, sizeof(prefix));
	return 0;
}

static int set_presets(struct decoder *d, const struct fields *fields, void *obj);
static int decode_members(struct decoder *d, const struct fields *fields, const struct tree_node *n,
			  void *obj, const struct path *p);
static int decode_field(struct decoder *d, const struct field *f, const struct tree_node *n,
			void *obj, const struct path *p);

static int decode_map(struct decoder *d, const struct field *f, const struct tree_node *n,
		      void *obj, const struct path *p)
{
	return decode_members(d, f->fields, n, (char *)obj + f->offset, p);
}

static int decode_list(struct decoder *d, const struct field *f, const struct tree_node *n,
		       void *obj, const struct path *p)
{
	size_t *count = (size_t *)((char *)obj + f->count_offset);
	char *items = (char *)obj + f->offset;
	int r = 0;

	if (d->mode.is_patch)
		return refuse(d, p, n->line,
			      "is a list, which is not changed in parts; PUT the whole");
	if (f->count_max && n->children_n > f->count_max)
		return refuse(d, p, n->line, "must have at most %zu items, has %zu", f->count_max,
			      n->children_n);
	if (!f->count_max) {
		items = calloc(n->children_n + 1, f->element->size);
		if (!items)
			return err_set(d->e, -ENOMEM, "out of memory");
		*(void **)((char *)obj + f->offset) = items;
	}
	for (const struct tree_node *child = n->children; child && r == 0; child = child->next) {
		struct path item = {.up = p, .idx = *count};
		void *element = items + *count * f->element->size;

		if (f->element->type == FIELD_MAP)
			r = set_presets(d, f->element->fields, element);
		r = r ? r : decode_field(d, f->element, child, element, &item);
		++*count; // a failed one too: it may own something
	}
	return r;
}

typedef int (*decode_fn)(struct decoder *d, const struct field *f, const struct tree_node *n,
			 void *obj, const struct path *p);

static const struct {
	decode_fn decode;
	enum tree_kind kind;
} types[] = {
	[FIELD_NUMBER] = {decode_number, TREE_SCALAR},
	[FIELD_WORD] = {decode_word, TREE_SCALAR},
	[FIELD_DURATION] = {decode_duration, TREE_SCALAR},
	[FIELD_TEXT] = {decode_text, TREE_SCALAR},
	[FIELD_STRING] = {decode_string, TREE_SCALAR},
	[FIELD_ADDRESS] = {decode_address, TREE_SCALAR},
	[FIELD_PREFIX] = {decode_prefix, TREE_SCALAR},
	[FIELD_MAP] = {decode_map, TREE_MAP},
	[FIELD_LIST] = {decode_list, TREE_LIST},
};

static int decode_field(struct decoder *d, const struct field *f, const struct tree_node *n,
			void *obj, const struct path *p)
{
	bool is_short = f->type == FIELD_MAP && f->fields->has_short && n->kind == TREE_SCALAR;
	int r;

	if (is_short) {
		struct path first = {.up = p, .key = f->fields->list[0].key};

		r = decode_field(d, &f->fields->list[0], n, (char *)obj + f->offset, &first);
	} else if (n->kind != types[f->type].kind) {
		r = refuse_value(d, p, f, n);
	} else {
		r = types[f->type].decode(d, f, n, obj, p);
	}
	if (r == 0 && f->has_offset)
		*(bool *)((char *)obj + f->has_offset) = true;
	return r;
}

static const struct field *lookup_field(const struct fields *fields, const char *key,
					size_t key_len)
{
	for (size_t i = 0; i < fields->n; i++)
		if (strlen(fields->list[i].key) == key_len &&
		    !memcmp(fields->list[i].key, key, key_len))
			return &fields->list[i];
	return NULL;
}

static int refuse_unknown(struct decoder *d, const struct fields *fields, const char *key, int line,
			  const struct path *p)
{
	const char *nearest = NULL;
	char known[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < fields->n; i++) {
		const char *k = fields->list[i].key;

		if (nearest_is_close(key, k) &&
		    (!nearest || nearest_distance(key, k) < nearest_distance(key, nearest)))
			nearest = k;
		if (used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
						 i ? ", " : "", k);
	}
	if (nearest)
		return refuse(d, p, line, "is no known key; did you mean `%s`?", nearest);
	return refuse(d, p, line, "is no known key; known are %s", known);
}

// @key: the member's, or in a patch "check.interval". Sets *ret_field to the table's row.
static int decode_member(struct decoder *d, const struct fields *fields, const char *key,
			 const struct tree_node *n, void *obj, const struct path *up,
			 const struct field **ret_field)
{
	size_t key_len = d->mode.is_patch ? strcspn(key, ".") : strlen(key);
	const struct field *f = lookup_field(fields, key, key_len);
	bool is_known = f && (!key[key_len] || f->type == FIELD_MAP);
	struct path p = {.up = up, .key = is_known ? f->key : key};

	if (!is_known)
		return refuse_unknown(d, fields, key, n->line, &p);
	*ret_field = f;
	if (d->mode.is_patch && f->flags & FIELD_IDENTITY)
		return refuse(d, &p, n->line, "says which one it is and cannot be changed");
	if (key[key_len])
		return decode_member(d, f->fields, key + key_len + 1, n, (char *)obj + f->offset,
				     &p, &f);
	return decode_field(d, f, n, obj, &p);
}

static int set_presets(struct decoder *d, const struct fields *fields, void *obj)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct field *f = &fields->list[i];
		char **member = (char **)((char *)obj + f->offset);
		int r = 0;

		if (f->preset)
			store(f, obj, f->preset);
		if (f->preset_text && !(*member = strdup(f->preset_text)))
			return err_set(d->e, -ENOMEM, "out of memory");
		if (f->type == FIELD_MAP)
			r = set_presets(d, f->fields, (char *)obj + f->offset);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_members(struct decoder *d, const struct fields *fields, const struct tree_node *n,
			  void *obj, const struct path *p)
{
	uint64_t given = 0;

	if (fields->line_offset)
		*(int *)((char *)obj + fields->line_offset) = n->line;
	for (const struct tree_node *child = n->children; child; child = child->next) {
		const struct field *f;
		int r = decode_member(d, fields, child->key, child, obj, p, &f);

		if (r < 0)
			return r;
		given |= 1ull << (f - fields->list);
	}
	for (size_t i = 0; i < fields->n && !d->mode.is_patch; i++) {
		const struct field *f = &fields->list[i];
		struct path missing = {.up = p, .key = f->key};
		bool is_known = d->mode.has_identity && !p;
		bool is_needed =
			f->flags & FIELD_REQUIRED || (f->flags & FIELD_IDENTITY && !is_known);
		char expected[256];

		if (is_needed && !(given >> i & 1))
			return refuse(d, &missing, n->line, "is missing: must be %s",
				      fields_render_expected(f, expected, sizeof(expected)));
	}
	return 0;
}

int fields_decode(const struct fields *f, const struct tree_node *node, struct fields_mode mode,
		  void *obj, struct err *e)
{
	struct decoder d = {.mode = mode, .e = e};
	const struct field whole = {.type = FIELD_MAP, .fields = f};
	int r = mode.is_patch ? 0 : set_presets(&d, f, obj);

	return r < 0 ? r : decode_field(&d, &whole, node, obj, NULL);
}
