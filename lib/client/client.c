#include "client/client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 65536
#define BUFFER_BYTES 65536

enum body { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE };

struct client {
    int fd, wake_fd, timeout_ms;
    char host[300], prefix[256]; /* of Host:, and of every path */
    char buf[BUFFER_BYTES];
    size_t at, have; /* unread bytes: buf[at..have) */
    enum body body;
    unsigned long long left; /* bytes of the body or of this chunk */
    bool in_chunk, ended;
    char content_type[128];
};

static int bad_url(const char *url, struct orcd_error *err)
{
    return error_set(err, ORCD_E_INVALID, "%.100s: must be http://HOST:PORT or unix:/PATH", url);
}

static int unreachable(const char *url, int e, struct orcd_error *err)
{
    return error_set_errno(err, ORCD_E_IO, e, "%.200s", url);
}

static int connect_within(int fd, const struct sockaddr *sa, socklen_t n, int timeout_ms)
{
    if (connect(fd, sa, n) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EAGAIN)
        return errno;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int rc;
    while ((rc = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    if (rc <= 0)
        return rc ? errno : ETIMEDOUT;
    int e = 0;
    socklen_t len = sizeof(e);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    return e;
}

static int connect_unix(struct client *c, const char *url, int timeout_ms, struct orcd_error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = url + strlen("unix:");
    if (*path != '/' || strlen(path) >= sizeof(sa.sun_path))
        return bad_url(url, err);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    snprintf(c->host, sizeof(c->host), "localhost");
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int e = c->fd < 0 ? errno : connect_within(c->fd, (struct sockaddr *)&sa, sizeof(sa), timeout_ms);
    return e ? unreachable(url, e, err) : 0;
}

/* "host", "host:port", "[v6]:port", then a path. */
static int split_authority(
    struct client *c, const char *url, char *host, size_t host_size, char *port, struct orcd_error *err)
{
    const char *p = url + strlen("http://"), *end = p + strcspn(p, "/?#");
    size_t n = (size_t)(end - p);
    const char *colon = NULL;
    for (const char *q = end; q > p && q[-1] != ']'; q--)
        if (q[-1] == ':') {
            colon = q - 1;
            break;
        }
    const char *host_end = colon ? colon : end;
    size_t port_n = colon ? (size_t)(end - colon - 1) : 0;
    if (n == 0 || n >= sizeof(c->host) || host_end == p || port_n > 5 || (colon && port_n == 0) ||
        strspn(colon ? colon + 1 : "", "0123456789") < port_n)
        return bad_url(url, err);
    for (const char *q = p; q < end; q++)
        if (*q <= ' ' || *q > '~' || *q == '@')
            return bad_url(url, err);
    size_t path_n = strlen(end);
    while (path_n && end[path_n - 1] == '/')
        path_n--;
    if (path_n >= sizeof(c->prefix) || (path_n && *end != '/') || strcspn(end, " \r\n\t?#") < path_n)
        return bad_url(url, err);
    snprintf(c->host, sizeof(c->host), "%.*s", (int)n, p);
    snprintf(c->prefix, sizeof(c->prefix), "%.*s", (int)path_n, end);
    snprintf(port, 6, "%.*s", colon ? (int)port_n : 2, colon ? colon + 1 : "80");
    if (*p == '[' && host_end[-1] == ']') {
        p++;
        host_end--;
    }
    snprintf(host, host_size, "%.*s", (int)(host_end - p), p);
    return 0;
}

static int connect_tcp(struct client *c, const char *url, int timeout_ms, struct orcd_error *err)
{
    char host[300], port[6];
    int rc = split_authority(c, url, host, sizeof(host), port, err);
    if (rc)
        return rc;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    rc = getaddrinfo(host, port, &hints, &list);
    if (rc)
        return error_set(err, ORCD_E_NOT_FOUND, "%.200s: %s", host, gai_strerror(rc));
    int e = ECONNREFUSED;
    for (struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
        e = fd < 0 ? errno : connect_within(fd, a->ai_addr, a->ai_addrlen, timeout_ms);
        if (e == 0)
            c->fd = fd;
        else if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(list);
    if (c->fd < 0)
        return unreachable(url, e, err);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return 0;
}

int client_open(struct client **out, const char *url, int timeout_ms, struct orcd_error *err)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    c->fd = c->wake_fd = -1;
    c->timeout_ms = -1;
    int rc = strncmp(url, "unix:", 5) == 0     ? connect_unix(c, url, timeout_ms, err)
             : strncmp(url, "http://", 7) == 0 ? connect_tcp(c, url, timeout_ms, err)
                                               : bad_url(url, err);
    if (rc) {
        client_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

void client_set_wake(struct client *c, int fd)
{
    c->wake_fd = fd;
}

void client_set_timeout(struct client *c, int timeout_ms)
{
    c->timeout_ms = timeout_ms;
}

const char *client_content_type(const struct client *c)
{
    return c->content_type;
}

/* 0 when fd is ready for events. */
static int wait_for(struct client *c, short events, struct orcd_error *err)
{
    struct pollfd p[2] = {{.fd = c->fd, .events = events}, {.fd = c->wake_fd, .events = POLLIN}};
    for (;;) {
        int rc = poll(p, 2, c->timeout_ms);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc < 0)
            return error_set_errno(err, ORCD_E_IO, errno, "poll");
        if (rc == 0)
            return error_set(err, ORCD_E_IO, "no answer within %d ms", c->timeout_ms);
        return p[1].revents ? CLIENT_WOKEN : 0;
    }
}

static int send_all(struct client *c, const char *p, size_t n, struct orcd_error *err)
{
    while (n) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            int rc = wait_for(c, POLLOUT, err);
            if (rc)
                return rc;
            continue;
        }
        if (sent < 0)
            return error_set_errno(err, ORCD_E_IO, errno, "send");
        p += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* At least one unread byte; ORCD_E_IO with "closed" text at the end of the stream. */
static int fill(struct client *c, bool *eof, struct orcd_error *err)
{
    *eof = false;
    if (c->at == c->have)
        c->at = c->have = 0;
    if (c->have == sizeof(c->buf)) {
        memmove(c->buf, c->buf + c->at, c->have - c->at);
        c->have -= c->at;
        c->at = 0;
    }
    if (c->have == sizeof(c->buf))
        return error_set(err, ORCD_E_INVALID, "a line of the answer is too long");
    for (;;) {
        ssize_t got = recv(c->fd, c->buf + c->have, sizeof(c->buf) - c->have, 0);
        if (got > 0) {
            c->have += (size_t)got;
            return 0;
        }
        if (got == 0) {
            *eof = true;
            return 0;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return error_set_errno(err, ORCD_E_IO, errno, "receive");
        int rc = wait_for(c, POLLIN, err);
        if (rc)
            return rc;
    }
}

/* A line without its end, as a NUL-terminated string in the buffer. */
static int read_line(struct client *c, char **line, struct orcd_error *err)
{
    for (;;) {
        char *start = c->buf + c->at, *eol = memchr(start, '\n', c->have - c->at);
        if (eol) {
            c->at += (size_t)(eol - start) + 1;
            *eol = 0;
            if (eol > start && eol[-1] == '\r')
                eol[-1] = 0;
            *line = start;
            return 0;
        }
        bool eof;
        int rc = fill(c, &eof, err);
        if (rc)
            return rc;
        if (eof)
            return error_set(err, ORCD_E_IO, "the connection was closed in the middle of an answer");
    }
}

static bool parse_size(const char *text, int base, unsigned long long *out)
{
    if (!isxdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    *out = strtoull(text, &end, base);
    while (*end == ' ')
        end++;
    return !errno && (*end == 0 || (base == 16 && *end == ';'));
}

static int take_header(struct client *c, char *line, struct orcd_error *err)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return error_set(err, ORCD_E_INVALID, "malformed header in the answer");
    *colon = 0;
    char *value = colon + 1;
    value += strspn(value, " \t");
    if (strcasecmp(line, "Content-Length") == 0) {
        if (!parse_size(value, 10, &c->left))
            return error_set(err, ORCD_E_INVALID, "malformed Content-Length in the answer");
        if (c->body != BODY_CHUNKED)
            c->body = BODY_LENGTH;
    } else if (strcasecmp(line, "Transfer-Encoding") == 0 && strcasecmp(value, "chunked") == 0) {
        c->body = BODY_CHUNKED;
        c->left = 0;
    } else if (strcasecmp(line, "Content-Type") == 0) {
        snprintf(c->content_type, sizeof(c->content_type), "%s", value);
    }
    return 0;
}

static int read_head(struct client *c, int *status, struct orcd_error *err)
{
    char *line;
    int code = 0;
    size_t total = 0;
    do {
        c->body = BODY_CLOSE;
        c->left = 0;
        c->in_chunk = c->ended = false;
        c->content_type[0] = 0;
        int rc = read_line(c, &line, err);
        if (rc)
            return rc;
        if (strncmp(line, "HTTP/1.", 7) != 0 || sscanf(line + 8, " %3d", &code) != 1 || code < 100)
            return error_set(err, ORCD_E_INVALID, "the answer is not HTTP");
        while ((rc = read_line(c, &line, err)) == 0 && *line) {
            total += strlen(line);
            rc = total > HEAD_MAX ? error_set(err, ORCD_E_INVALID, "the head of the answer is too long")
                                  : take_header(c, line, err);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    } while (code < 200);
    if (code == 204 || code == 304)
        c->body = BODY_NONE;
    *status = code;
    return 0;
}

int client_send(struct client *c, const struct client_request *r, int *status, struct orcd_error *err)
{
    char head[4096], length[48] = "";
    if (r->body)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", r->n_body);
    int n = snprintf(head, sizeof(head), "%s %s%s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s\r\n", r->method,
        c->prefix, r->path, c->host, r->body ? "Content-Type: application/json\r\n" : "", length,
        r->bearer ? "Authorization: Bearer " : "", r->bearer ? r->bearer : "", r->bearer ? "\r\n" : "",
        r->headers ? r->headers : "");
    if (n < 0 || (size_t)n >= sizeof(head))
        return error_set(err, ORCD_E_INVALID, "the head of the request is too long");
    c->at = c->have = 0;
    int rc = send_all(c, head, (size_t)n, err);
    explicit_bzero(head, sizeof(head));
    if (rc == 0 && r->body)
        rc = send_all(c, r->body, r->n_body, err);
    return rc ? rc : read_head(c, status, err);
}

/* Ends the chunk before and reads the size of the next; 0 ends the body. */
static int next_chunk(struct client *c, struct orcd_error *err)
{
    char *line;
    int rc;
    if (c->in_chunk) {
        if ((rc = read_line(c, &line, err)))
            return rc;
        if (*line)
            return error_set(err, ORCD_E_INVALID, "malformed chunk in the answer");
        c->in_chunk = false;
    }
    if ((rc = read_line(c, &line, err)))
        return rc;
    if (!parse_size(line, 16, &c->left))
        return error_set(err, ORCD_E_INVALID, "malformed chunk in the answer");
    if (c->left) {
        c->in_chunk = true;
        return 0;
    }
    while ((rc = read_line(c, &line, err)) == 0 && *line) /* trailers */
        ;
    c->ended = rc == 0;
    return rc;
}

ssize_t client_read(struct client *c, char *buf, size_t size, int *rc, struct orcd_error *err)
{
    *rc = 0;
    if (c->body == BODY_CHUNKED && c->left == 0 && !c->ended) {
        *rc = next_chunk(c, err);
        if (*rc)
            return -1;
    }
    if (c->ended || c->body == BODY_NONE || (c->body != BODY_CLOSE && c->left == 0))
        return 0;
    if (c->at == c->have) {
        bool eof;
        *rc = fill(c, &eof, err);
        if (*rc)
            return -1;
        if (eof && c->body == BODY_CLOSE)
            return 0;
        if (eof) {
            *rc = error_set(err, ORCD_E_IO, "the connection was closed in the middle of an answer");
            return -1;
        }
    }
    size_t n = c->have - c->at;
    if (n > size)
        n = size;
    if (c->body != BODY_CLOSE && n > c->left)
        n = (size_t)c->left;
    memcpy(buf, c->buf + c->at, n);
    c->at += n;
    if (c->body != BODY_CLOSE)
        c->left -= n;
    return (ssize_t)n;
}

int client_read_all(struct client *c, size_t max, char **body, size_t *n, struct orcd_error *err)
{
    char *text = NULL;
    size_t have = 0, room = 0;
    for (;;) {
        if (room - have < 4097) {
            room += 65536;
            char *grown = realloc(text, room);
            if (!grown) {
                free(text);
                return error_set(err, ORCD_E_NOMEM, "out of memory");
            }
            text = grown;
        }
        int rc;
        ssize_t got = client_read(c, text + have, 4096, &rc, err);
        if (got > 0 && have + (size_t)got > max)
            got = -1, rc = error_set(err, ORCD_E_INVALID, "the answer is longer than %zu bytes", max);
        if (got < 0) {
            free(text);
            return rc;
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    text[have] = 0;
    *body = text;
    *n = have;
    return 0;
}
