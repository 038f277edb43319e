// SPDX-License-Identifier: BSD-2-Clause
//
// What the files of the API share: a request as a resource's handler sees it, and
// the ways to answer it. server.c receives a request, route.c finds its row,
// the handler (one file a resource) answers, or returns an error, which server.c
// turns into a problem document (RFC 9457). All on lbd's one thread.
#pragma once

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "control/err.h"
#include "control/lbd.h"

#define API_ARGS_MAX 2
#define API_BODY_MAX (8u << 20) // bytes; more gets 413

struct api_request {
	struct lbd *d;
	struct evhttp_request *http;
	enum evhttp_cmd_type method; // HEAD reads as GET here
	bool is_public;		     // came by the read-only listener
	char *args[API_ARGS_MAX];    // what stands for {} in the row's path, decoded
	struct evkeyvalq query;	     // decoded; only names that the row allows
	const char *body;	     // [body_len]; not NUL-terminated
	size_t body_len;
	bool needs_force; // a dry run of what would be refused without `force`
};

// Answers @r and returns 0, or returns a negative errno with @e filled and has not answered.
typedef int (*api_fn)(struct api_request *r, struct err *e);

struct api_route {
	const char *path;  // "/v1/services/{}/backends/{}"
	const char *query; // the parameters that it takes, separated by spaces; NULL: none
	bool is_public;	   // GET is served on the read-only listener too
	api_fn get, put, patch, post, del;
};

// Finds the row of @path (as in the request line, without query) and fills @ret_args (malloc'ed;
// the caller frees them, on failure too). 0, -ENOENT, -EPROTO (a part that does not decode).
int route_lookup(const struct api_route *routes, size_t routes_n, const char *path,
		 const struct api_route **ret, char *ret_args[API_ARGS_MAX], struct err *e);
// The handler of @method, or NULL.
api_fn route_handler(const struct api_route *route, enum evhttp_cmd_type method);
// "GET, HEAD, PUT": for the Allow header. Returns @buf.
const char *route_allow(const struct api_route *route, char *buf, size_t buf_len);
// Whether the row takes a parameter of this name.
bool route_takes(const struct api_route *route, const char *name);
// The status that answers an error code.
int route_status(int code);

// ---- what a request says ----

// The parameter as given, or NULL.
const char *request_parameter(const struct api_request *r, const char *name);
// "1", "true" or nothing: true; "0", "false", absent: false. 0 or -EPROTO.
int request_flag(const struct api_request *r, const char *name, bool *ret, struct err *e);
// A whole number; *ret is left alone where the parameter is absent. 0 or -EPROTO.
int request_number(const struct api_request *r, const char *name, uint64_t max, uint64_t *ret,
		   struct err *e);
// Whether Accept names this media type.
bool request_accepts(const struct api_request *r, const char *media_type);

// ---- answers; each returns 0 ----

int reply_json(struct api_request *r, int status, json_t *body); // takes @body over
int reply_text(struct api_request *r, int status, const char *media_type, const char *text);
// Takes @body over.
int reply_buffer(struct api_request *r, int status, const char *media_type, struct evbuffer *body);
int reply_problem(struct api_request *r, int status, const struct err *e);
// For who answers in parts, when the connection is gone before the last one: lets the request go.
void reply_abandon(struct evhttp_request *http);

// ---- changes ----

// Runs lbd_change() with the request's dry_run, force, If-Match; takes @after over. force_always:
// the request names what goes, so it needs no force. *ret_plan is the caller's. As lbd_change().
int change_run(struct api_request *r, struct model *after, const char *cause, bool force_always,
	       struct plan **ret_plan, struct err *e);
// {"generation", "plan"}, with ETag. Frees @plan.
int change_reply(struct api_request *r, int status, struct plan *plan);
// Refuses with -ESTALE where If-None-Match: * is given and @exists.
int change_check_new(const struct api_request *r, bool exists, const char *what, const char *mend,
		     struct err *e);

// ---- what several resources show ----

enum view_state { VIEW_UP, VIEW_DEGRADED, VIEW_DOWN };
// Up: every backend that is wanted gets connections; down: none does.
enum view_state view_service_state(struct lbd *d, const struct model_service *s);
// A service's backends, as copies.
struct view_backends {
	struct publisher_backend_view *list; // [n]
	size_t n, max;
};
// Into @ret, in place of what it has; false: out of memory. view_forget() frees the copies.
bool view_collect(const struct lbd *d, const char *service, struct view_backends *ret);
void view_forget(struct view_backends *b);
enum view_state view_state_of(const struct view_backends *backends);
json_t *view_service(struct lbd *d, const struct model_service *s);
// All of a service but "backends".
json_t *view_service_head(struct lbd *d, const struct model_service *s,
			  const struct view_backends *backends);
json_t *view_backend(struct lbd *d, const struct publisher_backend_view *v);
json_t *view_backend_counters(const struct lb_backend_counters *c);
json_t *view_service_counters(const struct lb_service_counters *c);
// The sentence of an unknown service. -ENOENT.
int view_no_service(const char *name, struct err *e);

// ---- the rate: packets per second, from two readings a second apart ----

struct rate;
struct rate *rate_new(struct lbd *d); // NULL: no memory
void rate_free(struct rate *t);
struct rate *api_get_rate(const struct api *a); // NULL while the API starts
// {"forwarded", "passed", "dropped"} in packets per second; null before the second reading.
json_t *rate_render_json(const struct lbd *d);
// Packets counted under a verdict since the tables were made.
uint64_t rate_total_pkts(const struct lbd *d, enum lb_verdict verdict);

// ---- who follows the events ----

struct event_streams;
struct event_streams *event_streams_new(struct lbd *d); // NULL: no memory
void event_streams_free(struct event_streams *streams); // after their connections are gone
struct event_streams *api_get_streams(const struct api *a);

// ---- answers that are made a little at a time (walk.h) ----

struct walks;
struct walks *walks_new(struct lbd *d); // NULL: no memory
void walks_free(struct walks *walks);	// after their connections are gone
struct walks *api_get_walks(const struct api *a);

// ---- who traces ----

struct tracer;
struct tracer *tracer_new(struct lbd *d); // NULL: no memory
void tracer_free(struct tracer *t);	  // after its connection is gone
struct tracer *api_get_tracer(const struct api *a);

// ---- the handlers ----

int api_status_get(struct api_request *r, struct err *e);
int api_config_get(struct api_request *r, struct err *e);
int api_config_put(struct api_request *r, struct err *e);
int api_services_get(struct api_request *r, struct err *e);
int api_service_get(struct api_request *r, struct err *e);
int api_service_put(struct api_request *r, struct err *e);
int api_service_patch(struct api_request *r, struct err *e);
int api_service_delete(struct api_request *r, struct err *e);
int api_backend_get(struct api_request *r, struct err *e);
int api_backend_put(struct api_request *r, struct err *e);
int api_backend_patch(struct api_request *r, struct err *e);
int api_backend_delete(struct api_request *r, struct err *e);
int api_history_get(struct api_request *r, struct err *e);
int api_rollback_post(struct api_request *r, struct err *e);
int api_diff_get(struct api_request *r, struct err *e);
int api_stats_get(struct api_request *r, struct err *e);
int api_drops_get(struct api_request *r, struct err *e);
int api_events_get(struct api_request *r, struct err *e);
int api_explain_get(struct api_request *r, struct err *e);
int api_explain_post(struct api_request *r, struct err *e);
int api_trace_get(struct api_request *r, struct err *e);
int api_healthz_get(struct api_request *r, struct err *e);
int api_healthz_service_get(struct api_request *r, struct err *e);
int api_metrics_get(struct api_request *r, struct err *e);
