// SPDX-License-Identifier: BSD-2-Clause
//
// Reads a capture with libpcap, pcap or pcapng, and makes parts of it that lbd takes:
// classic pcap, each packet as far as lbd looks at it. So lbd, which is root and holds
// the tables, needs to know one simple format only, and a capture may be of any size.
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/lbctl/lbctl.h"

#define PART_MAX (1u << 20) // bytes; lbd takes 8 MiB
#define PACKET_MAX 640	    // bytes; lbd's parser needs no more, of any link

struct part {
	FILE *to;
	pcap_dumper_t *dumper; // owns @to
	char *bytes;
	size_t len;
};

static int part_open(struct part *part, pcap_t *from)
{
	*part = (struct part){0};
	part->to = open_memstream(&part->bytes, &part->len);
	part->dumper = part->to ? pcap_dump_fopen(from, part->to) : NULL;
	if (part->dumper)
		return EXIT_DONE;
	if (part->to)
		fclose(part->to);
	free(part->bytes);
	return fail(EXIT_REFUSED, "no memory for the capture: %s", pcap_geterr(from));
}

// Hands it to @fn, and frees it.
static int part_end(struct part *part, int (*fn)(const char *bytes, size_t len, void *arg),
		    void *arg)
{
	int status;

	pcap_dump_close(part->dumper);
	status = fn(part->bytes, part->len, arg);
	free(part->bytes);
	return status;
}

// Fills the part. *ret_more: another one may follow. @file: for messages.
static int part_fill(struct part *part, pcap_t *from, const char *file, bool *ret_more)
{
	struct pcap_pkthdr *header, cut;
	const u_char *bytes;
	int code;

	while (pcap_dump_ftell64(part->dumper) < PART_MAX) {
		code = pcap_next_ex(from, &header, &bytes);
		if (code != 1) {
			*ret_more = false;
			return code == PCAP_ERROR_BREAK
				       ? EXIT_DONE
				       : fail(EXIT_REFUSED, "%s: %s", file, pcap_geterr(from));
		}
		cut = *header;
		if (cut.caplen > PACKET_MAX)
			cut.caplen = PACKET_MAX;
		pcap_dump((u_char *)part->dumper, &cut, bytes);
	}
	return EXIT_DONE;
}

int capture_each_part(const char *file, int (*fn)(const char *bytes, size_t len, void *arg),
		      void *arg)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *from =
		pcap_open_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	bool has_more = true;
	int read_status = EXIT_DONE, status = EXIT_DONE;

	if (!from)
		return fail(EXIT_REFUSED, "%s: cannot be read as a capture: %s", file, why);
	while (!status && has_more) {
		struct part part;

		status = part_open(&part, from);
		if (status)
			break;
		// What was read before a capture breaks off is explained too.
		read_status = part_fill(&part, from, file, &has_more);
		status = part_end(&part, fn, arg);
	}
	pcap_close(from);
	return status ? status : read_status;
}
