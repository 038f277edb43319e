// SPDX-License-Identifier: BSD-2-Clause
//
// The HTTP API on run_dir/lbd.sock (docs/reference.md): paths,
// methods, statuses, problem+json. A path is a row in a table; a resource a file.
#pragma once

#include "control/err.h"

struct api;
struct lbd;

int api_start(struct lbd *d, struct api **ret, struct err *e);
void api_stop(struct api *a);
