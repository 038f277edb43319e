// SPDX-License-Identifier: BSD-2-Clause
//
// The check kind `http`: GET of a path, up when the status is 2xx or 3xx (RFC 9110,
// 15). Redirects are not followed and proxies of the environment are not used: the
// question is what this backend says itself. Each probe has a connection of its own,
// so that a server that is dead behind an old connection is noticed.
// The transfer ends with the last byte of the headers: no body is read, and no
// backend can make lbd read more than HEADERS_MAX_BYTES.
//
// libcurl's multi interface runs in libevent's loop: it names the sockets that it
// waits for (socket_wanted) and the time it wants to be called at (timer_wanted);
// each of these ends in http_run(), which picks up the transfers that are done.
#include "control/health/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEADERS_MAX_BYTES 16384

struct http {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
};

struct http_probe {
	struct http *http;
	CURL *easy;
	struct curl_slist *headers;
	size_t headers_bytes;
	int status;	   // of the answer that is being read; 0: its first line is to come
	bool has_status;   // all headers of the last answer were read
	bool is_malformed; // it begins otherwise than HTTP does
	int error;	   // of socket()
	probe_fn fn;
	void *arg;
};

static void http_free(struct http_probe *p)
{
	if (p->easy) {
		curl_multi_remove_handle(p->http->multi, p->easy);
		curl_easy_cleanup(p->easy);
	}
	curl_slist_free_all(p->headers);
	free(p);
}

static void http_cancel(void *probe)
{
	http_free(probe);
}

// ---- what came of a transfer ----

static void http_judge(struct http_probe *p, CURLcode result)
{
	probe_fn fn = p->fn;
	void *arg = p->arg;
	enum probe_verdict verdict = PROBE_DOWN;
	char cause[96];
	long error = 0;

	curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
	if (p->error)
		error = p->error;
	if (p->has_status) {
		verdict = p->status < 400 ? PROBE_UP : PROBE_DOWN;
		snprintf(cause, sizeof(cause), "HTTP %d", p->status);
	} else if (p->is_malformed) {
		snprintf(cause, sizeof(cause), "no valid HTTP answer (its status line)");
	} else if (p->headers_bytes > HEADERS_MAX_BYTES) {
		snprintf(cause, sizeof(cause), "headers over %d bytes", HEADERS_MAX_BYTES);
	} else if (result == CURLE_GOT_NOTHING || result == CURLE_OK) {
		snprintf(cause, sizeof(cause), "closed without an answer");
	} else if (result == CURLE_OUT_OF_MEMORY || result == CURLE_URL_MALFORMAT) {
		verdict = PROBE_UNMADE;
		snprintf(cause, sizeof(cause), "%s", curl_easy_strerror(result));
	} else if (error && error != EINPROGRESS) {
		verdict = probe_judge_errno((int)error);
		snprintf(cause, sizeof(cause), "%s", probe_errno_text((int)error));
	} else {
		snprintf(cause, sizeof(cause), "no valid HTTP answer (%s)",
			 curl_easy_strerror(result));
	}
	http_free(p);
	fn(arg, verdict, cause);
}

// Lets libcurl work on @fd, and picks up what is done.
static void http_run(struct http *h, curl_socket_t fd, int events)
{
	struct http_probe *p;
	CURLMsg *msg;
	int n;

	curl_multi_socket_action(h->multi, fd, events, &n);
	while ((msg = curl_multi_info_read(h->multi, &n))) {
		CURLcode result = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&p);
		http_judge(p, result);
	}
}

// ---- libcurl's side of the loop ----

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
	int events =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	http_run(arg, fd, events);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *h = arg;
	struct event *event = socket_arg;
	short events = EV_PERSIST;

	if (event)
		event_free(event);
	event = NULL;
	if (what != CURL_POLL_REMOVE) {
		events |= what & CURL_POLL_IN ? EV_READ : 0;
		events |= what & CURL_POLL_OUT ? EV_WRITE : 0;
		event = event_new(h->base, fd, events, socket_ready, h);
		// Without it the probe times out, as if unanswered: there is no memory.
		if (event)
			event_add(event, NULL);
	}
	curl_multi_assign(h->multi, fd, event);
	return 0;
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	http_run(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *h = arg;
	struct timeval tv = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	if (timeout_ms < 0)
		event_del(h->timer);
	else
		event_add(h->timer, &tv);
	return 0;
}

// ---- libcurl's side of a transfer ----

static curl_socket_t socket_open(void *arg, curlsocktype type, struct curl_sockaddr *address)
{
	struct http_probe *p = arg;
	int fd = probe_socket(address->family);

	if (fd < 0) {
		p->error = -fd;
		return CURL_SOCKET_BAD;
	}
	return fd;
}

// "HTTP/1.1 200 OK" (RFC 9112, 4): its status; 0: it is no such line, or its status is none.
// libcurl takes what it cannot read for 200.
static int parse_status(const char *line, size_t len)
{
	static const char form[] = "HTTP/1.# ###";
	const size_t form_len = sizeof(form) - 1;
	int status;

	if (len <= form_len || !memchr(" \r\n", line[form_len], 3))
		return 0;
	for (size_t i = 0; i < form_len; i++) {
		if (form[i] == '#' ? line[i] < '0' || line[i] > '9' : line[i] != form[i])
			return 0;
	}
	status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
	return status >= 100 && status < 600 ? status : 0;
}

// A line of the headers. To return less than its length ends the transfer.
static size_t header_read(char *line, size_t size, size_t n, void *arg)
{
	struct http_probe *p = arg;
	size_t len = size * n;

	p->headers_bytes += len;
	if (p->headers_bytes > HEADERS_MAX_BYTES)
		return 0;
	if (!p->status) {
		p->status = parse_status(line, len);
		p->is_malformed = !p->status;
		return p->is_malformed ? 0 : len;
	}
	if (len > 2 || (line[0] != '\r' && line[0] != '\n'))
		return len;
	// The empty line. A 1xx has another answer behind it.
	p->has_status = p->status >= 200;
	if (p->has_status)
		return 0;
	p->status = 0;
	return len;
}

// No byte of a body is wanted.
static size_t body_read(char *bytes, size_t size, size_t n, void *arg)
{
	return 0;
}

static int http_set_headers(struct http_probe *p, const char *host)
{
	char line[512] = "Connection: close";
	struct curl_slist *more = curl_slist_append(NULL, line);

	if (more && host) {
		p->headers = more;
		snprintf(line, sizeof(line), "Host: %s", host);
		more = curl_slist_append(p->headers, line);
	}
	if (!more)
		return -ENOMEM;
	p->headers = more;
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
	return 0;
}

static int http_set_url(struct http_probe *p, const struct probe_ask *ask)
{
	char text[ADDRESS_TEXT_MAX];
	char *url;
	CURLcode rc;

	if (asprintf(&url, "http://%s%s", address_render_port(&ask->address, ask->port, text),
		     ask->path) < 0)
		return -ENOMEM;
	rc = curl_easy_setopt(p->easy, CURLOPT_URL, url);
	free(url);
	return rc == CURLE_OK ? 0 : -ENOMEM;
}

static void http_set_options(CURL *easy, struct http_probe *p)
{
	curl_easy_setopt(easy, CURLOPT_PRIVATE, p);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice-lbd");
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, p);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_read);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, p);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_read);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 4096L);
}

static void *http_start(const struct probe_env *env, const struct probe_ask *ask, probe_fn fn,
			void *arg)
{
	struct http_probe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->http = env->http;
	p->fn = fn;
	p->arg = arg;
	p->easy = curl_easy_init();
	if (!p->easy)
		goto fail;
	http_set_options(p->easy, p);
	if (http_set_url(p, ask) < 0 || http_set_headers(p, ask->host) < 0)
		goto fail;
	// Starts from timer_wanted(), so not before this has returned.
	if (curl_multi_add_handle(p->http->multi, p->easy) != CURLM_OK)
		goto fail;
	return p;
fail:
	http_free(p);
	return NULL;
}

const struct probe_kind probe_http = {.start = http_start, .cancel = http_cancel};

int http_open(struct event_base *base, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->base = base;
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
		free(h);
		return -ENOMEM;
	}
	h->multi = curl_multi_init();
	h->timer = event_new(base, -1, 0, timer_fired, h);
	if (!h->multi || !h->timer) {
		http_close(h);
		return -ENOMEM;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	*ret = h;
	return 0;
}

void http_close(struct http *h)
{
	if (h->multi)
		curl_multi_cleanup(h->multi);
	if (h->timer)
		event_free(h->timer);
	curl_global_cleanup();
	free(h);
}
