/* A launch on the CPU: blocks one after another, each thread of a block a fiber with a
 * stack of its own. A fiber runs until it waits (barrier, warp operation) or ends; then the
 * order of the knobs picks the next one that can go on, and the processor is switched to it
 * directly. A thread that starts where another ended takes over its stack, so that a kernel
 * which never waits uses one. */
#include "host.h"

#include <atomic>
#include <mutex>
#include <new>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vector>

#include "switch.h"

namespace simt
{
namespace detail
{

__thread thread_view *current;
const watcher *watch;

namespace
{

enum {
    MAX_THREADS = 1024,
    MAX_WARPS = MAX_THREADS / 32,
    SHARED_STATIC = 48 * 1024,
    SHARED_MOST = 227 * 1024,
    ARENA = 256 * 1024,
    GAP = 64, /* between shared arrays, and before the first */
    MAX_ARRAYS = 64,
};

struct pending_copy {
    void *to;
    const void *from;
    unsigned bytes;
    bool valid;
};

struct engine;

struct fiber : thread_view {
    struct engine *engine;
    context where;
    struct stack *stack; /* NULL: not started */
    const char *file;    /* where it waits */
    int line;
    std::vector<pending_copy> copies;
    std::vector<size_t> groups; /* ends in copies */
};

/* A warp operation that waits for lanes. */
struct meeting {
    unsigned mask, arrived;
    void (*end)(const lanes &);
    const char *file;
    int line;
    bool orders;
};

struct warp_state {
    unsigned live, runnable, at_barrier;
    unsigned n_meetings;
    meeting meetings[32];
    const void *in[32];
    void *out[32];
};

struct shared_array {
    const void *site;
    unsigned offset, bytes;
    const char *name;
};

struct engine {
    block_view view;
    closure *work;
    const char *name;
    enum order order;
    uint64_t random;
    unsigned n_threads, n_warps, n_live, warps_runnable, at_warp;
    warp_state warps[MAX_WARPS];
    fiber fibers[MAX_THREADS];
    /* the block's barrier */
    unsigned arrived;
    barrier_kind kind;
    int sum, result;
    const char *file;
    int line;
    bool told;   /* of this barrier's two places */
    bool failed; /* some misuse in this launch */
    bool pdl;    /* it may start before the one before it ends ... */
    bool waited; /* ... for which somebody in this block has waited */
    /* shared memory */
    unsigned char *arena;
    unsigned arena_used, n_arrays, dynamic_offset, dynamic_bytes;
    shared_array arrays[MAX_ARRAYS];
    bool arena_dirty;
    /* stacks */
    std::vector<stack *> stacks, idle;
    context main;
    engine *next; /* of the pool */
};

std::mutex pool_lock;
engine *pool;
std::atomic<uint64_t> launch_count;

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

engine &mine()
{
    return *static_cast<fiber *>(current)->engine;
}

fiber &me()
{
    return *static_cast<fiber *>(current);
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

void make_runnable(engine &e, unsigned w, unsigned lanes)
{
    e.warps[w].runnable |= lanes;
    if (e.warps[w].runnable)
        e.warps_runnable |= 1u << w;
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

/* Leaves the running thread for the next; comes back when it may go on. */
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

/* The running thread may go on, and so may others: with a random order, one of them. */
void reconsider(engine &e, fiber &f)
{
    if (e.order != ORDER_RANDOM)
        return;
    make_runnable(e, f.linear / 32, 1u << f.linear % 32);
    switch_away(e, f);
}

const char *name_of(const engine &e)
{
    return e.name ? e.name : "kernel";
}

bool same_place(const char *file_a, int line_a, const char *file_b, int line_b)
{
    return line_a == line_b && (file_a == file_b || strcmp(file_a, file_b) == 0);
}

/* Everybody of the meeting is there: ends it and lets all but `self` go on. */
void meeting_end(engine &e, unsigned w, unsigned index, unsigned own)
{
    warp_state &ws = e.warps[w];
    meeting m = ws.meetings[index];
    ws.meetings[index] = ws.meetings[--ws.n_meetings];
    if (m.end) {
        lanes all = {m.arrived, ws.in, ws.out, m.file, m.line};
        m.end(all);
    }
    if (m.orders && watch)
        watch->warp(m.arrived);
    make_runnable(e, w, m.arrived & ~own);
}

void barrier_end(engine &e, unsigned own_warp, unsigned own)
{
    if (watch)
        watch->barrier();
    e.result = e.kind == BARRIER_OR ? e.sum != 0 : e.sum;
    e.arrived = 0;
    for (unsigned w = 0; w < e.n_warps; w++) {
        unsigned waiting = e.warps[w].at_barrier;
        e.warps[w].at_barrier = 0;
        make_runnable(e, w, w == own_warp ? waiting & ~own : waiting);
    }
}

/* A thread has returned: those who waited for nobody but it go on. */
void leave(engine &e, fiber &f)
{
    unsigned w = f.linear / 32, bit = 1u << f.linear % 32;
    warp_state &ws = e.warps[w];
    ws.live &= ~bit;
    e.n_live--;
    f.copies.clear();
    f.groups.clear();
    for (unsigned i = 0; i < ws.n_meetings;) {
        unsigned needed = ws.meetings[i].mask & ws.live;
        if ((ws.meetings[i].mask & bit) && (ws.meetings[i].arrived & needed) == needed)
            meeting_end(e, w, i, 0);
        else
            i++;
    }
    if (e.n_live && e.arrived == e.n_live)
        barrier_end(e, 0, 0);
}

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

void tell_stuck(engine &e)
{
    /* one line a place */
    struct place {
        const char *file, *what;
        int line;
        unsigned count, first;
    };
    std::vector<place> places;
    for (unsigned t = 0; t < e.n_threads; t++) {
        const warp_state &ws = e.warps[t / 32];
        if (!(ws.live >> t % 32 & 1) || !e.fibers[t].stack)
            continue;
        const fiber &f = e.fibers[t];
        const char *what = ws.at_barrier >> t % 32 & 1 ? "syncthreads" : "a warp operation";
        size_t i = 0;
        while (i < places.size() &&
               !(same_place(places[i].file, places[i].line, f.file, f.line) && places[i].what == what))
            i++;
        if (i == places.size())
            places.push_back({f.file, what, f.line, 0, t});
        places[i].count++;
    }
    char text[900];
    size_t used = 0;
    text[0] = 0;
    for (const place &p : places)
        if (used < sizeof text) {
            int n = snprintf(text + used, sizeof text - used, "; %u in %s at %s:%d (first: thread %u)",
                p.count, p.what, p.file, p.line, p.first);
            used += n > 0 ? static_cast<size_t>(n) : 0;
        }
    misuse("%s: block (%u, %u, %u) is stuck, %u threads wait for what never comes%s", name_of(e), e.view.x,
        e.view.y, e.view.z, e.n_live, text);
}

/* --- shared memory -------------------------------------------------------------------- */

unsigned arena_place(engine &e, size_t bytes)
{
    /* aligned to 16 and to no more, as on the device */
    unsigned offset = ((e.arena_used + 63) & ~63u) + GAP + 16;
    e.arena_used = offset + static_cast<unsigned>(bytes);
    unpoison(e.arena + offset, bytes);
    return offset;
}

void arena_begin(engine &e)
{
    unpoison(e.arena, ARENA);
    if (e.arena_dirty)
        memset(e.arena, 0xFF,
            ARENA < e.arena_used + 4096u ? static_cast<unsigned>(ARENA) : e.arena_used + 4096u);
    poison(e.arena, ARENA);
    e.arena_dirty = false;
    e.arena_used = 0;
    e.n_arrays = 0;
    e.dynamic_offset = arena_place(e, e.dynamic_bytes);
    e.view.dynamic = e.arena + e.dynamic_offset;
    if (e.dynamic_bytes)
        e.arena_dirty = true;
}

/* The bytes between arrays are as they were. */
void arena_check(engine &e)
{
    if (!e.arena_dirty)
        return;
    unpoison(e.arena, ARENA);
    unsigned from = 0;
    const char *before = "the arena's start";
    for (unsigned i = 0; i <= e.n_arrays + 1; i++) {
        unsigned to, next;
        const char *name;
        if (i == 0) {
            to = e.dynamic_offset;
            next = to + e.dynamic_bytes;
            name = "dynamic shared memory";
        } else if (i <= e.n_arrays) {
            to = e.arrays[i - 1].offset;
            next = to + e.arrays[i - 1].bytes;
            name = e.arrays[i - 1].name;
        } else {
            to = e.arena_used + GAP < ARENA ? e.arena_used + GAP : static_cast<unsigned>(ARENA);
            next = to;
            name = "the arena's end";
        }
        for (unsigned j = from; j < to; j++)
            if (e.arena[j] != 0xFF) {
                misuse("%s: a write to shared memory between %s and %s, %u bytes past the former", name_of(e),
                    before, name, j - from);
                break;
            }
        from = next;
        before = name;
    }
}

/* --- blocks ------------------------------------------------------------------------------- */

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

int barrier(barrier_kind kind, int value, const char *file, int line)
{
    engine &e = mine();
    fiber &f = me();
    if (e.arrived == 0) {
        e.kind = kind;
        e.sum = 0;
        e.file = file;
        e.line = line;
        e.told = false;
    } else if ((e.kind != kind || !same_place(e.file, e.line, file, line)) && !e.told) {
        e.told = true;
        misuse("%s: thread %u waits in syncthreads at %s:%d, others in that at %s:%d", name_of(e), f.linear,
            file, line, e.file, e.line);
    }
    e.sum += value != 0;
    f.file = file;
    f.line = line;
    if (++e.arrived == e.n_live) {
        barrier_end(e, f.linear / 32, 1u << f.linear % 32);
        reconsider(e, f);
    } else {
        e.warps[f.linear / 32].at_barrier |= 1u << f.linear % 32;
        switch_away(e, f);
    }
    return e.result;
}

void collective(unsigned mask, void (*end)(const lanes &), bool orders, const void *in, void *out,
    const char *file, int line)
{
    engine &e = mine();
    fiber &f = me();
    unsigned w = f.linear / 32, l = f.linear % 32, bit = 1u << l;
    warp_state &ws = e.warps[w];
    if (!(mask & bit)) {
        misuse("%s: lane %u calls a warp operation at %s:%d with mask %08x, which is without it", name_of(e),
            l, file, line, mask);
        mask |= bit;
    }
    unsigned i = 0;
    while (i < ws.n_meetings &&
           !(ws.meetings[i].mask == mask && ws.meetings[i].end == end && !(ws.meetings[i].arrived & bit)))
        i++;
    if (i == ws.n_meetings) {
        ws.meetings[i] = {mask, 0, end, file, line, orders};
        ws.n_meetings++;
    }
    meeting &m = ws.meetings[i];
    if (!same_place(m.file, m.line, file, line)) {
        misuse("%s: lane %u of warp %u is in a warp operation at %s:%d, others in that at %s:%d", name_of(e),
            l, w, file, line, m.file, m.line);
        m.file = file;
        m.line = line;
    }
    m.arrived |= bit;
    ws.in[l] = in;
    ws.out[l] = out;
    f.file = file;
    f.line = line;
    unsigned needed = mask & ws.live;
    if ((m.arrived & needed) == needed) {
        meeting_end(e, w, i, bit);
        reconsider(e, f);
    } else {
        switch_away(e, f);
    }
}

void *shared_static(const void *site, size_t bytes, const char *name)
{
    engine &e = mine();
    for (unsigned i = 0; i < e.n_arrays; i++)
        if (e.arrays[i].site == site)
            return e.arena + e.arrays[i].offset;
    size_t sum = bytes;
    for (unsigned i = 0; i < e.n_arrays; i++)
        sum += e.arrays[i].bytes;
    if (e.n_arrays == MAX_ARRAYS || sum > SHARED_STATIC || sum + e.dynamic_bytes > SHARED_MOST ||
        e.arena_used + bytes + 2 * (GAP + 80) > ARENA) {
        fprintf(stderr, "cuda-simt: %s: shared array %s makes it %zu bytes of static shared memory\n",
            name_of(e), name, sum);
        abort(); /* nvcc refuses such a kernel */
    }
    unsigned offset = arena_place(e, bytes);
    e.arrays[e.n_arrays++] = {site, offset, static_cast<unsigned>(bytes), name};
    e.arena_dirty = true;
    return e.arena + offset;
}

void fence()
{
    if (watch)
        watch->fence();
}

void dependence_wait()
{
    mine().waited = true;
    if (watch)
        watch->waited();
}

void async_copy(void *to, const void *from, unsigned bytes, bool valid)
{
    if (reinterpret_cast<uintptr_t>(to) % bytes || (valid && reinterpret_cast<uintptr_t>(from) % bytes))
        misuse("%s: an asynchronous copy of %u bytes that is not aligned to them", name_of(mine()), bytes);
    me().copies.push_back({to, from, bytes, valid});
}

void async_commit()
{
    me().groups.push_back(me().copies.size());
}

void async_wait(unsigned newest)
{
    fiber &f = me();
    if (f.groups.size() <= newest)
        return;
    size_t n_groups = f.groups.size() - newest, n_copies = f.groups[n_groups - 1];
    for (size_t i = 0; i < n_copies; i++) {
        const pending_copy &c = f.copies[i];
        if (c.valid)
            memcpy(c.to, c.from, c.bytes);
        else
            memset(c.to, 0, c.bytes);
        if (watch)
            watch->copied(c.to, c.valid ? c.from : nullptr, c.bytes);
    }
    f.copies.erase(f.copies.begin(), f.copies.begin() + static_cast<ptrdiff_t>(n_copies));
    f.groups.erase(f.groups.begin(), f.groups.begin() + static_cast<ptrdiff_t>(n_groups));
    for (size_t &end : f.groups)
        end -= n_copies;
}

} // namespace detail
} // namespace simt
