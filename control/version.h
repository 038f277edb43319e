// SPDX-License-Identifier: BSD-2-Clause
//
// The version that lbd and the programs around it report.
#pragma once

#define LBD_VERSION "0.1.0"
