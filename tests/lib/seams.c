/*
 * Loaded before the C library of a worker under test, so that what would take minutes or
 * be left to luck happens when the test says so. Environment:
 *
 * SEAM_CLOCK=FILE      eight bytes: milliseconds that the monotonic clocks are ahead. They
 *                      may grow at any time; waits with a time-out then end early.
 * SEAM_NO_PAUSES=1     nanosleep() returns at once.
 * SEAM_PARSE_GATE=FIFO json_tokener_parse_ex() of a megabyte or more waits until somebody
 *                      has opened the FIFO for writing and closed it.
 * SEAM_SEND_CUT=N      a send() with MSG_DONTWAIT takes N bytes at most, and the next one
 *                      EAGAIN. The program sends so what bypasses its HTTP library.
 * SEAM_SEND_STUCK=N    as above, and from the first that was cut on EAGAIN for ever.
 * SEAM_SENDS=FILE      eight bytes: how many were cut.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 5 /* how often a waiting thread looks whether the clock was moved */
#define LARGE_BYTES 1000000

struct json_tokener;
struct json_object;

static const volatile int64_t *ahead_ms;
static uint64_t *n_cut;
static ssize_t (*real_send)(int, const void *, size_t, int);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static struct json_object *(*real_parse)(struct json_tokener *, const char *, int);

static void *map_word(const char *path, int how, int access)
{
    int fd = path ? open(path, how | O_CLOEXEC) : -1;
    if (fd < 0)
        return NULL;
    void *p = mmap(NULL, sizeof(uint64_t), access, MAP_SHARED, fd, 0);
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

__attribute__((constructor)) static void seams_open(void)
{
    const char *path = getenv("SEAM_CLOCK");
    *(void **)&real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    *(void **)&real_cond_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    *(void **)&real_parse = dlsym(RTLD_NEXT, "json_tokener_parse_ex");
    *(void **)&real_send = dlsym(RTLD_NEXT, "send");
    ahead_ms = map_word(path, O_RDONLY, PROT_READ);
    n_cut = map_word(getenv("SEAM_SENDS"), O_RDWR, PROT_READ | PROT_WRITE);
}

static int64_t ahead(void)
{
    return ahead_ms ? __atomic_load_n(ahead_ms, __ATOMIC_SEQ_CST) : 0;
}

static void shift(struct timespec *t, int64_t ms)
{
    int64_t ns = t->tv_nsec + ms % 1000 * 1000000;
    t->tv_sec += (time_t)(ms / 1000) + (ns < 0 ? -1 : ns >= 1000000000);
    t->tv_nsec = (long)(ns < 0 ? ns + 1000000000 : ns % 1000000000);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (rc == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                       clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME))
        shift(t, ahead());
    return rc;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
    if (timeout <= 0 || !ahead_ms)
        return real_epoll_wait(fd, events, n, timeout);
    for (int64_t until = now_ms() + timeout;;) {
        int64_t left = until - now_ms();
        if (left <= 0)
            return real_epoll_wait(fd, events, n, 0);
        int rc = real_epoll_wait(fd, events, n, (int)(left < LOOK_MS ? left : LOOK_MS));
        if (rc)
            return rc;
    }
}

/* Of conditions on the monotonic clock; the program has no others. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct timespec t = *until;
    shift(&t, -ahead());
    return real_cond_timedwait(cond, mutex, &t);
}

int nanosleep(const struct timespec *want, struct timespec *left)
{
    if (getenv("SEAM_NO_PAUSES"))
        return 0;
    errno = clock_nanosleep(CLOCK_MONOTONIC, 0, want, left);
    return errno ? -1 : 0;
}

struct json_object *json_tokener_parse_ex(struct json_tokener *tok, const char *text, int n)
{
    const char *gate = n >= LARGE_BYTES ? getenv("SEAM_PARSE_GATE") : NULL;
    int fd = gate ? open(gate, O_RDONLY | O_CLOEXEC) : -1; /* waits for the writer */
    char end;
    if (fd >= 0) {
        (void)!read(fd, &end, 1); /* and for its end */
        close(fd);
    }
    return real_parse(tok, text, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    static atomic_bool cut;
    const char *most = getenv("SEAM_SEND_CUT"), *stuck = getenv("SEAM_SEND_STUCK");
    if (!(flags & MSG_DONTWAIT) || !(most || stuck))
        return real_send(fd, p, n, flags);
    if (atomic_load(&cut)) {
        atomic_store(&cut, stuck != NULL);
        errno = EAGAIN;
        return -1;
    }
    size_t max = strtoul(stuck ? stuck : most, NULL, 10);
    if (n <= max)
        return real_send(fd, p, n, flags);
    atomic_store(&cut, true);
    if (n_cut)
        __atomic_fetch_add(n_cut, 1, __ATOMIC_SEQ_CST);
    return real_send(fd, p, max, flags);
}
