// SPDX-License-Identifier: BSD-2-Clause
//
// What a copy must say: the verdict and the interfaces that the executor found, the frame
// as it came, and as it left where it did. Where a packet was not to leave there is no
// copy from after.
#include "tests/packet/copy.h"

#include <string.h>

// Whether @copied, the first bytes of a frame of @len, are of @frame.
static bool is_of(const uint8_t *copied, uint32_t snap, uint32_t len, const uint8_t *frame,
		  size_t frame_len)
{
	const size_t must = frame_len < LB_TRACE_SNAP_MAX ? frame_len : LB_TRACE_SNAP_MAX;

	return len == frame_len && snap == must && !memcmp(copied, frame, must);
}

const char *copy_judge(const struct copy *copy, const struct case_facts *facts,
		       struct run_result *ret)
{
	const struct lb_trace_record *r = &copy->record;
	const enum lb_verdict verdict = (enum lb_verdict)r->verdict;
	const bool leaves = ret->verdict == LB_TRANSMIT;

	if (copy->n != 1)
		return copy->n ? "it was copied more than once" : "it was not copied";
	if ((verdict == LB_ANSWER ? LB_TRANSMIT : verdict) != ret->verdict)
		return "its copy has another verdict";
	if (!is_of(copy->bytes, r->before_snap, r->before_len, facts->in, facts->in_len))
		return "its copy from before is another";
	if (leaves ? !is_of(copy->bytes + r->before_snap, r->after_snap, r->after_len, ret->out,
			    ret->out_len)
		   : r->after_snap || r->after_len || r->out_ifindex)
		return "its copy from after is another";
	if (r->in_ifindex != RUN_IFINDEX || leaves == !r->out_ifindex ||
	    (ret->ifindex && r->out_ifindex != ret->ifindex))
		return "its copy names another interface";
	ret->reason = (enum lb_reason)r->reason;
	ret->ifindex = r->out_ifindex;
	return NULL;
}
