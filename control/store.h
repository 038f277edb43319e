// SPDX-License-Identifier: BSD-2-Clause
//
// Kept generations: state_dir/generations/NUMBER.yaml, each a whole model, written
// aside, fsynced and renamed; numbers only grow. The newest is the running one.
// The last STORE_KEEP are kept.
#pragma once

#include "control/model.h"

#define STORE_KEEP 100

struct store;

struct store_generation {
	uint64_t number;
	int64_t written_s; // wall clock, for people
	char cause[128];   // "apply", "backend drain web 10.1.0.12:8080", "rollback to 7"
};

// Makes the directory where it is missing. A temporary file left behind by a crash is removed.
int store_open(const char *state_dir, struct store **ret, struct err *e);
void store_close(struct store *s);

// The newest generation; an empty model of generation 0 where there is none. A file that does not
// decode is an error that names the file and says how to go on (move it away: the one before
// holds).
int store_load(struct store *s, struct model **ret, struct err *e);
int store_load_generation(struct store *s, uint64_t number, struct model **ret, struct err *e);

// Writes @m as the next generation and sets m->generation. -ENOSPC and the like leave the old
// state.
int store_save(struct store *s, struct model *m, const char *cause, struct err *e);

// Newest first. *ret is malloc'ed.
int store_list(struct store *s, struct store_generation **ret, size_t *ret_n, struct err *e);
