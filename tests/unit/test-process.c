/* lib/process: children with what they are given, signals from a descriptor, the clock while a
 * daemon ends. It links without the worker. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "process/shutdown-watch.h"
#include "process/signals.h"
#include "process/spawn.h"

#define GUARD_S 60 /* a child that never ends fails the test */

static void spawned(const struct spawn_params *p, pid_t *pid)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (spawn_child(p, pid, &err))
        fail_msg("%s", err.msg);
}

/* The same number before and after: no descriptor was left open. */
static int lowest_free(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

/* The status of `sh -c script`. */
static int shell(const char *script, const int *fds, size_t n_fds, char *const *environment)
{
    const char *const words[] = {"sh", "-c", script, NULL};
    const struct spawn_params p = {
        .path = "/bin/sh", .words = words, .environment = environment, .fds = fds, .n_fds = n_fds};
    pid_t pid;
    int status, free_fd = lowest_free();
    spawned(&p, &pid);
    assert_int_equal(lowest_free(), free_fd);
    assert_true(spawn_wait(pid, &status));
    assert_false(spawn_wait(pid, &status));
    return status;
}

static void assert_reads(int fd, const char *want)
{
    char text[64];
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = 0;
    assert_string_equal(text, want);
}

/* --- spawn --- */

/* Eight belongs where nine lies, and the other way round. */
static void test_descriptors_come_to_their_places(void **state)
{
    (void)state;
    int a[2], b[2], fds[10];
    assert_int_equal(pipe2(a, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(a[1] < 8 && b[1] < 8 && fcntl(8, F_GETFD) < 0 && fcntl(9, F_GETFD) < 0);
    assert_int_equal(dup3(a[1], 8, O_CLOEXEC), 8);
    assert_int_equal(dup3(b[1], 9, O_CLOEXEC), 9);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = i ? SPAWN_KEEP : SPAWN_NULL;
    fds[8] = 9;
    fds[9] = 8;
    assert_int_equal(shell("read x && exit 1; echo eight >&8; echo nine >&9", fds, ARRAY_LEN(fds), NULL), 0);
    assert_true(fcntl(8, F_GETFD) == FD_CLOEXEC && fcntl(9, F_GETFD) == FD_CLOEXEC);
    assert_reads(a[0], "nine\n");
    assert_reads(b[0], "eight\n");
    fds[8] = SPAWN_KEEP;
    assert_int_equal(shell("echo none >&8 || echo two >&9", fds, ARRAY_LEN(fds), NULL), 0);
    assert_int_equal(fcntl(8, F_SETFD, 0), 0);
    assert_int_equal(shell("echo kept >&8", fds, ARRAY_LEN(fds), NULL), 0);
    assert_reads(a[0], "two\nkept\n");
    const int mine[] = {a[0], a[1], b[0], b[1], 8, 9};
    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        close(mine[i]);
}

/* Whatever we block or ignore ends the child. */
static void test_signals_are_as_by_default(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int sig;
    } rows[] = {{"kill -INT $$", SIGINT}, {"kill -TERM $$", SIGTERM}, {"kill -PIPE $$", SIGPIPE}};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        signal(rows[i].sig, SIG_IGN);
        int status = shell(rows[i].script, NULL, 0, NULL);
        signal(rows[i].sig, SIG_DFL);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != rows[i].sig)
            fail_msg("%s: status %x", rows[i].script, (unsigned)status);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_a_group_of_its_own(void **state)
{
    (void)state;
    const char *const words[] = {"sleep", "1000", NULL};
    const struct spawn_params p = {.path = "sleep", .words = words};
    pid_t pid;
    int status;
    spawned(&p, &pid);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_true(spawn_wait(pid, &status));
    assert_true(WIFSIGNALED(status));
}

static void test_environment(void **state)
{
    (void)state;
    char *env[] = {(char[]){"ONE=1"}, NULL};
    setenv("ORCD_TEST_OURS", "2", 1);
    assert_int_equal(shell("test \"$ORCD_TEST_OURS\" = 2", NULL, 0, NULL), 0);
    assert_int_equal(shell("test \"$ONE$ORCD_TEST_OURS\" = 1", NULL, 0, env), 0);
}

static void fails(const char *path, const int *fds, size_t n_fds, int code, const char *part)
{
    const char *const words[] = {"x", NULL};
    const struct spawn_params p = {.path = path, .words = words, .fds = fds, .n_fds = n_fds};
    struct orcd_error err = ORCD_ERROR_INIT;
    pid_t pid = -5;
    int free_fd = lowest_free();
    assert_int_equal(spawn_child(&p, &pid, &err), code);
    assert_int_equal(pid, -5);
    assert_int_equal(lowest_free(), free_fd);
    assert_non_null(strstr(err.msg, part));
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void test_failures_leave_no_child(void **state)
{
    (void)state;
    const int bad[] = {SPAWN_NULL, 999}, many[10] = {SPAWN_NULL}; /* whatever lies there is replaced */
    fails("/nonexistent/x", NULL, 0, ORCD_E_NOT_FOUND, "/nonexistent/x cannot be started: No such file");
    fails("orcd-no-such-program", NULL, 0, ORCD_E_NOT_FOUND, "orcd-no-such-program");
    fails("/dev/null", NULL, 0, ORCD_E_PERMISSION, "denied");
    fails("/nonexistent/x", many, ARRAY_LEN(many), ORCD_E_NOT_FOUND, "No such file");
    fails("/bin/sh", bad, 2, ORCD_E_IO, "Bad file descriptor");
    fails("/bin/sh", bad, SPAWN_MAX_FDS + 1, ORCD_E_INVALID, "descriptors");
}

static void *spawn_and_end(void *arg)
{
    const char *const words[] = {"sleep", "1000", NULL};
    const struct spawn_params p = {.path = "sleep", .words = words, .dies_with_thread = true};
    spawned(&p, arg);
    return NULL;
}

static void test_a_child_dies_with_its_thread(void **state)
{
    (void)state;
    pthread_t thread;
    pid_t pid = 0;
    int status;
    assert_int_equal(pthread_create(&thread, NULL, spawn_and_end, &pid), 0);
    pthread_join(thread, NULL);
    alarm(GUARD_S);
    assert_true(spawn_wait(pid, &status));
    alarm(0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* --- signals and the watch, each in a process of its own --- */

static int status_of(void (*main_of)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(GUARD_S);
        main_of();
        _exit(0);
    }
    assert_true(pid > 0 && spawn_wait(pid, &status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void need(bool ok, int status)
{
    if (!ok)
        _exit(status);
}

static int open_signals(void)
{
    int fd = -1;
    need(signals_open(&fd, NULL) == 0 && fd >= 0, 2);
    return fd;
}

static void read_signals(void)
{
    int fd = open_signals(), ends[2];
    pid_t from = 0;
    need(signals_next(fd, &from) == 0, 3);
    kill(getpid(), SIGTERM);
    need(signals_next(fd, &from) == SIGTERM && from == getpid(), 4);
    kill(getpid(), SIGINT);
    kill(getpid(), SIGHUP);
    int first = signals_next(fd, NULL), second = signals_next(fd, NULL);
    need(first + second == SIGINT + SIGHUP && first != second, 5);
    need(signals_next(fd, NULL) == 0, 6);
    need(fcntl(fd, F_GETFD) == FD_CLOEXEC, 7);
    need(pipe(ends) == 0 && close(ends[0]) == 0, 8);
    need(write(ends[1], "x", 1) < 0 && errno == EPIPE, 9);
}

static void test_signals_come_from_a_descriptor(void **state)
{
    (void)state;
    assert_int_equal(status_of(read_signals), 0);
}

static void watch(uint64_t grace_ms, void (*end)(struct shutdown_watch *w))
{
    struct shutdown_watch w = {
        .grace_ms = grace_ms, .signal_fd = open_signals(), .late_status = 79, .late = "late"};
    close(STDERR_FILENO); /* its line */
    shutdown_watch_start(&w);
    end(&w);
}

static void hang(struct shutdown_watch *w)
{
    (void)w;
    for (;;)
        pause();
}

static void hang_after_signal(struct shutdown_watch *w)
{
    kill(getpid(), SIGHUP); /* asks for nothing */
    kill(getpid(), SIGTERM);
    hang(w);
}

static void end_in_time(struct shutdown_watch *w)
{
    uint64_t left = shutdown_watch_left_ms(w, 600000);
    need(left > 0 && left <= 600000 && shutdown_watch_left_ms(w, 0) == 0, 3);
    shutdown_watch_stop(w);
    need(shutdown_watch_elapsed_ms(w) > 0, 4);
    need(signals_next(w->signal_fd, NULL) == 0, 5); /* the watch took its own */
    kill(getpid(), SIGTERM);
    need(signals_next(w->signal_fd, NULL) == SIGTERM, 6); /* and reads no more */
}

static void leave_at_once(struct shutdown_watch *w)
{
    shutdown_watch_leave(w, 33, "why");
}

static void too_late(void)
{
    watch(20, hang);
}

static void second_signal(void)
{
    watch(600000, hang_after_signal);
}

static void in_time(void)
{
    watch(600000, end_in_time);
}

static void given_up(void)
{
    watch(600000, leave_at_once);
}

static void test_the_watch_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(status_of(too_late), 79);
    assert_int_equal(status_of(second_signal), 128 + SIGTERM);
    assert_int_equal(status_of(given_up), 33);
    assert_int_equal(status_of(in_time), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_come_to_their_places),
        cmocka_unit_test(test_signals_are_as_by_default),
        cmocka_unit_test(test_a_group_of_its_own),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_failures_leave_no_child),
        cmocka_unit_test(test_a_child_dies_with_its_thread),
        cmocka_unit_test(test_signals_come_from_a_descriptor),
        cmocka_unit_test(test_the_watch_ends_the_process),
    };
    close_range(STDERR_FILENO + 1, ~0u, 0); /* whatever is open in who started us */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
