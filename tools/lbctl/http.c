// SPDX-License-Identifier: BSD-2-Clause
//
// One request to lbd over its unix socket (libcurl), and what went wrong in words:
// lbd's own sentence with file and line (RFC 9457), or why lbd is out of reach.
#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/err.h"
#include "tools/lbctl/lbctl.h"

#define CONNECT_TIMEOUT_S 5L
#define TIMEOUT_S 120L
#define URL_MAX 2048

struct text {
	char *bytes;
	size_t len;
	const struct http_request *request;
	CURL *curl;
};

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct text *t = arg;
	long status = 0;
	char *grown;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->request->on_bytes && status < 400) {
		t->request->on_bytes(t->request->on_bytes_arg, bytes, n);
		return n;
	}
	grown = realloc(t->bytes, t->len + n + 1);

	if (!grown)
		return 0;
	memcpy(grown + t->len, bytes, n);
	t->bytes = grown;
	t->len += n;
	grown[t->len] = '\0';
	return n;
}

static int fail_unreachable(const struct lbctl *l, CURLcode code, long os_errno)
{
	const struct group *group;
	struct stat st;

	if (stat(l->socket, &st))
		return fail(EXIT_UNREACHABLE,
			    "%s: %s; is lbd running? its socket is run_dir/lbd.sock, and --socket "
			    "names another",
			    l->socket, strerror(errno));
	if (os_errno == EACCES) {
		group = getgrgid(st.st_gid);
		return fail(EXIT_UNREACHABLE, "%s: permission denied; be root or in group %s",
			    l->socket, group ? group->gr_name : "of the socket");
	}
	return fail(EXIT_UNREACHABLE, "%s: lbd does not answer: %s", l->socket,
		    os_errno ? strerror((int)os_errno) : curl_easy_strerror(code));
}

// lbd's problem document as the one line that the API, lbctl and the log share.
static int fail_problem(const struct lbctl *l, const struct http_request *q, long status,
			const struct text *body)
{
	json_t *problem = json_loadb(body->bytes ? body->bytes : "", body->len, 0, NULL);
	const char *detail = json_text(problem, "detail");
	struct err e = {0};
	char line[1024];

	if (*detail)
		snprintf(e.text, sizeof(e.text), "%s", detail);
	else
		snprintf(e.text, sizeof(e.text), "lbd answered with HTTP status %ld", status);
	snprintf(e.field, sizeof(e.field), "%s", json_text(problem, "field"));
	e.line = q->file ? (int)json_whole(problem, "line") : 0;
	err_render(&e, e.line ? q->file : NULL, line, sizeof(line));
	if (q->on_refusal)
		q->on_refusal(l, q, status);
	if (!q->is_silent)
		fail(EXIT_REFUSED, "%s", line);
	if (!q->is_silent && l->is_json && problem)
		show_json(json_incref(problem));
	json_decref(problem);
	return EXIT_REFUSED;
}

static int keep_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	*(volatile sig_atomic_t *)arg = fd;
	return CURL_SOCKOPT_OK;
}

// Whether an answer had begun, and broke off.
static bool is_broken_off(CURLcode code)
{
	return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
}

static struct curl_slist *add_headers(CURL *curl, const struct http_request *q)
{
	// Expect: 100-continue would cost a round trip for bodies over 1 MiB.
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	char type[96];

	if (q->header)
		headers = curl_slist_append(headers, q->header);
	if (q->method)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
	if (q->body) {
		snprintf(type, sizeof(type), "Content-Type: %s",
			 q->body_type ? q->body_type : "application/yaml");
		headers = curl_slist_append(headers, type);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, q->body);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	return headers;
}

static int take_answer(const struct text *body, json_t **ret)
{
	if (!ret)
		return EXIT_DONE;
	*ret = body->len ? json_loadb(body->bytes, body->len, 0, NULL) : NULL;
	if (!*ret)
		*ret = json_stringn(body->bytes ? body->bytes : "", body->len);
	return *ret ? EXIT_DONE : fail(EXIT_REFUSED, "lbd's answer cannot be read");
}

int http_call(const struct lbctl *l, const struct http_request *q, json_t **ret)
{
	CURL *curl = curl_easy_init();
	struct text body = {.request = q, .curl = curl};
	struct curl_slist *headers;
	char url[URL_MAX + 32];
	long status = 0, os_errno = 0;
	CURLcode code;
	int result;

	if (!curl || !q->path)
		return fail(EXIT_REFUSED, "no memory");
	snprintf(url, sizeof(url), "http://localhost%s", q->path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, l->socket);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, q->on_bytes ? 0L : TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	if (q->socket_fd) {
		curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, keep_socket);
		curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, (void *)q->socket_fd);
	}
	headers = add_headers(curl, q);
	code = curl_easy_perform(curl);
	if (q->socket_fd)
		*q->socket_fd = -1;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	// An answer that came while the body was still being sent (413) counts.
	if (status >= 400)
		result = fail_problem(l, q, status, &body);
	else if (code != CURLE_OK && !(q->on_bytes && status && is_broken_off(code)))
		result = q->is_silent ? EXIT_UNREACHABLE : fail_unreachable(l, code, os_errno);
	else
		result = take_answer(&body, ret);
	free(body.bytes);
	return result;
}

int http_get(const struct lbctl *l, const char *path, json_t **ret)
{
	struct http_request q = {.path = path};

	return http_call(l, &q, ret);
}

char *http_path(const char *pattern, ...)
{
	char *path = NULL;
	size_t path_len = 0;
	FILE *to = open_memstream(&path, &path_len);
	va_list args;

	if (!to)
		return NULL;
	va_start(args, pattern);
	for (; *pattern; pattern++) {
		char *encoded;

		if (*pattern != '%') {
			fputc(*pattern, to);
			continue;
		}
		encoded = curl_easy_escape(NULL, va_arg(args, const char *), 0);
		fputs(encoded ? encoded : "", to);
		curl_free(encoded);
	}
	va_end(args);
	fclose(to);
	if (path_len < URL_MAX)
		return path;
	free(path);
	return NULL;
}
