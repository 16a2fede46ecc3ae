#include "client/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/util.h"
#include "client/client.h"
#include "client/transfer-failure.h"

struct transfer {
    const struct libcurl *lib;
    CURL *easy;
    CURLM *multi; /* NULL: no request is under way */
    struct address to;
    struct curl_slist *lines; /* of the request's head; they hold the bearer token */
    int connect_ms;
    CURLcode refused; /* the first option that libcurl did not take */
    bool connected, has_head, paused;
    size_t head_bytes, have; /* of the answer's head; in buf */
    struct transfer_end end;
    char buf[TRANSFER_BUFFER];
};

/* What holds for every request. What libcurl does by itself is named where security rests on it. */
static const struct {
    CURLoption option;
    long value;
} rules[] = {
    {CURLOPT_NOSIGNAL, 1},                         /* we are not alone in the process */
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1}, /* what workers speak */
    {CURLOPT_HTTP09_ALLOWED, 0},                   /* any bytes would be an answer */
    {CURLOPT_FOLLOWLOCATION, 0},                   /* nor is a token sent elsewhere */
    {CURLOPT_NETRC, CURL_NETRC_IGNORED},           /* keys come from our options alone */
    {CURLOPT_DISALLOW_USERNAME_IN_URL, 1},         /* it would be in messages */
    {CURLOPT_PATH_AS_IS, 1},                       /* what .. means is the server's to say */
    {CURLOPT_SSL_VERIFYPEER, 1},                   /* somebody the system trusts signed */
    {CURLOPT_SSL_VERIFYHOST, 2},                   /* for this host */
    {CURLOPT_HEADEROPT, CURLHEADER_SEPARATE},      /* our token is not for the proxy of a tunnel */
    {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},         /* its head is not the answer's */
    {CURLOPT_QUICK_EXIT, 1},                       /* transfer_stop does not wait for a name server */
};

static void set_long(struct transfer *t, CURLoption option, long value)
{
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, option, value);
}

static void set_size(struct transfer *t, CURLoption option, curl_off_t value)
{
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, option, value);
}

static void set_text(struct transfer *t, CURLoption option, const char *value)
{
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, option, value);
}

static void set_pointer(struct transfer *t, CURLoption option, void *value)
{
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, option, value);
}

int transfer_new(struct transfer **out, const struct address *to, int connect_ms, struct orcd_error *err)
{
    const struct libcurl *lib = libcurl_load(err);
    if (!lib)
        return ORCD_E_UNSUPPORTED;
    struct transfer *t = calloc(1, sizeof(*t));
    if (!t || !(t->easy = lib->easy_init())) {
        free(t);
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    t->lib = lib;
    t->to = *to;
    t->connect_ms = connect_ms;
    t->end.over = true;
    *out = t;
    return 0;
}

void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    transfer_stop(t);
    t->lib->easy_cleanup(t->easy);
    free(t);
}

/* --- what libcurl calls --- */

static int on_connected(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    struct transfer *t = arg;
    (void)peer, (void)own, (void)peer_port, (void)own_port;
    t->connected = true;
    return CURL_PREREQFUNC_OK;
}

/* libcurl would take other encodings apart, and 16 KB can hold 16 MB. */
static bool is_foreign_encoding(const char *line, size_t n)
{
    static const char name[] = "Transfer-Encoding:";
    size_t name_n = sizeof(name) - 1;
    if (n < name_n || strncasecmp(line, name, name_n) != 0)
        return false;
    const char *p = line + name_n, *end = line + n;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && strchr(" \t\r\n", end[-1]))
        end--;
    return end - p != 7 || strncasecmp(p, "chunked", 7) != 0;
}

static size_t refuse(struct transfer *t, const char *why)
{
    t->end.refused = why;
    return CURL_WRITEFUNC_ERROR;
}

/* A line of the head, or a trailer. */
static size_t on_line(char *line, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t n = size * count;
    t->head_bytes += n;
    if (t->head_bytes > TRANSFER_HEAD_MAX)
        return refuse(t, "the head of the answer is too long");
    if (is_foreign_encoding(line, n))
        return refuse(t, "the answer has a Transfer-Encoding that is not supported");
    if (!t->has_head && (*line == '\r' || *line == '\n'))
        t->has_head = transfer_status(t) >= 200;
    return n;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t n = size * count;
    if (!t->has_head)
        return refuse(t, "the answer is not HTTP");
    if (n > sizeof(t->buf))
        return CURL_WRITEFUNC_ERROR;
    if (n > sizeof(t->buf) - t->have) {
        t->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(t->buf + t->have, p, n);
    t->have += n;
    return n;
}

/* --- the request --- */

static int add_line(struct transfer *t, const char *name, const char *value, struct orcd_error *err)
{
    char line[4096];
    int n = snprintf(line, sizeof(line), "%s%s", name, value);
    if (n < 0 || (size_t)n >= sizeof(line)) {
        explicit_bzero(line, sizeof(line));
        return error_set(err, ORCD_E_INVALID, "the head of the request is too long");
    }
    struct curl_slist *grown = t->lib->slist_append(t->lines, line);
    explicit_bzero(line, (size_t)n);
    if (!grown)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    t->lines = grown;
    return 0;
}

static int add_lines(struct transfer *t, const struct client_request *r, struct orcd_error *err)
{
    int rc = add_line(t, "Expect:", "", err); /* an empty one is not sent */
    if (rc == 0 && r->body)
        rc = add_line(t, "Content-Type: application/json", "", err);
    if (rc == 0 && r->bearer)
        rc = add_line(t, "Authorization: Bearer ", r->bearer, err);
    for (const char *const *p = r->headers; rc == 0 && p && *p; p++)
        rc = add_line(t, *p, "", err);
    return rc;
}

static int set_url(struct transfer *t, const char *path, struct orcd_error *err)
{
    char *url;
    if (asprintf(&url, "%s%s", t->to.url, path) < 0)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    set_text(t, CURLOPT_URL, url);
    free(url);
    return 0;
}

static void set_request(struct transfer *t, const struct client_request *r)
{
    if (r->body) {
        set_pointer(t, CURLOPT_POSTFIELDS, (char *)(uintptr_t)r->body);
        set_size(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->n_body);
    }
    set_text(t, CURLOPT_CUSTOMREQUEST, r->method);
    set_pointer(t, CURLOPT_HTTPHEADER, t->lines);
}

static void set_rules(struct transfer *t)
{
    t->lib->easy_reset(t->easy);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        set_long(t, rules[i].option, rules[i].value);
    set_text(t, CURLOPT_PROTOCOLS_STR, "http,https");
    set_size(t, CURLOPT_MAXFILESIZE_LARGE, INT64_MAX); /* else a length of 2^63 is taken for none */
    set_long(t, CURLOPT_CONNECTTIMEOUT_MS, t->connect_ms);
    if (*t->to.socket)
        set_text(t, CURLOPT_UNIX_SOCKET_PATH, t->to.socket);
    if (t->to.on_this_host)
        set_text(t, CURLOPT_PROXY, ""); /* whatever the environment says */
    set_pointer(t, CURLOPT_ERRORBUFFER, t->end.text);
    set_pointer(t, CURLOPT_HEADERDATA, t);
    set_pointer(t, CURLOPT_WRITEDATA, t);
    set_pointer(t, CURLOPT_PREREQDATA, t);
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_line);
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    if (t->refused == CURLE_OK)
        t->refused = t->lib->easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
}

int transfer_begin(struct transfer *t, CURLM *multi, const struct client_request *r, struct orcd_error *err)
{
    transfer_stop(t);
    t->connected = t->has_head = t->paused = false;
    t->head_bytes = t->have = 0;
    t->end = (struct transfer_end){0};
    t->refused = CURLE_OK;
    set_rules(t);
    int rc = add_lines(t, r, err);
    rc = rc ? rc : set_url(t, r->path, err);
    if (rc)
        return rc;
    set_request(t, r);
    if (t->refused != CURLE_OK)
        return error_set(err, ORCD_E_UNSUPPORTED, "libcurl: %s", t->lib->easy_strerror(t->refused));
    if (t->lib->multi_add_handle(multi, t->easy) != CURLM_OK)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    t->multi = multi;
    return 0;
}

void transfer_stop(struct transfer *t)
{
    if (t->multi)
        t->lib->multi_remove_handle(t->multi, t->easy);
    t->multi = NULL;
    t->end.over = true;
    for (struct curl_slist *line = t->lines; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    t->lib->slist_free_all(t->lines);
    t->lines = NULL;
}

/* --- the answer --- */

void transfer_ended(struct transfer *t, CURLcode result)
{
    t->end.over = true;
    t->end.result = result;
    t->lib->easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &t->end.os_errno);
}

bool transfer_is_over(const struct transfer *t)
{
    return t->end.over;
}

bool transfer_is_connected(const struct transfer *t)
{
    return t->connected;
}

bool transfer_has_head(const struct transfer *t)
{
    return t->has_head;
}

int transfer_status(const struct transfer *t)
{
    long status = 0;
    t->lib->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *transfer_content_type(const struct transfer *t)
{
    char *type = NULL;
    t->lib->easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    return type ? type : "";
}

unsigned long long transfer_sent(const struct transfer *t)
{
    curl_off_t n = 0;
    t->lib->easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &n);
    return (unsigned long long)n;
}

size_t transfer_take(struct transfer *t, char *buf, size_t size)
{
    size_t n = t->have < size ? t->have : size;
    memcpy(buf, t->buf, n);
    t->have -= n;
    memmove(t->buf, t->buf + n, t->have);
    if (t->have == 0 && t->paused && !t->end.over) {
        t->paused = false;
        CURLcode rc = t->lib->easy_pause(t->easy, CURLPAUSE_CONT); /* may call on_body */
        if (rc != CURLE_OK)
            transfer_ended(t, rc);
    }
    return n;
}

int transfer_failure(const struct transfer *t, struct orcd_error *err)
{
    if (t->end.result == CURLE_OK && !t->end.refused && t->has_head)
        return 0;
    return transfer_explain(&t->end, &t->to, t->has_head, t->lib, err);
}
