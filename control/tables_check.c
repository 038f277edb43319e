// SPDX-License-Identifier: BSD-2-Clause
//
// Whether tables that were found are what would be made now: the same program's, of
// the same sizes, with the same key. Of both dataplanes; called before anything of
// them is mapped or changed. Pure.
#include <errno.h>
#include <string.h>

#include "control/pins.h"
#include "control/tables_list.h"

static int check_limit(const char *field, uint64_t found, uint64_t wanted, struct err *e)
{
	if (found == wanted)
		return 0;
	return err_set_field(
		e, -EINVAL, 0, field,
		"is %llu, but the tables in use were made for %llu: set it back, or " PINS_MEND,
		(unsigned long long)wanted, (unsigned long long)found);
}

int tables_check_meta(const struct lb_meta *found, const struct lb_meta *wanted, struct err *e)
{
	int status;

	if (found->magic != wanted->magic)
		return err_set(e, -EINVAL, "the tables in use are not Sluice's; " PINS_MEND);
	if (found->layout_version != wanted->layout_version)
		return err_set(e, -EINVAL,
			       "the tables in use have layout version %u, this lbd has %u: start "
			       "the lbd that made them, or " PINS_MEND,
			       found->layout_version, wanted->layout_version);
	status = check_limit("limits.services", (found->service_n - 1) / 2,
			     (wanted->service_n - 1) / 2, e);
	if (!status)
		status = check_limit("limits.backends", found->backend_n - 1, wanted->backend_n - 1,
				     e);
	if (!status)
		status = check_limit("limits.slots", found->slot_n, wanted->slot_n, e);
	if (!status)
		status = check_limit("limits.connections",
				     ((uint64_t)found->connection_mask + 1) * LB_ENTRIES_PER_LINE,
				     ((uint64_t)wanted->connection_mask + 1) * LB_ENTRIES_PER_LINE,
				     e);
	if (status)
		return status;
	if (found->cpu_n != wanted->cpu_n)
		return err_set(e, -EINVAL,
			       "the tables in use count for %u CPUs, this host has %u; " PINS_MEND,
			       found->cpu_n, wanted->cpu_n);
	if (memcmp(found->hash_key, wanted->hash_key, sizeof(wanted->hash_key)))
		return err_set_field(e, -EINVAL, 0, "hash_key_file",
				     "holds another key than the tables in use: put the old key "
				     "back, or " PINS_MEND);
	return 0;
}
