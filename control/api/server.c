// SPDX-License-Identifier: BSD-2-Clause
//
// The HTTP server: the unix socket run_dir/lbd.sock (everything; mode 0660, group
// socket_group), and the read-only TCP listener `listen`. libevent's evhttp reads
// requests and writes answers without blocking, in lbd's loop; a client that stalls
// is closed after TIMEOUT_S. The table of paths is here; a row's handlers are in
// the file of its resource.
#include "control/api.h"
#include "control/api/request.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 20 // of a read or a write that makes no progress
#define HEADERS_MAX (64 << 10)
#define BACKLOG 128
#define PAUSE_S 1 // of a listener, until it looks again whether there is room

struct listener {
	struct api *api;
	bool is_public;
	struct evhttp *http;
	struct evconnlistener *socket;
	struct event *pause; // its end, or the end of the time in which it shows that all is well
	bool is_paused;
};

struct api {
	struct lbd *d;
	struct rate *rate;
	struct event_streams *streams;
	struct walks *walks;
	struct tracer *tracer;
	struct listener all, public;
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static struct api *serving; // a process has one

#define TRACE_QUERY "service protocol source destination reason verdict rate snap count seconds"

static const struct api_route routes[] = {
	{"/v1/status", NULL, true, .get = api_status_get},
	{"/v1/config", "dry_run force", .get = api_config_get, .put = api_config_put},
	{"/v1/services", NULL, true, .get = api_services_get},
	{"/v1/services/{}", "dry_run force", .get = api_service_get, .put = api_service_put,
	 .patch = api_service_patch, .del = api_service_delete},
	{"/v1/services/{}/backends/{}", "dry_run timeout now", .get = api_backend_get,
	 .put = api_backend_put, .patch = api_backend_patch, .del = api_backend_delete},
	{"/v1/history", NULL, .get = api_history_get},
	{"/v1/rollback/{}", "dry_run force", .post = api_rollback_post},
	{"/v1/diff", "from", .get = api_diff_get},
	{"/v1/stats", "service", .get = api_stats_get},
	{"/v1/drops", NULL, .get = api_drops_get},
	{"/v1/events", NULL, .get = api_events_get},
	{"/v1/explain", "protocol source destination syn size", .get = api_explain_get,
	 .post = api_explain_post},
	{"/v1/trace", TRACE_QUERY, .get = api_trace_get},
	{"/healthz", NULL, true, .get = api_healthz_get},
	{"/healthz/{}", NULL, true, .get = api_healthz_service_get},
	{"/metrics", NULL, true, .get = api_metrics_get},
};

struct rate *api_get_rate(const struct api *a)
{
	return a ? a->rate : NULL;
}

struct event_streams *api_get_streams(const struct api *a)
{
	return a->streams;
}

struct walks *api_get_walks(const struct api *a)
{
	return a->walks;
}

struct tracer *api_get_tracer(const struct api *a)
{
	return a->tracer;
}

// ---- a request ----

static int refuse_method(struct api_request *r, const struct api_route *route)
{
	struct err e;
	char allow[64] = "GET, HEAD";

	if (!r->is_public)
		route_allow(route, allow, sizeof(allow));
	evhttp_add_header(evhttp_request_get_output_headers(r->http), "Allow", allow);
	// evhttp reads no body of a method that it does not know: it must not be taken for a
	// request that follows.
	evhttp_add_header(evhttp_request_get_output_headers(r->http), "Connection", "close");
	err_set(&e, -EPROTO, "%s: only %s %s", route->path, allow,
		r->is_public ? "on this listener, which is read-only; lbd.sock takes changes"
			     : "are possible");
	return reply_problem(r, 405, &e);
}

static int check_query(struct api_request *r, const struct api_route *route, struct err *e)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->http));
	struct evkeyval *pair;

	if (query && *query && evhttp_parse_query_str(query, &r->query))
		return err_set(e, -EPROTO, "the query is not name=value pairs");
	TAILQ_FOREACH (pair, &r->query, next) {
		if (!route_takes(route, pair->key))
			return err_set_field(e, -EPROTO, 0, pair->key,
					     "unknown parameter; %s takes %s", route->path,
					     route->query ? route->query : "none");
	}
	return 0;
}

static int read_body(struct api_request *r, struct err *e)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(r->http);

	r->body_len = evbuffer_get_length(body);
	if (r->body_len > API_BODY_MAX)
		return err_set(e, -E2BIG, "the body is larger than %u MiB", API_BODY_MAX >> 20);
	r->body = r->body_len ? (const char *)evbuffer_pullup(body, -1) : "";
	return r->body ? 0 : err_set(e, -ENOMEM, "no memory for the body");
}

static int answer(struct api_request *r, struct err *e)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->http);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const struct api_route *route = NULL;
	api_fn handler;
	int code;

	r->method = evhttp_request_get_command(r->http);
	code = route_lookup(routes, sizeof(routes) / sizeof(*routes), path ? path : "", &route,
			    r->args, e);
	if (code)
		return code;
	if (r->is_public && !route->is_public)
		return err_set(e, -ENOENT, "%s: not on this listener; lbd.sock has it",
			       route->path);
	handler = route_handler(route, r->method);
	if (!handler || (r->is_public && handler != route->get))
		return refuse_method(r, route);
	code = check_query(r, route, e);
	if (!code)
		code = read_body(r, e);
	return code ? code : handler(r, e);
}

static void take_request(struct evhttp_request *http, void *arg)
{
	struct listener *l = arg;
	struct api_request r = {.d = l->api->d, .http = http, .is_public = l->is_public};
	struct err e = {0};
	int code;

	TAILQ_INIT(&r.query);
	code = answer(&r, &e);
	if (code < 0)
		reply_problem(&r, route_status(code), &e);
	for (int i = 0; i < API_ARGS_MAX; i++)
		free(r.args[i]);
	evhttp_clear_headers(&r.query);
}

// ---- connections that have to wait ----

// What clients open must not take the descriptors of checks, of netlink and of each other's
// listener: the public one stops at three quarters of all, the unix socket at seven eighths. A new
// descriptor has the lowest free number, which says how many there are.
static bool is_crowded(const struct listener *l)
{
	struct rlimit limit;
	int fd = fcntl(evconnlistener_get_fd(l->socket), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return true;
	close(fd);
	return !getrlimit(RLIMIT_NOFILE, &limit) &&
	       (rlim_t)fd >= limit.rlim_cur / 8 * (l->is_public ? 6 : 7);
}

static void set_pause_end(struct listener *l)
{
	const struct timeval pause = {.tv_sec = PAUSE_S};

	event_add(l->pause, &pause);
}

static const char *warning_key(const struct listener *l)
{
	return l->is_public ? "listen" : "socket";
}

static const char *address_of(const struct listener *l)
{
	return l->is_public ? l->api->d->settings->listen : l->api->socket_path;
}

static void pause_listener(struct listener *l)
{
	evconnlistener_disable(l->socket);
	l->is_paused = true;
	set_pause_end(l);
}

static void wait_for_room(struct listener *l)
{
	pause_listener(l);
	events_set_warning(l->api->d->events, warning_key(l),
			   "%s has more connections than there is room for: new ones wait; "
			   "`ss -%cp` shows whose they are",
			   address_of(l), l->is_public ? 't' : 'x');
}

// Of evhttp's listener, whose argument is not ours. The connection may still be there to be
// accepted: who tried at once would try for ever.
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
	const int cause = EVUTIL_SOCKET_ERROR();
	struct listener *l = socket == serving->all.socket ? &serving->all : &serving->public;

	pause_listener(l);
	events_set_warning(l->api->d->events, warning_key(l),
			   "%s cannot take connections, which wait, and tries again every second: "
			   "%s",
			   address_of(l), evutil_socket_error_to_string(cause));
}

static void on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	if (!l->is_paused) {
		events_clear_warning(l->api->d->events, warning_key(l));
	} else if (is_crowded(l)) {
		wait_for_room(l);
	} else {
		l->is_paused = false;
		evconnlistener_enable(l->socket);
		set_pause_end(l);
	}
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct listener *l = arg;

	if (is_crowded(l))
		wait_for_room(l);
	return NULL; // evhttp's own
}

// ---- listening ----

static int listener_start(struct api *a, struct listener *l, int fd, bool is_public, struct err *e)
{
	struct evhttp_bound_socket *bound = NULL;

	l->api = a;
	l->is_public = is_public;
	l->http = evhttp_new(a->d->base);
	l->pause = evtimer_new(a->d->base, on_pause_end, l);
	if (!l->http || !l->pause || evutil_make_socket_nonblocking(fd) || listen(fd, BACKLOG) ||
	    !(bound = evhttp_accept_socket_with_handle(l->http, fd))) {
		close(fd);
		return err_set(e, -ENOMEM, "the API cannot listen: %s", strerror(errno));
	}
	l->socket = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(l->socket, on_accept_error);
	evhttp_set_bevcb(l->http, on_connection, l);
	evhttp_set_timeout(l->http, TIMEOUT_S);
	evhttp_set_max_headers_size(l->http, HEADERS_MAX);
	// Beyond this evhttp itself answers 413, unread and in HTML; below it read_body() does.
	evhttp_set_max_body_size(l->http, 2 * API_BODY_MAX);
	evhttp_set_flags(l->http, EVHTTP_SERVER_LINGERING_CLOSE);
	// Also what evhttp has no name for: it would answer in HTML; refuse_method() does better.
	evhttp_set_allowed_methods(l->http, UINT16_MAX);
	evhttp_set_gencb(l->http, take_request, l);
	return 0;
}

static int lookup_group(const char *name, gid_t *ret, struct err *e)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return err_set_field(
			e, -EINVAL, 0, "socket_group",
			"there is no group %s on this host; make it (`groupadd -r %s`) "
			"or name another",
			name, name);
	*ret = group->gr_gid;
	return 0;
}

// Whether a process answers on the socket that is there already.
static bool is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is = fd >= 0 && !connect(fd, (const struct sockaddr *)address, sizeof(*address));

	if (fd >= 0)
		close(fd);
	return is;
}

static int open_unix(struct api *a, int *ret_fd, struct err *e)
{
	const struct settings *s = a->d->settings;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	gid_t group = 0;
	int fd, code = lookup_group(s->socket_group, &group, e);

	if (code)
		return code;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/lbd.sock", s->run_dir) >=
	    (int)sizeof(address.sun_path))
		return err_set_field(e, -EINVAL, 0, "run_dir",
				     "%s is too long for the path of a socket", s->run_dir);
	if (is_served(&address))
		return err_set(e, -EBUSY, "%s: another lbd answers here; stop it first",
			       address.sun_path);
	unlink(address.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mask = umask(0117); // 0660 from the first moment on
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    chown(address.sun_path, (uid_t)-1, group)) {
		code = err_set(e, -errno, "%s: cannot be made: %s", address.sun_path,
			       strerror(errno));
		umask(mask);
		if (fd >= 0)
			close(fd);
		return code;
	}
	umask(mask);
	memcpy(a->socket_path, address.sun_path, sizeof(a->socket_path));
	*ret_fd = fd;
	return 0;
}

static socklen_t fill_sockaddr(const struct lb_address *address, uint16_t port,
			       struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (address_is_ipv4(address)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = address->words[3];
		return sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, address, sizeof(*address));
		return sizeof(*in6);
	}
}

static int open_tcp(const char *text, int *ret_fd, struct err *e)
{
	struct sockaddr_storage sockaddr;
	struct lb_address address;
	socklen_t sockaddr_len;
	uint16_t port;
	int fd, code, on = 1;

	if (address_parse_port(text, &address, &port) || !port)
		return err_set_field(e, -EINVAL, 0, "listen",
				     "must be address:port, or \"\" for no listener, is %s", text);
	sockaddr_len = fill_sockaddr(&address, port, &sockaddr);
	fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&sockaddr, sockaddr_len)) {
		code = err_set_field(e, -errno, 0, "listen",
				     "cannot listen on %s: %s%s; another address and port will "
				     "do, or \"\" for none",
				     text, strerror(errno),
				     errno == EADDRINUSE ? " (`ss -ltnp` shows by whom)" : "");
		if (fd >= 0)
			close(fd);
		return code;
	}
	*ret_fd = fd;
	return 0;
}

int api_start(struct lbd *d, struct api **ret, struct err *e)
{
	struct api *a = calloc(1, sizeof(*a));
	int fd = -1, code;

	if (!a)
		return err_set(e, -ENOMEM, "no memory for the API");
	a->d = d;
	serving = a;
	a->rate = rate_new(d);
	a->streams = event_streams_new(d);
	a->walks = walks_new(d);
	a->tracer = tracer_new(d);
	if (a->rate && a->streams && a->walks && a->tracer)
		code = open_unix(a, &fd, e);
	else
		code = err_set(e, -ENOMEM, "no memory for the API");
	if (!code)
		code = listener_start(a, &a->all, fd, false, e);
	if (!code && d->settings->listen && d->settings->listen[0]) {
		code = open_tcp(d->settings->listen, &fd, e);
		if (!code)
			code = listener_start(a, &a->public, fd, true, e);
	}
	if (code) {
		api_stop(a);
		return code;
	}
	*ret = a;
	return 0;
}

static void listener_stop(struct listener *l)
{
	if (l->pause)
		event_free(l->pause);
	if (l->http)
		evhttp_free(l->http);
}

void api_stop(struct api *a)
{
	if (!a)
		return;
	listener_stop(&a->all);
	listener_stop(&a->public);
	if (a->socket_path[0])
		unlink(a->socket_path);
	event_streams_free(a->streams);
	walks_free(a->walks);
	tracer_free(a->tracer);
	rate_free(a->rate);
	free(a);
}
