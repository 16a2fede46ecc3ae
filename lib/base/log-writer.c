#include "base/log-writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log-ring.h"

enum mode {
    AT_ONCE, /* no thread: whoever logs writes, and waits */
    RING,
    ENDED, /* the thread has ended: whoever logs writes, but does not wait */
};

static struct log_ring ring;
static atomic_int mode = AT_ONCE;
static atomic_uint_fast64_t dropped;
static atomic_bool sleeping; /* the writer is about to wait for `news` */
static atomic_bool stopping;
static sem_t news;
static pthread_t thread;
static log_dropped_line dropped_line;
/* Waited for by log_writer_flush(); the writer takes the lock only if somebody waits. */
static atomic_int waiting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved; /* on the monotonic clock */

static bool may_write(int timeout_ms)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, timeout_ms) == 1;
}

/* False: the rest is lost (no reader, a full disk, a limit). Waits as long as the reader makes it wait. */
static bool write_all(struct iovec *v, int n)
{
    while (n) {
        ssize_t done = writev(STDERR_FILENO, v, n);
        if (done < 0 && errno == EAGAIN)
            may_write(-1); /* somebody made it non-blocking */
        else if (done == 0 || (done < 0 && errno != EINTR))
            return false;
        for (; n && done >= (ssize_t)v->iov_len; v++, n--)
            done -= (ssize_t)v->iov_len;
        if (n && done > 0) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    return true;
}

static void drop(void)
{
    atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

static void write_now(const char *text, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)text, n};
    if (!write_all(&v, 1))
        drop();
}

/* Writes until the ring is empty. */
static void drain(void)
{
    struct iovec v[2];
    for (int n; (n = log_ring_next(&ring, v));) {
        if (!write_all(v, n))
            drop();
        log_ring_pop(&ring);
        if (!atomic_load(&waiting))
            continue;
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&moved);
        pthread_mutex_unlock(&lock);
    }
}

static void report_dropped(uint64_t *reported)
{
    char line[256];
    uint64_t n = log_writer_dropped();
    if (n == *reported)
        return;
    size_t bytes = dropped_line(line, sizeof(line), n - *reported);
    if (bytes)
        write_now(line, bytes);
    *reported = log_writer_dropped(); /* with this line, if it was lost too */
}

static void *writer_main(void *arg)
{
    uint64_t reported = 0;
    struct iovec v[2];
    (void)arg;
    for (;;) {
        drain();
        report_dropped(&reported);
        /* Whoever pushes does so first and then looks at `sleeping`; here it is the other way round. */
        atomic_store(&sleeping, true);
        if (log_ring_next(&ring, v) && atomic_exchange(&sleeping, false))
            continue;
        if (atomic_load(&stopping))
            return NULL;
        while (sem_wait(&news) && errno == EINTR) {}
    }
}

bool log_writer_start(log_dropped_line line)
{
    pthread_condattr_t monotonic;
    dropped_line = line;
    sem_init(&news, 0, 0);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&thread, NULL, writer_main, NULL))
        return false;
    pthread_setname_np(thread, "orcd-log");
    atomic_store(&mode, RING);
    return true;
}

void log_writer_put(const char *text, size_t n)
{
    switch (atomic_load_explicit(&mode, memory_order_relaxed)) {
    case AT_ONCE:
        write_now(text, n);
        return;
    case ENDED:
        if (may_write(0))
            write_now(text, n);
        else
            drop();
        return;
    }
    if (!log_ring_push(&ring, text, n))
        drop();
    else if (atomic_load(&sleeping) && atomic_exchange(&sleeping, false))
        sem_post(&news);
}

bool log_writer_flush(uint64_t timeout_ms)
{
    if (atomic_load(&mode) != RING)
        return true;
    const uint64_t mark = log_ring_pushed(&ring);
    struct timespec until = clock_timespec(clock_mono_ns() + timeout_ms * NS_PER_MS);
    atomic_fetch_add(&waiting, 1);
    pthread_mutex_lock(&lock);
    while (!log_ring_passed(&ring, mark) && !pthread_cond_timedwait(&moved, &lock, &until)) {}
    pthread_mutex_unlock(&lock);
    atomic_fetch_sub(&waiting, 1);
    return log_ring_passed(&ring, mark);
}

void log_writer_stop(uint64_t timeout_ms)
{
    if (atomic_load(&mode) != RING || !log_writer_flush(timeout_ms))
        return; /* a thread that waits for a reader ends with the process */
    atomic_store(&stopping, true);
    sem_post(&news);
    pthread_join(thread, NULL);
    atomic_store(&mode, ENDED);
}

uint64_t log_writer_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}
