// SPDX-License-Identifier: BSD-2-Clause
//
// YAML text as a tree whose nodes know their lines. JSON is read by it too: what
// JSON writes, YAML reads. Bounded, since it reads what others send: length, depth,
// number of nodes, keys of a map; no aliases, anchors or tags; a key given twice
// is refused. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/err.h"

#define TREE_TEXT_MAX_BYTES (8u << 20)
#define TREE_DEPTH_MAX 32
#define TREE_NODES_MAX (1u << 20)
#define TREE_KEYS_MAX 64 // of one map

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_node {
	enum tree_kind kind;
	bool is_quoted;			  // a scalar in quotes
	int line;			  // 1-based
	const char *key;		  // of a map's member; NULL elsewhere
	const char *text;		  // of a scalar; NULL elsewhere
	const struct tree_node *children; // in the order of the text
	const struct tree_node *next;	  // its sibling
	size_t children_n;
};

struct tree;

// Reads one document. *ret is the caller's: tree_free(). 0, or with @e filled: -EINVAL (no YAML, or
// what is refused), -E2BIG (a bound), -ENOMEM.
int tree_parse(const char *text, size_t text_len, struct tree **ret, struct err *e);
void tree_free(struct tree *t);				 // NULL is allowed
const struct tree_node *tree_root(const struct tree *t); // borrowed

// The line of what @path ("services[2].backends[0].weight") names, or of the deepest part of it
// that the text has.
int tree_lookup_line(const struct tree *t, const char *path);
