/*
 * lib/client for tests in other languages; not installed.
 *
 *   client-probe [OPTION...] URL PATH...      a request for each PATH, over one client
 *
 *   --connect MS, --timeout MS     of client_open and client_set_timeout (5000; -1)
 *   --bearer KEY, --header LINE    of each request
 *   --post BYTES                   a body of so many 'b'
 *   --max BYTES                    of client_read_all (16 MB)
 *   --stream                       client_read instead, and prints each piece
 *   --stop-after N                 with --stream: no more than N pieces are read of a body
 *   --hold                         waits for the end of standard input before it reads a body
 *   --wake                         bytes on standard input wake; a stream goes on when that has ended
 *
 * Prints "head STATUS TYPE", "piece BYTES HASH" (--stream), "body BYTES HASH" (FNV-1a of 32 bits),
 * "woken", "error CODE TEXT", and at the end "peak KB" (of resident memory). Status 0, whatever came.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "client/client.h"

static struct {
    int connect_ms, timeout_ms, stop_after;
    size_t post, max;
    const char *bearer, *header;
    bool stream, hold, wake;
} o = {.connect_ms = 5000, .timeout_ms = -1, .stop_after = -1, .max = 16 << 20};

static uint32_t hash(uint32_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    return h;
}

static int failed(int rc, const struct orcd_error *err)
{
    if (rc == CLIENT_WOKEN)
        puts("woken");
    else
        printf("error %s %s\n", error_name(rc), err->msg);
    return rc;
}

static void await_input_end(void)
{
    char drop[64];
    while (read(STDIN_FILENO, drop, sizeof(drop)) > 0)
        ;
}

static int read_pieces(struct client *c, struct orcd_error *err)
{
    char buf[65536];
    size_t total = 0;
    uint32_t h = 2166136261u;
    int rc;
    for (int i = 0; i != o.stop_after; i++) {
        ssize_t n = client_read(c, buf, sizeof(buf), &rc, err);
        if (rc == CLIENT_WOKEN) {
            failed(rc, err);
            await_input_end();
            client_set_wake(c, -1);
            continue;
        }
        if (n < 0)
            return failed(rc, err);
        if (n == 0) {
            printf("body %zu %08x\n", total, h);
            return 0;
        }
        printf("piece %zd %08x\n", n, hash(2166136261u, buf, (size_t)n));
        h = hash(h, buf, (size_t)n);
        total += (size_t)n;
    }
    return 0;
}

static int read_body(struct client *c, struct orcd_error *err)
{
    char *body;
    size_t n;
    if (o.hold)
        await_input_end();
    if (o.stream)
        return read_pieces(c, err);
    int rc = client_read_all(c, o.max, &body, &n, err);
    if (rc)
        return failed(rc, err);
    printf("body %zu %08x\n", n, hash(2166136261u, body, n));
    free(body);
    return 0;
}

static int request(struct client *c, const char *path)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *headers[] = {o.header, NULL};
    char *body = o.post ? malloc(o.post) : NULL;
    if (body)
        memset(body, 'b', o.post);
    struct client_request r = {.method = body ? "POST" : "GET",
        .path = path,
        .body = body,
        .n_body = o.post,
        .bearer = o.bearer,
        .headers = headers};
    int status, rc = client_send(c, &r, &status, &err);
    if (rc) {
        failed(rc, &err);
    } else {
        printf("head %d %s\n", status, client_content_type(c));
        rc = read_body(c, &err);
    }
    free(body);
    return rc;
}

static int parse(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2;
        if (strcmp(name, "stream") == 0 || strcmp(name, "hold") == 0 || strcmp(name, "wake") == 0) {
            *(*name == 's' ? &o.stream : *name == 'h' ? &o.hold : &o.wake) = true;
            continue;
        }
        const char *value = ++i < argc ? argv[i] : "";
        if (strcmp(name, "connect") == 0)
            o.connect_ms = atoi(value);
        else if (strcmp(name, "timeout") == 0)
            o.timeout_ms = atoi(value);
        else if (strcmp(name, "stop-after") == 0)
            o.stop_after = atoi(value);
        else if (strcmp(name, "bearer") == 0)
            o.bearer = value;
        else if (strcmp(name, "header") == 0)
            o.header = value;
        else if (strcmp(name, "post") == 0)
            o.post = strtoul(value, NULL, 10);
        else if (strcmp(name, "max") == 0)
            o.max = strtoul(value, NULL, 10);
    }
    return i;
}

int main(int argc, char **argv)
{
    int i = parse(argc, argv);
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    struct rusage usage;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int rc = i < argc ? client_open(&c, argv[i++], o.connect_ms, &err) : 64;
    if (rc) {
        failed(rc, &err);
        return 0;
    }
    client_set_timeout(c, o.timeout_ms);
    client_set_wake(c, o.wake ? STDIN_FILENO : -1);
    for (; i < argc && rc == 0; i++)
        rc = request(c, argv[i]);
    client_close(c);
    getrusage(RUSAGE_SELF, &usage);
    printf("peak %ld\n", usage.ru_maxrss);
    return 0;
}
