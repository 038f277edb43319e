// SPDX-License-Identifier: BSD-2-Clause
//
// The XDP engine: has the kernel run the program `traffic_send` with live frames
// (BPF_PROG_TEST_RUN, BPF_F_TEST_XDP_LIVE_FRAMES), once a packet, and puts the counting
// program on the sink. Both are gone with this process.
#include "tools/lb-pktgen/pktgen.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/traffic.skel.h"

#define BATCH_PKTS 64 // the kernel's own default; a receiving veth has room for 256

struct xdp_engine {
	struct engine engine;
	struct traffic_bpf *program;
	int sink_fd; // link; -1: none
	uint32_t size;
	uint8_t frame[SHAPE_SIZE_MAX];
};

static int get_interface(const char *name, uint32_t *ret_ifindex, uint8_t ret_mac[6], struct err *e)
{
	struct ifreq request = {0};
	int fd, code = 0;

	*ret_ifindex = if_nametoindex(name);
	if (!*ret_ifindex)
		return err_set(e, -ENODEV, "%s: no such interface; `ip link` shows them", name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
		code = err_set(e, -errno, "%s: has no MAC address: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
	memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
	return code;
}

static int attach_sink(struct xdp_engine *g, const char *sink, struct err *e)
{
	static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	int program_fd = bpf_program__fd(g->program->progs.traffic_sink);
	uint32_t ifindex = if_nametoindex(sink);

	if (!ifindex)
		return err_set(e, -ENODEV, "%s: no such interface; `ip link` shows them", sink);
	for (size_t i = 0; i < 2 && g->sink_fd < 0; i++) {
		LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = modes[i]);

		g->sink_fd = bpf_link_create(program_fd, ifindex, BPF_XDP, &opts);
		if (g->sink_fd < 0 && errno == EBUSY)
			break;
	}
	if (g->sink_fd < 0)
		return err_set(e, -errno, "--sink %s: takes no XDP program: %s", sink,
			       strerror(errno));
	return 0;
}

static void xdp_close(struct engine *engine)
{
	struct xdp_engine *g = (struct xdp_engine *)engine;

	if (!g)
		return;
	if (g->sink_fd >= 0)
		close(g->sink_fd);
	traffic_bpf__destroy(g->program);
	free(g);
}

static int xdp_open(struct options *o, struct engine **ret, struct err *e)
{
	struct xdp_engine *g = calloc(1, sizeof(*g));
	struct traffic_shape shape;
	uint32_t ifindex;
	uint8_t mac[6];
	int code;

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->engine.kind = &engine_xdp;
	g->sink_fd = -1;
	code = get_interface(o->interface, &ifindex, mac, e);
	if (!code)
		code = shape_build(o, ifindex, mac, &shape, e);
	if (code)
		goto fail;
	g->size = o->size;
	g->program = traffic_bpf__open();
	if (!g->program) {
		code = err_set(e, -errno, "the program cannot be opened: %s", strerror(errno));
		goto fail;
	}
	// The skeleton's section is constant to the program only.
	memcpy((void *)&g->program->rodata->shape, &shape, sizeof(shape));
	code = traffic_bpf__load(g->program);
	if (code) {
		code = err_set(e, code, "the program cannot be loaded: %s",
			       code == -EPERM ? "run lb-pktgen as root" : strerror(-code));
		goto fail;
	}
	code = o->sink ? attach_sink(g, o->sink, e) : 0;
	if (code)
		goto fail;
	*ret = &g->engine;
	return 0;
fail:
	xdp_close(&g->engine);
	return code;
}

static int xdp_send(struct engine *engine, uint32_t pkts, struct err *e)
{
	struct xdp_engine *g = (struct xdp_engine *)engine;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = g->frame, .data_size_in = g->size,
		    .repeat = pkts, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH_PKTS);
	int code = bpf_prog_test_run_opts(bpf_program__fd(g->program->progs.traffic_send), &run);

	// A signal ends the run; the caller sees the signal.
	if (code && code != -EINTR)
		return err_set(e, code, "the kernel does not send (since Linux 5.18 it can): %s",
			       strerror(-code));
	return 0;
}

static void xdp_get_received(struct engine *engine, struct traffic_counters *ret)
{
	struct xdp_engine *g = (struct xdp_engine *)engine;
	int cpus_n = libbpf_num_possible_cpus();
	struct traffic_counters *rows = calloc(cpus_n > 0 ? cpus_n : 1, sizeof(*rows));
	uint32_t zero = 0;

	*ret = (struct traffic_counters){0};
	if (rows && !bpf_map_lookup_elem(bpf_map__fd(g->program->maps.received), &zero, rows))
		for (int i = 0; i < cpus_n; i++) {
			ret->pkts += rows[i].pkts;
			ret->bytes += rows[i].bytes;
		}
	free(rows);
}

const struct engine_kind engine_xdp = {xdp_open, xdp_close, xdp_send, xdp_get_received};
