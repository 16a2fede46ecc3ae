/* The load generator: replies cut at every byte, and a scripted server on loopback. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lib/echo.h"
#include "lib/fleet.h"
#include "lib/load-reply.h"
#include "lib/load.h"

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

/* --- replies --------------------------------------------------------------------------- */

/* What was told, as text: one letter an event, then its data. */
struct told {
    char text[4096];
    size_t stop_after; /* events; 0: never */
    size_t n_events;
};

static bool tell_head(void *arg, int status)
{
    struct told *t = arg;
    sprintf(t->text + strlen(t->text), "%d|", status);
    return true;
}

static bool tell_event(void *arg, enum load_event_kind kind, uint64_t at_us, const char *data, size_t n_data)
{
    static const char letters[] = "STEXCO"; /* of enum load_event_kind */
    struct told *t = arg;
    assert_int_equal(strlen(data), n_data);
    if (strlen(t->text) < 2000)
        sprintf(t->text + strlen(t->text), "%c%.40s", letters[kind], data);
    if (at_us)
        sprintf(t->text + strlen(t->text), "@%llu", (unsigned long long)at_us);
    strcat(t->text, "|");
    return ++t->n_events != t->stop_after;
}

static const struct reply_sink teller = {tell_head, tell_event};

/* In two pieces, the first of `cut` bytes, or (SIZE_MAX) byte by byte. */
static enum reply_state feed(struct told *t, const char *p, size_t n, size_t cut, char body[64], size_t *left)
{
    struct reply r = {0};
    size_t used = 0;
    if (cut == SIZE_MAX) {
        while (used < n && r.state < REPLY_DONE)
            used += reply_feed(&r, p + used, 1, &teller, t);
    } else {
        used = reply_feed(&r, p, cut, &teller, t);
        if (used == cut)
            used += reply_feed(&r, p + cut, n - cut, &teller, t);
    }
    if (body)
        snprintf(body, 64, "%s", r.body.p ? r.body.p : "");
    if (left)
        *left = n - used;
    enum reply_state s = r.state;
    reply_release(&r);
    return s;
}

static void expect(const char *reply, enum reply_state state, const char *told, const char *wanted_body)
{
    size_t n = strlen(reply);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct told t = {.text = ""};
        char body[64];
        enum reply_state s = feed(&t, reply, n, cut <= n ? cut : SIZE_MAX, body, NULL);
        if (s != state || strcmp(t.text, told) != 0 || strcmp(body, wanted_body) != 0)
            fail_msg("cut at %zu of %zu: state %d, told '%s', body '%s'", cut, n, (int)s, t.text, body);
    }
}

/* Events that end inside, at the end of and across chunks. */
static void test_chunked_stream(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "event: started\ndata: {\"a\":1",
        "}\n\n:",
        " ping\n\neve",
        "nt: token\nid: 1\ndata: {\"t\":\"\\\"at_us\\\":7\",\"at_us\":1700000000000123}\n\ndata: x",
        "yz\ndata: 2\n\nevent: token\ndata: {\"t\":\"held\"}\n\nev",
        "ent: end\nid: 2\ndata: {}\n\n",
    };
    char reply[1024] = SSE_HEAD;
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        sprintf(
            reply + strlen(reply), "%zX%s\r\n%s\r\n", strlen(chunks[i]), i & 1 ? ";x=\"y\"" : "", chunks[i]);
    strcat(reply, "0\r\nTrailer: 1\r\n\r\n");
    expect(reply, REPLY_DONE,
        "200|S{\"a\":1}|Cping|T{\"t\":\"\\\"at_us\\\":7\",\"at_us\":1700000000000@1700000000000123|Oxyz\n2|"
        "O{\"t\":\"held\"}|E{}|",
        "");
}

static void test_line_ends(void **state)
{
    (void)state;
    expect(
        "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n\r\n"
        "event: token\r\nid: 1\r\ndata: a\r\n\r\nevent: token\rid:2\rdata:b\r\r:c\nevent\ndata\n\nid: 3\n\n",
        REPLY_UNTIL_CLOSE, "200|Ta|Tb|Cc|O|", "");
}

static void test_openai_stream(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
           "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
           "data: {\"choices\":[{\"delta\":{\"content\": \"x\"}}]}\n\n"
           "data: {\"choices\":[{\"text\" : \"\\\"text\\\":\"}]}\n\n"
           "data: {\"content\":\"y\",\"stop\":false}\n\n"
           "data: {\"content\":\"\",\"stop\":true}\n\n"
           "data: {\"error\":{\"code\":500}}\n\n"
           "data: [DONE]\n\n",
        REPLY_UNTIL_CLOSE,
        "200|O{\"choices\":[{\"delta\":{\"role\":\"assistant\"|T{\"choices\":[{\"delta\":{\"content\": "
        "\"x\"}}]}|"
        "T{\"choices\":[{\"text\" : \"\\\"text\\\":\"}]}|T{\"content\":\"y\",\"stop\":false}|"
        "E{\"content\":\"\",\"stop\":true}|X{\"error\":{\"code\":500}}|E[DONE]|",
        "");
}

static void test_bodies(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", REPLY_DONE, "200|", "hello");
    expect("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", REPLY_LENGTH, "200|", "hello");
    expect("HTTP/1.1 503 No\r\ntransfer-encoding:chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
        REPLY_DONE, "503|", "abc0123456789");
    expect("HTTP/1.0 200 OK\r\n\r\nrest", REPLY_UNTIL_CLOSE, "200|", "rest");
    expect("HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", REPLY_DONE, "204|", "");
    expect(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", REPLY_DONE, "200|", "");
}

static void test_bad_replies(void **state)
{
    (void)state;
    expect("SSH-2.0-x\r\n\r\n", REPLY_BAD, "", "");
    expect("HTTP/1.1 20 OK\r\n\r\n", REPLY_BAD, "", "");
    expect("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", REPLY_BAD, "", "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", REPLY_BAD, "200|", "");
    expect(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", REPLY_BAD, "200|", "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", REPLY_BAD, "200|", "a");
}

/* Heads, chunk lines and event lines that never end are given up. */
static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t limit;
    } endless[] = {{"HTTP/1.1 200 OK\r\nX: ", REPLY_HEAD_MAX},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", REPLY_HEAD_MAX},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", EVENTS_MAX},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:", EVENTS_MAX}};
    char piece[1000];
    memset(piece, ';', sizeof(piece));
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        struct told t = {.text = ""};
        struct reply r = {0};
        size_t n = strlen(endless[i].head), fed = n;
        reply_feed(&r, endless[i].head, n, &teller, &t);
        while (r.state != REPLY_BAD && fed < 2 * EVENTS_MAX) {
            reply_feed(&r, piece, sizeof(piece), &teller, &t);
            fed += sizeof(piece);
        }
        assert_int_equal(r.state, REPLY_BAD);
        assert_in_range(fed, endless[i].limit, endless[i].limit + 2000);
        reply_release(&r);
    }
}

static void test_stop(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                               ":a\n:b\ndata: c\n\n:d\n";
    for (size_t k = 1; k <= 4; k++) {
        struct told t = {.text = "", .stop_after = k};
        struct reply r = {0};
        reply_feed(&r, text, sizeof(text) - 1, &teller, &t);
        assert_int_equal(t.n_events, k);
        reply_release(&r);
    }
}

static void test_leftover(void **state)
{
    (void)state;
    struct told t = {.text = ""};
    size_t left;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc";
    assert_int_equal(feed(&t, text, sizeof(text) - 1, 3, NULL, &left), REPLY_DONE);
    assert_int_equal(left, 2);
}

/* --- a scripted server ------------------------------------------------------------------ */

/*
 * A script is played to one client after the other, in steps:
 *   ACCEPT      the next connection (the one before is closed)
 *   REQUEST     reads a head and its body
 *   "text"      sends it
 *   CLOSE, RESET
 *   GONE        waits until the client has closed
 *   HALF        waits for the end of what the client sends; the connection stays
 */
#define ACCEPT "\001"
#define REQUEST "\002"
#define CLOSE "\003"
#define RESET "\004"
#define GONE "\005"
#define HALF "\006"

struct server {
    int listener;
    char url[64];
    const char *const *script;
    pthread_t thread;
    char request[8192]; /* the last */
    ssize_t gone;       /* recv()'s last word */
};

static void read_request(struct server *s, int fd)
{
    size_t n = 0, need = 0;
    char *end, *length;
    memset(s->request, 0, sizeof(s->request));
    while (n < sizeof(s->request) - 1) {
        ssize_t k = recv(fd, s->request + n, sizeof(s->request) - 1 - n, 0);
        if (k <= 0)
            return;
        n += (size_t)k;
        if (!(end = strstr(s->request, "\r\n\r\n")))
            continue;
        length = strstr(s->request, "Content-Length: ");
        need = (size_t)(end + 4 - s->request) + (length ? strtoul(length + 16, NULL, 10) : 0);
        if (n >= need)
            return;
    }
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    struct linger none = {.l_onoff = 1};
    int fd = -1;
    char waste[4096];
    for (const char *const *step = s->script; *step; step++) {
        switch ((*step)[0]) {
        case 1:
            if (fd >= 0)
                close(fd);
            fd = accept(s->listener, NULL, NULL);
            break;
        case 2:
            read_request(s, fd);
            break;
        case 4:
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
            close(fd);
            fd = -1;
            break;
        case 3:
            close(fd);
            fd = -1;
            break;
        case 5:
        case 6:
            while ((s->gone = recv(fd, waste, sizeof(waste), 0)) > 0)
                ;
            break;
        default:
            send(fd, *step, strlen(*step), MSG_NOSIGNAL);
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void server_start(struct server *s, const char *const *script)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    memset(s, 0, sizeof(*s));
    s->script = script;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, n), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    getsockname(s->listener, (struct sockaddr *)&addr, &n);
    sprintf(s->url, "http://127.0.0.1:%u", ntohs(addr.sin_port));
    if (script)
        pthread_create(&s->thread, NULL, server_main, s);
}

static void server_stop(struct server *s)
{
    if (s->script)
        pthread_join(s->thread, NULL);
    close(s->listener);
}

/* What became of one call. */
struct seen {
    struct load *load;
    enum load_outcome how;
    int status, n_connected, n_events, n_done;
    int close_at; /* closes when so many events came */
    enum load_close close_how;
    char body[256];
    bool keep, on_time, stop_when_done;
    struct load_conn *kept;
    uint64_t sampled_ns, closed_ns;
};

static void on_connected(struct load_call *c, uint64_t at_ns)
{
    struct seen *s = load_call_arg(c);
    s->n_connected++;
    assert_in_range(at_ns, clock_mono_ns() - NS_PER_S, clock_mono_ns());
}

static void on_head(struct load_call *c, int status, uint64_t kernel_ns)
{
    struct seen *s = load_call_arg(c);
    (void)kernel_ns;
    s->status = status;
    assert_int_equal(load_call_status(c), status);
}

static void on_event(struct load_call *c, const struct load_event *e)
{
    struct seen *s = load_call_arg(c);
    uint64_t sent = load_call_sent_ns(c);
    assert_int_not_equal(s->how, LOAD_CLOSED); /* nothing after it was closed */
    s->on_time = sent && sent < e->kernel_ns && e->kernel_ns <= e->recv_ns;
    if (e->sampled_ns)
        s->sampled_ns = e->sampled_ns;
    if (++s->n_events == s->close_at) {
        s->closed_ns = load_call_close(c, s->close_how);
        s->how = LOAD_CLOSED;
    }
}

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct seen *s = load_call_arg(c);
    s->how = how;
    s->n_done++;
    assert_int_equal(strlen(body), n_body);
    snprintf(s->body, sizeof(s->body), "%s", body);
    if (s->keep)
        s->kept = load_call_keep(c);
    if (s->stop_when_done)
        load_stop(s->load);
}

static const struct load_handlers handlers = {on_connected, on_head, on_event, on_done};

static void start_call(struct load *l, const struct server *s, struct seen *seen, const char *body)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct load_spec spec = {.url = s->url,
        .method = body ? "POST" : "GET",
        .path = "/x",
        .headers = "X-A: b\r\n",
        .body = body,
        .n_body = body ? strlen(body) : 0,
        .handlers = &handlers,
        .arg = seen,
        .conn = seen->kept};
    seen->load = l;
    seen->how = (enum load_outcome) - 1;
    seen->kept = NULL;
    if (load_call(l, &spec, NULL, &err))
        fail_msg("%s", err.msg);
}

static struct load *load_open(void)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct load *l = NULL;
    assert_int_equal(load_new(&l, &err), 0);
    return l;
}

/* One call against the script. */
static void play(const char *const *script, struct seen *seen, const char *body)
{
    struct server s;
    struct load *l = load_open();
    server_start(&s, script);
    start_call(l, &s, seen, body);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_int_equal(seen->n_done, 1);
    load_free(l);
    server_stop(&s);
}

static void test_stream(void **state)
{
    (void)state;
    struct seen seen = {0};
    char event[128];
    uint64_t sampled = clock_mono_ns() - 5 * NS_PER_MS;
    int n = snprintf(event, sizeof(event), "event: token\nid: 1\ndata: {\"t\":\"a\",\"at_us\":%llu}\n\n",
        (unsigned long long)((sampled + (uint64_t)clock_real_offset_ns()) / 1000));
    char chunk[160];
    snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, event);
    const char *const script[] = {ACCEPT, REQUEST, SSE_HEAD, chunk, "0\r\n\r\n", GONE, NULL};
    play(script, &seen, "{}");
    assert_int_equal(seen.how, LOAD_COMPLETE);
    assert_int_equal(seen.status, 200);
    assert_int_equal(seen.n_connected, 1);
    assert_int_equal(seen.n_events, 1);
    assert_true(seen.on_time);
    /* Microseconds are cut, and the clocks are a little apart. */
    assert_in_range(seen.sampled_ns, sampled - 20000, sampled + 20000);
}

static void test_request(void **state)
{
    (void)state;
    struct seen seen = {0};
    static const char *const script[] = {
        ACCEPT, REQUEST, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", GONE, NULL};
    struct server s;
    struct load *l = load_open();
    server_start(&s, script);
    start_call(l, &s, &seen, "{\"a\":1}");
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    load_free(l);
    server_stop(&s);
    char wanted[512];
    snprintf(wanted, sizeof(wanted),
        "POST /x HTTP/1.1\r\nHost: %.60s\r\nContent-Type: application/json\r\nContent-Length: 7\r\nX-A: "
        "b\r\n\r\n"
        "{\"a\":1}",
        s.url + 7);
    assert_string_equal(s.request, wanted);
    assert_int_equal(seen.how, LOAD_COMPLETE);
    assert_int_equal(seen.status, 404);
    assert_string_equal(seen.body, "no");
}

static void test_cut(void **state)
{
    (void)state;
    static const char *const scripts[][6] = {
        {ACCEPT, REQUEST, SSE_HEAD "10\r\n:x\n", CLOSE, NULL},
        {ACCEPT, REQUEST, SSE_HEAD "3\r\n:x\n\r\n", RESET, NULL},
        {ACCEPT, REQUEST, CLOSE, NULL},
        {ACCEPT, REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", CLOSE, NULL},
        {ACCEPT, REQUEST, "nonsense\r\n\r\n", GONE, NULL},
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct seen seen = {0};
        play(scripts[i], &seen, NULL);
        assert_int_equal(seen.how, LOAD_CUT);
    }
    static const char *const whole[] = {ACCEPT, REQUEST, "HTTP/1.0 200 OK\r\n\r\nhello", CLOSE, NULL};
    struct seen seen = {.keep = true};
    play(whole, &seen, NULL);
    assert_int_equal(seen.how, LOAD_COMPLETE);
    assert_string_equal(seen.body, "hello");
    assert_null(seen.kept);
}

static void test_refused(void **state)
{
    (void)state;
    struct server s;
    struct seen seen = {0};
    struct load *l = load_open();
    server_start(&s, NULL);
    server_stop(&s); /* nobody listens */
    start_call(l, &s, &seen, NULL);
    assert_int_equal(seen.n_done, 0); /* not before load_run */
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_int_equal(seen.n_done, 1);
    assert_int_equal(seen.how, LOAD_REFUSED);
    assert_int_equal(seen.n_connected, 0);
    load_free(l);
}

static void test_keep(void **state)
{
    (void)state;
    static const char *const script[] = {ACCEPT, REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", REQUEST,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nc", GONE, NULL};
    struct server s;
    struct seen seen = {.keep = true};
    struct load *l = load_open();
    server_start(&s, script);
    for (int i = 0; i < 3; i++) {
        start_call(l, &s, &seen, NULL);
        assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
        assert_int_equal(seen.how, LOAD_COMPLETE);
        assert_int_equal(seen.body[0], 'a' + i);
        assert_int_equal(!seen.kept, i == 2);
    }
    assert_int_equal(seen.n_connected, 1);
    server_stop(&s);
    load_free(l);
}

/* The server ends a connection that is kept: the next call on it is told. */
static void test_kept_dies(void **state)
{
    (void)state;
    static const char *const script[] = {
        ACCEPT, REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CLOSE, NULL};
    struct server s;
    struct seen seen = {.keep = true};
    struct load *l = load_open();
    server_start(&s, script);
    start_call(l, &s, &seen, NULL);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_non_null(seen.kept);
    server_stop(&s);
    start_call(l, &s, &seen, NULL);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_int_equal(seen.how, LOAD_CUT);
    load_free(l);
}

static void test_close(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        static const char *const script[] = {ACCEPT, REQUEST, SSE_HEAD "9\r\n:x\n:y\n:z\n\r\n", GONE, NULL};
        struct server s;
        struct seen seen = {.close_at = 2, .close_how = reset ? LOAD_RESET : LOAD_CLOSE};
        struct load *l = load_open();
        server_start(&s, script);
        start_call(l, &s, &seen, NULL);
        assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
        server_stop(&s);
        assert_int_equal(seen.how, LOAD_CLOSED);
        assert_int_equal(seen.n_events, 2);
        assert_int_equal(seen.n_done, 1);
        assert_in_range(seen.closed_ns, clock_mono_ns() - 20 * NS_PER_S, clock_mono_ns());
        assert_int_equal(s.gone, reset ? -1 : 0);
        load_free(l);
    }
}

static void half_close(void *arg)
{
    load_call_half_close(arg);
}

static void test_half_close(void **state)
{
    (void)state;
    static const char *const script[] = {
        ACCEPT, REQUEST, SSE_HEAD "3\r\n:x\n\r\n", HALF, "3\r\n:y\n\r\n0\r\n\r\n", GONE, NULL};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct server s;
    struct seen seen = {0};
    struct load *l = load_open();
    struct load_call *c;
    server_start(&s, script);
    struct load_spec spec = {.url = s.url, .method = "GET", .path = "/", .handlers = &handlers, .arg = &seen};
    assert_int_equal(load_call(l, &spec, &c, &err), 0);
    assert_int_equal(load_at(l, clock_mono_ns(), half_close, c), 0);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_int_equal(seen.how, LOAD_COMPLETE);
    assert_int_equal(seen.n_events, 2);
    load_free(l);
    server_stop(&s);
}

struct pause {
    struct load_call *call;
    struct seen *seen;
    int events_before;
};

static void pause_call(void *arg)
{
    load_call_read(((struct pause *)arg)->call, false);
}

static void resume_call(void *arg)
{
    struct pause *p = arg;
    p->events_before = p->seen->n_events;
    load_call_read(p->call, true);
}

static void test_pause(void **state)
{
    (void)state;
    static const char *const script[] = {ACCEPT, REQUEST, SSE_HEAD "3\r\n:x\n\r\n0\r\n\r\n", GONE, NULL};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct server s;
    struct seen seen = {0};
    struct pause p = {.seen = &seen, .events_before = -1};
    struct load *l = load_open();
    server_start(&s, script);
    struct load_spec spec = {
        .url = s.url, .method = "GET", .path = "/", .handlers = &handlers, .arg = &seen, .rcvbuf = 4096};
    uint64_t now = clock_mono_ns();
    assert_int_equal(load_call(l, &spec, &p.call, &err), 0);
    assert_int_equal(load_at(l, now, pause_call, &p), 0);
    assert_int_equal(load_at(l, now + 50 * NS_PER_MS, resume_call, &p), 0);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    assert_int_equal(p.events_before, 0);
    assert_int_equal(seen.n_events, 1);
    assert_int_equal(seen.how, LOAD_COMPLETE);
    load_free(l);
    server_stop(&s);
}

/* --- time -------------------------------------------------------------------------------- */

struct ticker {
    struct load *l;
    uint64_t at[200], ran[200];
    unsigned n;
};
static struct ticker ticks;

static void tick(void *arg)
{
    uint64_t due = (uint64_t)(uintptr_t)arg;
    ticks.at[ticks.n] = due;
    ticks.ran[ticks.n++] = clock_mono_ns();
}

static void stop_now(void *arg)
{
    load_stop(arg);
}

static void test_timers(void **state)
{
    (void)state;
    struct load *l = load_open();
    uint64_t base = clock_mono_ns() + 5 * NS_PER_MS;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t at = base + (i * 7919 % 200) * 50000;
        assert_int_equal(load_at(l, at, tick, (void *)(uintptr_t)at), 0);
    }
    assert_true(load_run(l, 0)); /* ends with the last timer */
    assert_int_equal(ticks.n, 200);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(ticks.at[i], base + i * 50000);
        assert_true(ticks.ran[i] >= ticks.at[i]); /* never early */
    }
    uint64_t until = clock_mono_ns() + 3 * NS_PER_MS;
    assert_int_equal(load_at(l, clock_mono_ns() + 3600 * NS_PER_S, tick, NULL), 0);
    assert_false(load_run(l, until));
    assert_true(clock_mono_ns() >= until);
    assert_int_equal(load_at(l, clock_mono_ns(), stop_now, l), 0);
    assert_true(load_run(l, 0));
    assert_int_equal(ticks.n, 200);
    load_free(l);
}

/* Frees what is open, in every state; leaks are for the sanitizer to tell. */
static void test_free_open(void **state)
{
    (void)state;
    static const char *const script[] = {ACCEPT, REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ACCEPT, REQUEST, SSE_HEAD, GONE, NULL};
    struct server s;
    struct seen one = {.keep = true}, two = {0}, three = {0};
    struct load *l = load_open();
    server_start(&s, script);
    start_call(l, &s, &one, NULL);
    assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
    start_call(l, &s, &two, NULL);
    assert_false(load_run(l, clock_mono_ns() + 20 * NS_PER_MS));
    start_call(l, &s, &three, NULL);
    load_free(l);
    server_stop(&s);
    assert_int_equal(two.n_done + three.n_done, 0);
}

/* --- a fleet against the echo server --------------------------------------------------------- */

#define FLEET 6

struct crew {
    unsigned n[FLEET];
    uint32_t next[FLEET];
    uint64_t at[FLEET]; /* when the last was sampled */
    unsigned n_at_once; /* tokens with the stamp of the token before */
    uint64_t last_ns;
};

static void on_crew_token(void *arg, const struct fleet_token *t)
{
    struct crew *c = arg;
    const struct load_event *e = t->event;
    assert_in_range(t->stream, 0, FLEET - 1);
    if (c->n[t->stream]++) {
        assert_int_equal(t->index, c->next[t->stream]);
        assert_int_not_equal(t->before_ns, 0);
        assert_true(e->sampled_ns > c->at[t->stream]);
    }
    c->next[t->stream] = t->index + 1;
    c->at[t->stream] = e->sampled_ns;
    c->n_at_once += e->sampled_ns == c->last_ns;
    c->last_ns = e->sampled_ns;
    assert_in_range(e->sampled_ns, 1, e->recv_ns + 2000);
    assert_int_not_equal(t->sent_ns, 0);
}

static void fleet_against_echo(unsigned groups, struct crew *crew)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct echo_pattern pattern = {.n_streams = FLEET, .interval_ns = 3 * NS_PER_MS, .groups = groups};
    struct echo *echo;
    struct fleet *fleet;
    struct load *l = load_open();
    memset(crew, 0, sizeof(*crew));
    assert_int_equal(echo_start(&echo, &pattern, &err), 0);
    struct fleet_spec spec = {.url = echo_url(echo), .n_streams = FLEET, .token = on_crew_token, .arg = crew};
    assert_int_equal(fleet_start(&fleet, l, &spec, &err), 0);
    assert_int_equal(fleet_run(fleet, NS_PER_MS, NS_PER_MS, &err), 0);
    unsigned least = 0, sum = 0;
    while (least < 10) { /* until all have had ten */
        assert_int_equal(fleet_go_on(fleet, 5 * NS_PER_MS, &err), 0);
        least = crew->n[0];
        sum = 0;
        for (unsigned i = 0; i < FLEET; i++) {
            least = crew->n[i] < least ? crew->n[i] : least;
            sum += crew->n[i];
        }
    }
    assert_int_equal(fleet_tokens(fleet), sum);
    fleet_stop(fleet);
    echo_stop(echo);
    load_free(l);
}

static void test_echo(void **state)
{
    (void)state;
    struct crew crew;
    fleet_against_echo(1, &crew); /* all six at one instant, that is with one stamp */
    unsigned sum = 0;
    for (unsigned i = 0; i < FLEET; i++)
        sum += crew.n[i];
    assert_in_range(crew.n_at_once, sum / 2, sum);
    fleet_against_echo(FLEET, &crew);
    assert_in_range(crew.n_at_once, 0, 2);
    struct orcd_error err = ORCD_ERROR_INIT;
    struct echo *echo;
    assert_int_equal(echo_start(&echo, &(struct echo_pattern){5, NS_PER_MS, 6}, &err), ORCD_E_INVALID);
}

/* The body is read before the answer: what is left of it would be the next request. */
static void test_echo_reads(void **state)
{
    (void)state;
    static char body[100001];
    struct orcd_error err = ORCD_ERROR_INIT;
    struct echo *echo;
    struct seen seen = {.keep = true};
    struct load *l = load_open();
    memset(body, 'b', sizeof(body) - 1);
    assert_int_equal(echo_start(&echo, &(struct echo_pattern){1, NS_PER_S, 1}, &err), 0);
    for (size_t n = sizeof(body) - 1; n > 0; n /= 20) {
        struct load_spec spec = {.url = echo_url(echo),
            .method = "POST",
            .path = "/read",
            .body = body,
            .n_body = n,
            .handlers = &handlers,
            .arg = &seen,
            .conn = seen.kept};
        assert_int_equal(load_call(l, &spec, NULL, &err), 0);
        assert_true(load_run(l, clock_mono_ns() + 20 * NS_PER_S));
        assert_int_equal(seen.how, LOAD_COMPLETE);
        assert_int_equal(seen.status, 200);
        assert_non_null(seen.kept);
    }
    assert_int_equal(seen.n_connected, 1);
    load_conn_close(seen.kept);
    load_free(l);
    echo_stop(echo);
}

/* A server that refuses, or ends a stream with an error, ends the fleet with its words. */
static void test_fleet_fails(void **state)
{
    (void)state;
    static const char *const scripts[][5] = {
        {ACCEPT, REQUEST, "HTTP/1.1 429 No\r\nContent-Length: 8\r\n\r\ntoo many", GONE, NULL},
        {ACCEPT, REQUEST, SSE_HEAD "1f\r\nevent: error\ndata: \"too many\"\n\n\r\n", GONE, NULL},
    };
    for (size_t i = 0; i < 2; i++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        struct server s;
        struct crew crew = {.n = {0}};
        struct fleet *fleet;
        struct load *l = load_open();
        server_start(&s, scripts[i]);
        struct fleet_spec spec = {.url = s.url, .n_streams = 1, .token = on_crew_token, .arg = &crew};
        assert_int_equal(fleet_start(&fleet, l, &spec, &err), 0);
        assert_int_equal(fleet_run(fleet, 0, NS_PER_MS, &err), ORCD_E_IO);
        assert_non_null(strstr(err.msg, "too many"));
        fleet_stop(fleet);
        load_free(l);
        server_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_stream),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_openai_stream),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_leftover),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_kept_dies),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_free_open),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_echo_reads),
        cmocka_unit_test(test_fleet_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
