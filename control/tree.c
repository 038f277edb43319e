// SPDX-License-Identifier: BSD-2-Clause
//
// libyaml's events become nodes. Nodes and texts live in chunks that are freed
// together; nothing is freed singly. libyaml reads ahead by at most a line's 1,024
// characters, so the bounds here hold before much is read. Whoever decodes
// (fields.c) sees text only: what a scalar means is said by the key's type, never
// guessed from how it is written.
// YAML 1.1 as libyaml has it; JSON (RFC 8259) but for escaped surrogate pairs.
#include "control/tree.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define CHUNK_BYTES (64u << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

struct tree {
	struct chunk *chunks; // the newest first
	struct tree_node *root;
	size_t nodes_n;
};

// A list or map that is being read.
struct open_node {
	struct tree_node *node, *last_child;
	const char *key; // a map's key whose value comes next; NULL: a key comes next
};

struct reader {
	struct tree *tree;
	struct open_node open[TREE_DEPTH_MAX];
	size_t open_n;
	struct err *e;
};

static void *tree_alloc(struct tree *t, size_t len)
{
	struct chunk *c = t->chunks;
	void *p;

	len = (len + 15) & ~(size_t)15;
	if (!c || c->size - c->used < len) {
		size_t size = len > CHUNK_BYTES ? len : CHUNK_BYTES;

		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = t->chunks, .size = size};
		t->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += len;
	return p;
}

static int refuse_at(struct reader *r, int code, const yaml_event_t *event, const char *text)
{
	return err_set_field(r->e, code, (int)event->start_mark.line + 1, "", "%s", text);
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

// The text of a scalar event, in the tree's memory.
static int copy_text(struct reader *r, const yaml_event_t *event, const char **ret)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	char *text;

	if (memchr(value, 0, len))
		return refuse_at(r, -EINVAL, event, "a NUL in a text is not allowed");
	text = tree_alloc(r->tree, len + 1);
	if (!text)
		return out_of_memory(r->e);
	memcpy(text, value, len);
	text[len] = 0;
	*ret = text;
	return 0;
}

static int open_key(struct reader *r, struct open_node *o, const yaml_event_t *event)
{
	int rc;

	if (event->type != YAML_SCALAR_EVENT)
		return refuse_at(r, -EINVAL, event, "a key must be a word, is a list or a map");
	if (o->node->children_n >= TREE_KEYS_MAX)
		return refuse_at(r, -E2BIG, event, "more keys in one map than any map has");
	rc = copy_text(r, event, &o->key);
	if (rc < 0)
		return rc;
	for (const struct tree_node *n = o->node->children; n; n = n->next)
		if (!strcmp(n->key, o->key))
			return err_set_field(r->e, -EINVAL, (int)event->start_mark.line + 1, "",
					     "key \"%.40s\" is given twice, first in line %d",
					     o->key, n->line);
	return 0;
}

// A value: becomes the root, or the next child of the innermost open node.
static int add_node(struct reader *r, enum tree_kind kind, const yaml_event_t *event)
{
	struct open_node *o = r->open_n ? &r->open[r->open_n - 1] : NULL;
	struct tree_node *n;
	int rc;

	if (r->tree->nodes_n++ >= TREE_NODES_MAX)
		return refuse_at(r, -E2BIG, event, "more values than are read from one text");
	n = tree_alloc(r->tree, sizeof(*n));
	if (!n)
		return out_of_memory(r->e);
	*n = (struct tree_node){.kind = kind, .line = (int)event->start_mark.line + 1};
	if (kind == TREE_SCALAR) {
		n->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		rc = copy_text(r, event, &n->text);
		if (rc < 0)
			return rc;
	}
	if (!o) {
		r->tree->root = n;
	} else {
		n->key = o->key;
		o->key = NULL;
		if (o->last_child)
			o->last_child->next = n;
		else
			o->node->children = n;
		o->last_child = n;
		o->node->children_n++;
	}
	if (kind == TREE_SCALAR)
		return 0;
	if (r->open_n == TREE_DEPTH_MAX)
		return refuse_at(r, -E2BIG, event, "nested deeper than anything that is read here");
	r->open[r->open_n++] = (struct open_node){.node = n};
	return 0;
}

static bool has_anchor_or_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor || event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor || event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor || event->data.mapping_start.tag;
	default:
		return false;
	}
}

static int take_event(struct reader *r, const yaml_event_t *event)
{
	struct open_node *o = r->open_n ? &r->open[r->open_n - 1] : NULL;

	if (event->type == YAML_ALIAS_EVENT || has_anchor_or_tag(event))
		return refuse_at(
			r, -EINVAL, event,
			"aliases (*), anchors (&) and tags (!) are not taken; write it out");
	switch (event->type) {
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (o && o->node->kind == TREE_MAP && !o->key)
			return open_key(r, o, event);
		return add_node(r,
				event->type == YAML_SCALAR_EVENT	   ? TREE_SCALAR
				: event->type == YAML_SEQUENCE_START_EVENT ? TREE_LIST
									   : TREE_MAP,
				event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->open_n--;
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (r->tree->root)
			return refuse_at(r, -EINVAL, event, "a second document (---) is not taken");
		return 0;
	default:
		return 0;
	}
}

static int refuse_syntax(const yaml_parser_t *p, const char *text, struct err *e)
{
	const char *problem = p->problem ? p->problem : "no YAML";
	int line = (int)p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR)
		return out_of_memory(e);
	if (p->error == YAML_READER_ERROR) { // it knows the place, but not the line
		line = 1;
		for (size_t i = 0; i < p->problem_offset; i++)
			line += text[i] == '\n';
	}
	return err_set_field(e, -EINVAL, line, "", "is neither YAML nor JSON: %s%s%s",
			     p->context ? p->context : "", p->context ? ", " : "", problem);
}

static int read_events(yaml_parser_t *parser, struct reader *r, const char *text)
{
	yaml_event_t event;
	bool is_end = false;
	int rc = 0;

	while (!is_end && rc == 0) {
		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(parser, text, r->e);
		is_end = event.type == YAML_STREAM_END_EVENT;
		rc = take_event(r, &event);
		yaml_event_delete(&event);
	}
	if (rc == 0 && !r->tree->root)
		return err_set_field(r->e, -EINVAL, 1, "", "is empty");
	return rc;
}

int tree_parse(const char *text, size_t text_len, struct tree **ret, struct err *e)
{
	struct reader r = {.e = e};
	yaml_parser_t parser;
	int rc;

	if (text_len > TREE_TEXT_MAX_BYTES)
		return err_set(e, -E2BIG, "is longer than %u MiB", TREE_TEXT_MAX_BYTES >> 20);
	r.tree = calloc(1, sizeof(*r.tree));
	if (!r.tree)
		return out_of_memory(e);
	if (!yaml_parser_initialize(&parser)) {
		tree_free(r.tree);
		return out_of_memory(e);
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, text_len);
	rc = read_events(&parser, &r, text);
	yaml_parser_delete(&parser);
	if (rc < 0) {
		tree_free(r.tree);
		return rc;
	}
	*ret = r.tree;
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	for (struct chunk *c = t->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(t);
}

const struct tree_node *tree_root(const struct tree *t)
{
	return t->root;
}

static const struct tree_node *lookup_member(const struct tree_node *map, const char *key,
					     size_t key_len)
{
	for (const struct tree_node *n = map->children; n; n = n->next)
		if (n->key && strlen(n->key) == key_len && !memcmp(n->key, key, key_len))
			return n;
	return NULL;
}

static const struct tree_node *lookup_item(const struct tree_node *list, unsigned long idx)
{
	const struct tree_node *n = list->kind == TREE_LIST ? list->children : NULL;

	while (n && idx--)
		n = n->next;
	return n;
}

int tree_lookup_line(const struct tree *t, const char *path)
{
	const struct tree_node *n = t->root, *below = n;

	while (*path && below) {
		size_t len = strcspn(path, ".[");

		if (*path == '[') {
			char *end;

			below = lookup_item(n, strtoul(path + 1, &end, 10));
			path = *end == ']' ? end + 1 : end;
		} else {
			below = lookup_member(n, path, len);
			path += len;
		}
		if (*path == '.')
			path++;
		n = below ? below : n;
	}
	return n->line;
}
