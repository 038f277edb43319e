// SPDX-License-Identifier: BSD-2-Clause
//
// The list of reasons, as tables.
#include "control/reasons.h"

const char *reason_label(enum lb_reason reason)
{
	static const char *const labels[] = {
#define LABEL(name, verdict, label, text) label,
		LB_REASONS(LABEL)
#undef LABEL
	};

	return reason < LB_REASON_N ? labels[reason] : labels[LB_REASON_NONE];
}

const char *reason_text(enum lb_reason reason)
{
	static const char *const texts[] = {
#define TEXT(name, verdict, label, text) text,
		LB_REASONS(TEXT)
#undef TEXT
	};

	return reason < LB_REASON_N ? texts[reason] : texts[LB_REASON_NONE];
}

enum lb_verdict reason_verdict(enum lb_reason reason)
{
	static const enum lb_verdict verdicts[] = {
#define VERDICT(name, verdict, label, text) LB_##verdict,
		LB_REASONS(VERDICT)
#undef VERDICT
	};

	return reason < LB_REASON_N ? verdicts[reason] : verdicts[LB_REASON_NONE];
}

const char *verdict_name(enum lb_verdict verdict)
{
	static const char *const names[] = {[LB_PASS] = "pass",
					    [LB_DROP] = "drop",
					    [LB_TRANSMIT] = "transmit",
					    [LB_ANSWER] = "answer"};

	return verdict < LB_VERDICT_N ? names[verdict] : "";
}
