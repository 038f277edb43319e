// SPDX-License-Identifier: BSD-2-Clause
//
// In place of engine_dpdk.c where libdpdk is not installed.
#include <errno.h>
#include <stddef.h>

#include "tools/lb-pktgen/pktgen.h"

static int none_open(struct options *o, struct engine **ret, struct err *e)
{
	return err_set(e, -ENOTSUP,
		       "--vdev: lb-pktgen was built without DPDK; install libdpdk-dev and build");
}

static void none_close(struct engine *g)
{
}

const struct engine_kind engine_dpdk = {none_open, none_close, NULL, NULL};
