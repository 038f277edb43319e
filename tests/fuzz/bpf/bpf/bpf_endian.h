// SPDX-License-Identifier: BSD-2-Clause
//
// As bpf_helpers.h beside it: libbpf's header of this name for a process.
#pragma once

#define bpf_htons(x) __builtin_bswap16(x)
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htonl(x) __builtin_bswap32(x)
#define bpf_ntohl(x) __builtin_bswap32(x)
