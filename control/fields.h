// SPDX-License-Identifier: BSD-2-Clause
//
// Structs described by tables of keys: one row says a key's name, type, range,
// default and place in the struct. The same table decodes text (schema, settings),
// edits by PATCH, renders JSON, and tells people which keys there are. Pure.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/err.h"
#include "control/tree.h"

enum field_type {
	FIELD_NUMBER,	// unsigned, of `size` bytes; a word may stand for a number
	FIELD_WORD,	// one of `words`; its value is stored in `size` bytes
	FIELD_DURATION, // unsigned, of `size` bytes, in `unit_ns`; min and max in nanoseconds
	FIELD_TEXT,	// char[size]
	FIELD_STRING,	// char *, owned, at most `max` bytes
	FIELD_ADDRESS,	// struct lb_address
	FIELD_PREFIX,	// struct prefix
	FIELD_MAP,	// a struct in place, by `fields`
	FIELD_LIST,	// of `element`: count_max in place; or, count_max 0, allocated and owned
};

enum field_flag {
	FIELD_REQUIRED = 1,
	FIELD_IDENTITY = 2,    // says which object it is: required of it, but not where the caller
			       // knows; never changed by PATCH
	FIELD_OMIT_ZERO = 4,   // not rendered when 0
	FIELD_OMIT_PRESET = 8, // not rendered for people when it is the preset
};

struct field_word {
	const char *word; // NULL ends the list
	uint64_t value;
};

struct field {
	const char *key;
	enum field_type type;
	unsigned int flags;  // bits of enum field_flag
	size_t offset, size; // of the member
	size_t has_offset;   // of a bool that says that it was given; 0: none
	size_t count_offset; // FIELD_LIST: of its size_t
	size_t count_max;    // FIELD_LIST
	uint64_t min, max;   // numbers, durations; strings: max
	uint64_t unit_ns;    // FIELD_DURATION
	const struct field_word
		*words;		     // FIELD_WORD, and FIELD_NUMBER where words stand for numbers
	uint64_t preset;	     // as stored; written before decoding
	const char *preset_text;     // FIELD_STRING
	const struct fields *fields; // FIELD_MAP
	const struct field *element; // FIELD_LIST; its offset is 0
	const char *help;	     // a phrase for people
};

struct fields {
	const struct field *list;
	size_t n;
	size_t line_offset; // of an int that is set to the line; 0: none
	bool has_short;	    // a lone scalar means its first key: `check: tcp`
};

#define FIELDS_N(array) (sizeof(array) / sizeof(*(array)))

struct fields_mode {
	bool is_patch;	   // what is given changes *obj; nothing is required; keys may be "a.b"; no
			   // lists
	bool has_identity; // the caller knows the identity of *obj
	bool is_lenient;   // numbers may be quoted
};

// Decodes @node into *obj (zeroed by the caller, or decoded before in a patch); presets first, but
// in a patch. 0, or -EINVAL or -ENOMEM with @e filled; what *obj owns is then for fields_fini().
int fields_decode(const struct fields *f, const struct tree_node *node, struct fields_mode mode,
		  void *obj, struct err *e);
// Frees the strings and lists that *obj owns, and clears their pointers and counts.
void fields_fini(const struct fields *f, void *obj);

// The keys in the table's order. @for_people leaves out what is FIELD_OMIT_PRESET. The caller owns
// it. NULL: out of memory.
json_t *fields_render(const struct fields *f, const void *obj, bool for_people);

// "0 to 1000", "nat, l2 or ipip", "a duration such as 250ms, 2s, 15m or 1h". Returns @buf.
const char *fields_render_expected(const struct field *f, char *buf, size_t buf_len);
// The word for @value, or "?".
const char *fields_lookup_word(const struct field_word *words, uint64_t value);
