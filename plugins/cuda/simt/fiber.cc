/* A launch on the CPU: blocks one after another, each thread of a block a fiber with a
 * stack of its own. A fiber runs until it waits (barrier, warp operation) or ends; then the
 * order of the knobs picks the next one that can go on, and the processor is switched to it
 * directly. A thread that starts where another ended takes over its stack, so that a kernel
 * which never waits uses one. */
#include "engine.h"

#include <atomic>
#include <mutex>
#include <new>
#include <sys/mman.h>

namespace simt
{
namespace detail
{

__thread thread_view *current;
const watcher *watch;

namespace
{

std::mutex pool_lock;
engine *pool;
std::atomic<uint64_t> launch_count, early_count;

engine *engine_take()
{
    {
        std::lock_guard<std::mutex> hold(pool_lock);
        if (pool) {
            engine *e = pool;
            pool = e->next;
            return e;
        }
    }
    engine *e = new engine();
    void *arena = mmap(nullptr, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        delete e;
        return nullptr;
    }
    e->arena = static_cast<unsigned char *>(arena);
    memset(e->arena, 0xFF, ARENA);
    return e;
}

void engine_give(engine *e)
{
    std::lock_guard<std::mutex> hold(pool_lock);
    e->next = pool;
    pool = e;
}

void engine_free(engine *e)
{
    for (stack *s : e->stacks)
        stack_free(s);
    unpoison(e->arena, ARENA);
    munmap(e->arena, ARENA);
    delete e;
}

uint64_t roll(engine &e)
{
    e.random ^= e.random << 13;
    e.random ^= e.random >> 7;
    e.random ^= e.random << 17;
    return e.random >> 11;
}

unsigned nth_bit(unsigned mask, unsigned n)
{
    while (n--)
        mask &= mask - 1;
    return static_cast<unsigned>(__builtin_ctz(mask));
}

/* The next thread to go on, by the order; NULL when none can. */
fiber *pick(engine &e)
{
    if (!e.warps_runnable)
        return nullptr;
    unsigned w, l;
    if (e.order == ORDER_RANDOM) {
        w = nth_bit(e.warps_runnable,
            static_cast<unsigned>(roll(e) % static_cast<unsigned>(__builtin_popcount(e.warps_runnable))));
        unsigned runnable = e.warps[w].runnable;
        l = nth_bit(
            runnable, static_cast<unsigned>(roll(e) % static_cast<unsigned>(__builtin_popcount(runnable))));
    } else { /* the warp that runs already, then the next by number */
        w = e.at_warp;
        if (!(e.warps_runnable >> w & 1))
            w = e.order == ORDER_FORWARD ? static_cast<unsigned>(__builtin_ctz(e.warps_runnable))
                                         : 31u - static_cast<unsigned>(__builtin_clz(e.warps_runnable));
        unsigned runnable = e.warps[w].runnable;
        l = e.order == ORDER_FORWARD ? static_cast<unsigned>(__builtin_ctz(runnable))
                                     : 31u - static_cast<unsigned>(__builtin_clz(runnable));
    }
    e.at_warp = w;
    warp_state &ws = e.warps[w];
    ws.runnable &= ~(1u << l);
    if (!ws.runnable)
        e.warps_runnable &= ~(1u << w);
    return &e.fibers[w * 32 + l];
}

void body(void *);

/* Gives `f` a stack where it has none; false when there is no memory for one. */
bool start(engine &e, fiber *f)
{
    stack *s;
    if (!e.idle.empty()) {
        s = e.idle.back();
        e.idle.pop_back();
    } else {
        s = stack_new(static_cast<unsigned>(e.stacks.size()));
        if (!s)
            return false;
        e.stacks.push_back(s);
    }
    f->stack = s;
    context_init(&f->where, s, body, &e);
    return true;
}

} // namespace

void switch_away(engine &e, fiber &from)
{
    fiber *to = pick(e);
    if (to == &from)
        return;
    if (to && !to->stack && !start(e, to)) {
        misuse("no memory for the stacks of %u threads", e.n_threads);
        to = nullptr;
    }
    current = to;
    context_switch(&from.where, to ? &to->where : &e.main, false);
    /* whoever switched here has set current */
}

void reconsider(engine &e, fiber &f)
{
    if (e.order != ORDER_RANDOM)
        return;
    make_runnable(e, f.linear / 32, 1u << f.linear % 32);
    switch_away(e, f);
}

namespace
{

/* What a stack runs: one thread of the kernel after another, as long as the next to go on
 * is one that has not begun. */
void body(void *argument)
{
    engine &e = *static_cast<engine *>(argument);
    context_entered(&e.main);
    for (;;) {
        e.work->run(e.work);
        fiber &f = me();
        leave(e, f);
        fiber *to = pick(e);
        stack *s = f.stack;
        f.stack = nullptr;
        if (to && !to->stack) {
            to->stack = s;
            current = to;
            continue;
        }
        e.idle.push_back(s);
        current = to;
        context_switch(nullptr, to ? &to->where : &e.main, true);
    }
}

void run_block(engine &e, unsigned x, unsigned y, unsigned z)
{
    e.view.x = x;
    e.view.y = y;
    e.view.z = z;
    arena_begin(e);
    e.n_live = e.n_threads;
    e.arrived = 0;
    e.waited = false;
    e.warps_runnable = 0;
    e.at_warp = e.order == ORDER_REVERSE ? e.n_warps - 1 : 0;
    for (unsigned w = 0; w < e.n_warps; w++) {
        warp_state &ws = e.warps[w];
        unsigned left = e.n_threads - w * 32;
        ws.live = left >= 32 ? full_mask : (1u << left) - 1u;
        ws.runnable = 0;
        ws.at_barrier = 0;
        ws.n_meetings = 0;
        make_runnable(e, w, ws.live);
    }
    if (watch)
        watch->block_begins(e.n_threads, e.arena, ARENA);
    fiber *first = pick(e);
    if (!start(e, first)) {
        misuse("no memory for a stack");
        return;
    }
    current = first;
    context_switch(&e.main, &first->where, false);
    current = nullptr;
    if (e.n_live) { /* the stacks are left as they are; kernels own nothing */
        tell_stuck(e);
        for (unsigned t = 0; t < e.n_threads; t++)
            if (e.fibers[t].stack) {
                stack_abandoned(e.fibers[t].stack);
                e.idle.push_back(e.fibers[t].stack);
                e.fibers[t].stack = nullptr;
                e.fibers[t].copies.clear();
                e.fibers[t].groups.clear();
            }
    }
    if (e.pdl && !e.waited) {
        misuse("%s: launched as dependent, and no thread of block (%u, %u, %u) calls pdl_wait()", name_of(e),
            x, y, z);
        e.pdl = false; /* told once */
    }
    arena_check(e);
}

uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

__thread engine *misuser; /* the launch that runs on this thread */

} // namespace

enum simt_status run_kernel(const simt_launch_config &config, closure *work)
{
    engine *taken = engine_take();
    if (!taken)
        return fail(SIMT_OUT_OF_HOST_MEMORY, "no memory for the threads of a kernel");
    engine &e = *taken;
    uint64_t number = launch_count.fetch_add(1) + 1;
    early_count.fetch_add(config.pdl != 0);
    e.work = work;
    e.name = config.name;
    e.order = knobs().order;
    e.random = mix(knobs().seed * 0x9E3779B97F4A7C15u + number) | 1;
    e.failed = false;
    e.pdl = config.pdl != 0;
    e.view.tx = config.block.x;
    e.view.ty = config.block.y;
    e.view.tz = config.block.z;
    e.view.gx = config.grid.x;
    e.view.gy = config.grid.y;
    e.view.gz = config.grid.z;
    e.n_threads = config.block.x * config.block.y * config.block.z;
    e.n_warps = (e.n_threads + 31) / 32;
    e.dynamic_bytes = static_cast<unsigned>(config.shared_bytes);
    for (unsigned t = 0; t < e.n_threads; t++) {
        fiber &f = e.fibers[t];
        f.engine = &e;
        f.block = &e.view;
        f.linear = t;
        f.x = t % config.block.x;
        f.y = t / config.block.x % config.block.y;
        f.z = t / config.block.x / config.block.y;
    }
    e.main.bottom = nullptr;
    misuser = &e;
    if (watch)
        watch->launch_begins(e.pdl);
    uint64_t n = static_cast<uint64_t>(config.grid.x) * config.grid.y * config.grid.z;
    uint64_t step = 1, first = 0;
    if (e.order == ORDER_REVERSE) {
        step = n - 1;
        first = n - 1;
    } else if (e.order == ORDER_RANDOM && n > 1) {
        first = roll(e) % n;
        do
            step = 1 + roll(e) % (n - 1 ? n - 1 : 1);
        while (gcd(step, n) != 1);
    }
    uint64_t b = first;
    for (uint64_t i = 0; i < n; i++) {
        run_block(e, static_cast<unsigned>(b % config.grid.x),
            static_cast<unsigned>(b / config.grid.x % config.grid.y),
            static_cast<unsigned>(b / config.grid.x / config.grid.y));
        b += step;
        if (b >= n)
            b -= n;
    }
    if (watch)
        watch->launch_ends();
    misuser = nullptr;
    bool failed = e.failed;
    engine_give(taken);
    return failed ? fail(SIMT_LAUNCH_FAILED, "%s misuses the device; see above",
                        config.name ? config.name : "kernel")
                  : SIMT_OK;
}

uint64_t launches()
{
    return launch_count.load();
}

uint64_t early_launches()
{
    return early_count.load();
}

void fibers_release()
{
    std::lock_guard<std::mutex> hold(pool_lock);
    while (pool) {
        engine *e = pool;
        pool = e->next;
        engine_free(e);
    }
}

void launch_misused()
{
    if (misuser)
        misuser->failed = true;
}

} // namespace detail
} // namespace simt
