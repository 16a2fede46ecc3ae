/*
 * Loaded before the C library of a worker under test, so that what would take minutes or
 * be left to luck happens when the test says so. Environment:
 *
 * SEAM_CLOCK=FILE      eight bytes: milliseconds that the monotonic clocks are ahead. They
 *                      may grow at any time; waits with a time-out then end early.
 * SEAM_NO_PAUSES=1     nanosleep() returns at once.
 * SEAM_PARSE_GATE=FIFO json_tokener_parse_ex() of a megabyte or more waits until somebody
 *                      has opened the FIFO for writing and closed it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 5 /* how often a waiting thread looks whether the clock was moved */
#define LARGE_BYTES 1000000

struct json_tokener;
struct json_object;

static const volatile int64_t *ahead_ms;
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static struct json_object *(*real_parse)(struct json_tokener *, const char *, int);

__attribute__((constructor)) static void seams_open(void)
{
    const char *path = getenv("SEAM_CLOCK");
    *(void **)&real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    *(void **)&real_cond_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    *(void **)&real_parse = dlsym(RTLD_NEXT, "json_tokener_parse_ex");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(*ahead_ms), PROT_READ, MAP_SHARED, fd, 0);
    ahead_ms = p == MAP_FAILED ? NULL : p;
    close(fd);
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
