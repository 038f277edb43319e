// SPDX-License-Identifier: BSD-2-Clause
//
// The words for verdicts and reasons, from the one list of them (reason.h). Pure.
#pragma once

#include "dataplane/core/reason.h"

const char *reason_label(enum lb_reason reason); // "refused_port"
const char *reason_text(enum lb_reason reason);	 // the sentence for people
enum lb_verdict reason_verdict(enum lb_reason reason);
const char *verdict_name(enum lb_verdict verdict); // "pass", "drop", "transmit", "answer"
