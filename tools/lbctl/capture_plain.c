// SPDX-License-Identifier: BSD-2-Clause
//
// Where libpcap was not there when lbctl was built: a capture goes to lbd as it is, so it
// must be classic pcap, of at most 8 MiB.
#include <stdlib.h>

#include "tools/lbctl/lbctl.h"

int capture_each_part(const char *file, int (*fn)(const char *bytes, size_t len, void *arg),
		      void *arg)
{
	size_t len;
	char *bytes = read_file(file, &len);
	int status;

	if (!bytes)
		return EXIT_REFUSED;
	status = fn(bytes, len, arg);
	free(bytes);
	return status;
}
