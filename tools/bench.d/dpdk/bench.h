// SPDX-License-Identifier: BSD-2-Clause
//
// bench-dpdk's parts: tables.c makes tables as lbd makes them, main.c takes packets
// through the walk on them. (tables.c is compiled with lbd's view of the core, main.c
// with the worker's: so they share nothing of the core but the tables.)
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/err.h"
#include "dataplane/native/native.h"
#include "xdp/traffic.h"

#define BENCH_NOW_S 1000000 // the clock, as of which the tables are

// What is measured: a service, and packets for it.
struct bench_row {
	const char *name;
	int family;
	uint8_t mode;	  // enum lb_mode
	uint8_t tracking; // enum lb_tracking
	bool is_udp;
	bool is_reply;
	bool is_in_transition; // every slot has `lookup` set
	uint32_t syn_percent;
	uint32_t backends_n;
	uint32_t ring;
	uint32_t vips_n; // 0: one; else each packet is for another one than that before it
};

// Tables of lbd's default limits, with the row's service in the steady state (or not), in memory.
int bench_tables(const struct bench_row *row, struct lb_tables **ret, struct err *e);
// What the tables' `connections` are in bytes.
uint64_t bench_connections_bytes(const struct lb_tables *t);
// The shape of the row's packets; ret_size: of a frame.
int bench_shape(const struct bench_row *row, uint32_t flows, struct traffic_shape *ret,
		uint32_t *ret_size, struct err *e);
