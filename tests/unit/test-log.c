/* lib/base/log: the ring keeps whole lines in order, and nobody waits for whoever reads standard error. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log-ring.h"
#include "base/log.h"

#define GUARD_S 60 /* a child that blocks fails the test */

static size_t take(struct log_ring *r, char *out)
{
    struct iovec v[2];
    size_t n = 0;
    for (int i = 0, pieces = log_ring_next(r, v); i < pieces; n += v[i++].iov_len)
        memcpy(out + n, v[i].iov_base, v[i].iov_len);
    if (n)
        log_ring_pop(r);
    out[n] = 0;
    return n;
}

static void lines_of_all_sizes_stay_whole(void **state)
{
    struct log_ring *r = calloc(1, sizeof(*r));
    char *line = malloc(5001), *got = malloc(5001);
    (void)state;
    for (size_t i = 0; i < 2000; i++) { /* several times round */
        size_t n = 1 + i * 7919 % 5000;
        memset(line, 'a' + (int)(i % 26), n);
        assert_true(log_ring_push(r, line, n));
        assert_int_equal(take(r, got), n);
        assert_memory_equal(got, line, n);
    }
    assert_int_equal(take(r, got), 0);
    assert_true(log_ring_passed(r, log_ring_pushed(r)));
    free(r);
    free(line);
    free(got);
}

static void a_full_ring_refuses_and_loses_nothing(void **state)
{
    struct log_ring *r = calloc(1, sizeof(*r));
    char line[32], got[32];
    unsigned pushed = 0;
    (void)state;
    for (;; pushed++) {
        snprintf(line, sizeof(line), "line %u", pushed);
        if (!log_ring_push(r, line, strlen(line)))
            break;
    }
    assert_true(pushed >= LOG_RING_BYTES / 32);
    assert_false(log_ring_passed(r, log_ring_pushed(r)));
    for (unsigned i = 0; i < pushed; i++) {
        snprintf(line, sizeof(line), "line %u", i);
        assert_int_equal(take(r, got), strlen(line));
        assert_string_equal(got, line);
    }
    assert_true(log_ring_push(r, "more", 4));
    free(r);
}

#define THREADS 4
#define LINES 20000
struct pusher {
    struct log_ring *ring;
    unsigned id;
};

static void *push_lines(void *arg)
{
    const struct pusher *p = arg;
    char line[64];
    for (unsigned i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof(line), "%u %u %.*s", p->id, i, (int)(i % 40),
            "****************************************");
        while (!log_ring_push(p->ring, line, (size_t)n))
            sched_yield();
    }
    return NULL;
}

static void lines_of_several_threads_keep_their_order(void **state)
{
    struct log_ring *r = calloc(1, sizeof(*r));
    struct pusher pushers[THREADS];
    pthread_t threads[THREADS];
    unsigned next[THREADS] = {0}, id, i;
    char got[64];
    (void)state;
    for (unsigned t = 0; t < THREADS; t++) {
        pushers[t] = (struct pusher){r, t};
        assert_int_equal(pthread_create(&threads[t], NULL, push_lines, &pushers[t]), 0);
    }
    for (unsigned n = 0; n < THREADS * LINES;) {
        size_t bytes = take(r, got);
        if (!bytes)
            continue;
        assert_int_equal(sscanf(got, "%u %u", &id, &i), 2);
        assert_true(id < THREADS);
        assert_int_equal(i, next[id]++);
        assert_int_equal(strspn(strrchr(got, ' ') + 1, "*"), i % 40);
        n++;
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    free(r);
}

/* Runs body in a child whose standard error is a small pipe, and returns the end that reads. */
static int child(void (*body)(void), pid_t *pid)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    fcntl(p[1], F_SETPIPE_SZ, 4096);
    fflush(stdout);
    *pid = fork();
    if (*pid == 0) {
        struct orcd_error err = ORCD_ERROR_INIT;
        alarm(GUARD_S);
        dup2(p[1], STDERR_FILENO);
        close(p[0]);
        close(p[1]);
        log_setup(ORCD_LOG_INFO, LOG_FORMAT_TEXT);
        if (log_start(&err))
            _exit(99);
        body();
        _exit(0);
    }
    close(p[1]);
    return p[0];
}

static void assert_ends_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int go[2]; /* a byte: the child has dropped lines; the parent does no longer read */

static void log_more_than_fits(void)
{
    unsigned n = 0;
    for (; !log_lines_dropped() || n % 100; n++)
        log_info("line %u of a log that nobody reads", n);
    if (write(go[1], "d", 1) != 1)
        _exit(98);
    log_flush(GUARD_S * 1000);
    log_info("afterwards");
    log_stop(GUARD_S * 1000);
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, GUARD_S * 1000) != 1) /* from now on a line is dropped where the pipe is full */
        _exit(97);
    log_info("the end");
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text++)
        n++;
    return n;
}

static void dropped_lines_are_reported_once(void **state)
{
    static char text[1 << 20];
    size_t n = 0;
    pid_t pid;
    (void)state;
    assert_int_equal(pipe(go), 0);
    int fd = child(log_more_than_fits, &pid);
    assert_int_equal(read(go[0], text, 1), 1);
    for (ssize_t got; (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0;)
        n += (size_t)got;
    assert_ends_well(pid);
    text[n] = 0;
    assert_int_equal(count(text, "log lines were dropped"), 1);
    assert_int_equal(count(text, " info afterwards\n"), 1);
    assert_int_equal(count(text, " info the end\n"), 1);
    const char *lines = strstr(text, " lines=");
    assert_non_null(lines);
    unsigned dropped = (unsigned)atoi(lines + 7), kept = (unsigned)count(text, "nobody reads\n");
    assert_true(dropped > 0);
    assert_int_equal((dropped + kept) % 100, 0); /* each line is one or the other */
    close(fd);
}

static void stop_unread(void)
{
    while (!log_lines_dropped())
        log_info("a line of a log that nobody reads");
    log_flush(1);
    log_stop(1);
    log_info("after the end"); /* must not block either */
}

static void the_end_does_not_wait_for_a_reader(void **state)
{
    pid_t pid;
    (void)state;
    int fd = child(stop_unread, &pid);
    assert_ends_well(pid);
    close(fd);
}

static void log_to_nobody(void)
{
    char c;
    if (read(go[0], &c, 1) != 1) /* the pipe has no reader any more */
        _exit(98);
    for (int i = 0; i < 100; i++)
        log_info("a line");
    log_stop(GUARD_S * 1000);
    if (log_lines_dropped() < 100)
        _exit(97);
}

static void a_reader_that_has_left_costs_lines_only(void **state)
{
    pid_t pid;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(go), 0);
    int fd = child(log_to_nobody, &pid);
    close(fd);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_ends_well(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_all_sizes_stay_whole),
        cmocka_unit_test(a_full_ring_refuses_and_loses_nothing),
        cmocka_unit_test(lines_of_several_threads_keep_their_order),
        cmocka_unit_test(dropped_lines_are_reported_once),
        cmocka_unit_test(the_end_does_not_wait_for_a_reader),
        cmocka_unit_test(a_reader_that_has_left_costs_lines_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
