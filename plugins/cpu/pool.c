#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugins/common/util.h"
#include "plugins/cpu/pool.h"

/* How often a waiter looks before it sleeps: some 10 to 20 us. Longer would burn the
 * time slice of the thread that it waits for when cores are scarce. */
#define POOL_SPINS 400

/*
 * A gate is a number that grows. Waiters wait until it leaves the value that they saw.
 * Order: the opener stores the number, then reads sleepers; a sleeper adds itself,
 * then the kernel reads the number. Both sides sequentially consistent, so one of
 * them sees the other and no wake-up is lost.
 */
struct gate {
    _Alignas(64) atomic_uint number;
    atomic_uint sleepers;
};

struct pool_thread {
    struct pool *pool;
    pthread_t id;
    uint32_t index;
};

struct pool {
    const struct orcd_host *host;
    uint32_t n;       /* threads, the caller's included */
    uint32_t started; /* threads of ours that run */
    bool pin;
    pthread_mutex_t run_lock; /* one run at a time */
    void (*fn)(void *arg, uint32_t thread);
    void *arg;
    bool quit;
    struct gate start;                /* opened once a run */
    struct gate barrier;              /* opened once a pool_sync */
    _Alignas(64) atomic_uint arrived; /* threads at the barrier now */
    struct pool_thread *threads;
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void gate_wait(struct gate *g, unsigned seen)
{
    for (int i = 0; i < POOL_SPINS; i++) {
        if (atomic_load_explicit(&g->number, memory_order_acquire) != seen)
            return;
        cpu_relax();
    }
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->number) == seen)
        syscall(SYS_futex, (unsigned *)&g->number, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&g->sleepers, 1);
}

static void gate_open(struct gate *g)
{
    atomic_fetch_add(&g->number, 1);
    if (atomic_load(&g->sleepers))
        syscall(SYS_futex, (unsigned *)&g->number, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void pool_sync(struct pool *p, void (*serial)(void *arg), void *arg)
{
    if (p->n == 1) {
        if (serial)
            serial(arg);
        return;
    }
    unsigned seen = atomic_load_explicit(&p->barrier.number, memory_order_relaxed);
    /* acq_rel: the last to arrive sees what the others wrote before they came. */
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) + 1 == p->n) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        if (serial)
            serial(arg);
        gate_open(&p->barrier);
        return;
    }
    gate_wait(&p->barrier, seen);
}

/* The index-th processor of the mask that we were started with, wrapping around. */
static void pin_to(uint32_t index)
{
    cpu_set_t all, one;
    if (sched_getaffinity(getpid(), sizeof(all), &all) != 0)
        return;
    int count = CPU_COUNT(&all);
    if (count <= 0)
        return;
    int skip = (int)(index % (uint32_t)count);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && skip-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof(one), &one);
            return;
        }
}

void pool_pin_self(struct pool *p)
{
    if (p->pin)
        pin_to(0);
}

static void *pool_main(void *arg)
{
    struct pool_thread *t = arg;
    struct pool *p = t->pool;
    char name[16];
    snprintf(name, sizeof(name), "orcd-cpu-%u", (unsigned)t->index % 1000);
    pthread_setname_np(pthread_self(), name);
    if (p->pin)
        pin_to(t->index);
    for (unsigned seen = 0;; seen++) {
        gate_wait(&p->start, seen);
        if (p->quit)
            return NULL;
        p->fn(p->arg, t->index);
        pool_sync(p, NULL, NULL);
    }
}

uint32_t pool_size(const struct pool *p)
{
    return p->n;
}

void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t thread), void *arg)
{
    pthread_mutex_lock(&p->run_lock);
    if (p->n == 1) {
        fn(arg, 0);
    } else {
        p->fn = fn;
        p->arg = arg;
        gate_open(&p->start);
        fn(arg, 0);
        pool_sync(p, NULL, NULL);
    }
    pthread_mutex_unlock(&p->run_lock);
}

int pool_thread_start(pthread_t *id, const struct orcd_host *host, void *(*main)(void *), void *arg)
{
    if (plugin_fault(host, "cpu.thread"))
        return EAGAIN;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int rc = pthread_create(id, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int pool_new(
    struct pool **out, const struct orcd_host *host, uint32_t n_threads, bool pin, struct orcd_error *err)
{
    struct pool *p = host->alloc(sizeof(*p), 64);
    if (!p)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for the thread pool");
    memset(p, 0, sizeof(*p));
    p->host = host;
    p->n = n_threads;
    p->pin = pin;
    pthread_mutex_init(&p->run_lock, NULL);
    p->threads = host->alloc(n_threads * sizeof(*p->threads), 64);
    if (!p->threads) {
        pool_free(p);
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u threads", (unsigned)n_threads);
    }
    int rc = 0;
    for (uint32_t i = 1; i < n_threads && rc == 0; i++) {
        struct pool_thread *t = &p->threads[i];
        *t = (struct pool_thread){.pool = p, .index = i};
        rc = pool_thread_start(&t->id, host, pool_main, t);
        if (rc == 0)
            p->started++;
    }
    if (rc != 0) {
        pool_free(p);
        return plugin_error(
            err, ORCD_E_NOMEM, "cannot start %u threads: %s", (unsigned)n_threads, strerror(rc));
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    if (p->started) {
        p->quit = true;
        gate_open(&p->start);
        for (uint32_t i = 1; i <= p->started; i++)
            pthread_join(p->threads[i].id, NULL);
    }
    pthread_mutex_destroy(&p->run_lock);
    if (p->threads)
        p->host->free(p->threads);
    p->host->free(p);
}
