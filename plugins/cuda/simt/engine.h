/* A launch on the CPU as its files see it: fiber.cc (who runs next), meet.cc (who waits for
 * whom), shared.cc (shared memory). */
#ifndef ORCD_CUDA_SIMT_ENGINE_H
#define ORCD_CUDA_SIMT_ENGINE_H

#include "host.h"

#include <string.h>
#include <vector>

#include "switch.h"

namespace simt
{
namespace detail
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

inline engine &mine()
{
    return *static_cast<fiber *>(current)->engine;
}

inline fiber &me()
{
    return *static_cast<fiber *>(current);
}

inline void make_runnable(engine &e, unsigned w, unsigned lanes)
{
    e.warps[w].runnable |= lanes;
    if (e.warps[w].runnable)
        e.warps_runnable |= 1u << w;
}

inline const char *name_of(const engine &e)
{
    return e.name ? e.name : "kernel";
}

inline bool same_place(const char *file_a, int line_a, const char *file_b, int line_b)
{
    return line_a == line_b && (file_a == file_b || strcmp(file_a, file_b) == 0);
}

/* fiber.cc: leaves the running thread for the next; comes back when it may go on. */
void switch_away(engine &e, fiber &from);
/* The running thread may go on, and so may others: with a random order, one of them does. */
void reconsider(engine &e, fiber &f);

/* meet.cc: a thread has returned; those who waited for nobody but it go on. */
void leave(engine &e, fiber &f);
/* Tells where the threads of a block wait that nothing will wake. */
void tell_stuck(const engine &e);

/* shared.cc: before and after a block. */
void arena_begin(engine &e);
/* Also tells of writes between arrays. */
void arena_check(engine &e);

} // namespace detail
} // namespace simt

#endif
