// SPDX-License-Identifier: BSD-2-Clause
#include "control/kernel_route.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "xdp/route.skel.h"

int kernel_route_load(void)
{
	libbpf_print_fn_t before = libbpf_set_print(NULL); // explain says what it does not know
	struct route_bpf *skeleton = route_bpf__open_and_load();
	int fd = -errno;

	libbpf_set_print(before);
	if (!skeleton)
		return fd;
	fd = fcntl(bpf_program__fd(skeleton->progs.lb_route), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	route_bpf__destroy(skeleton);
	return fd;
}

int kernel_route_ask(int fd, uint32_t ifindex, const struct lb_route_query *query,
		     struct lb_route_answer *ret)
{
	struct lb_route_query packet = *query;
	struct xdp_md context = {.data_end = sizeof(packet), .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &packet, .data_size_in = sizeof(packet),
		    .data_out = &packet, .data_size_out = sizeof(packet), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);
	int status = bpf_prog_test_run_opts(fd, &run);

	if (status)
		return status;
	if (run.retval != XDP_PASS)
		return -EIO;
	memcpy(ret, &packet, sizeof(*ret));
	return 0;
}
