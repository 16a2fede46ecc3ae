/* Finds unordered accesses to shared and global memory. Kernels are compiled with
 * -fsanitize=thread, which puts a call before each load and store; the program is linked without
 * the sanitizer's library, and the calls come here. Of each byte a shadow keeps who wrote it last
 * and who read it; an access that conflicts with one that nothing orders before it is a misuse.
 *
 * What orders:
 * - syncthreads: everything before it in the block. Each stretch between two has a number of
 *   its own (epoch), unique over all blocks and launches.
 * - syncwarp: by a vector clock of each lane over the lanes of its warp.
 * - the end of a launch; for a dependent launch (.pdl) and those before it, up to one that is
 *   not, only what a thread does after its pdl_wait().
 * - between blocks: a write, threadfence(), an atomic; there the same atomic, threadfence(), a
 *   read. Barriers of a block carry it from one thread of the block to the others.
 * Atomics do not conflict with each other. A lane clock or a reader that the shadow has no room
 * for can hide a race, never invent one. */
#include "host.h"

#include <map>
#include <stdio.h>
#include <string.h>
#include <string>
#include <sys/mman.h>
#include <vector>

/* nothing here may be called by itself */
#if defined(__SANITIZE_THREAD__)
#error "race.cc is compiled without -fsanitize=thread"
#endif

namespace simt
{
namespace detail
{

namespace
{

enum { MAX_THREADS = 1024 };

/* One access: epoch (32 bits), thread (10), atomic (1), the thread's clock (21). 0: none. */
using stamp = uint64_t;

stamp make(uint32_t epoch, unsigned thread, bool atomic, unsigned clock)
{
    return static_cast<uint64_t>(epoch) << 32 | static_cast<uint64_t>(thread) << 22 |
           static_cast<uint64_t>(atomic) << 21 | clock;
}

uint32_t epoch_of(stamp s)
{
    return static_cast<uint32_t>(s >> 32);
}

unsigned thread_of(stamp s)
{
    return static_cast<unsigned>(s >> 22) & 1023u;
}

bool is_atomic(stamp s)
{
    return s >> 21 & 1;
}

unsigned clock_of(stamp s)
{
    return static_cast<unsigned>(s) & 0x1FFFFFu;
}

struct cell {
    stamp write, read[2];
};

/* A stretch of memory that is watched. */
struct region {
    const unsigned char *from;
    size_t bytes;
    cell *cells; /* of each byte; pages of it come into being when touched */
    bool shared;
};

/* What a block made known by an atomic: everything of it before `epoch`, and of `thread`
 * within it. */
struct published {
    uint32_t first, epoch; /* of the block: [first, epoch) */
    unsigned thread;
};

struct thread_state {
    unsigned clock[32]; /* of the warp's lanes, as far as this one knows */
    bool waited;        /* has called pdl_wait() */
    uint32_t fenced;    /* epoch of the last threadfence, 0: none in this block */
    std::vector<published> seen, pending;
};

uint32_t epoch;        /* of what runs now */
uint32_t block_first;  /* first epoch of the block */
uint32_t launch_first; /* and of the launch */
uint32_t chain_first;  /* and of the launch that a chain of dependent ones began with */
bool dependent;        /* the launch is one */
bool fenced_before;    /* somebody fenced in an earlier epoch of the block */
bool fenced_now;
thread_state threads[MAX_THREADS];
unsigned n_threads;
std::vector<published> seen_by_block; /* since the last barrier */
std::map<uintptr_t, std::vector<published>> atomics;
std::map<uintptr_t, region> globals;
region shared_region;
const region *last_hit;
uint64_t reported_launch, launch_number;

cell *shadow_new(size_t bytes)
{
    void *p = mmap(nullptr, bytes * sizeof(cell), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : static_cast<cell *>(p);
}

const region *find(uintptr_t address)
{
    const region &s = shared_region;
    if (address - reinterpret_cast<uintptr_t>(s.from) < s.bytes)
        return &s;
    if (last_hit && address - reinterpret_cast<uintptr_t>(last_hit->from) < last_hit->bytes)
        return last_hit;
    auto it = globals.upper_bound(address);
    if (it == globals.begin())
        return nullptr;
    --it;
    if (address - it->first >= it->second.bytes)
        return nullptr;
    last_hit = &it->second;
    return last_hit;
}

bool covers(const published &p, stamp s)
{
    uint32_t e = epoch_of(s);
    return e >= p.first && (e < p.epoch || (e == p.epoch && thread_of(s) == p.thread));
}

/* Whether the access `before`, to this region, comes before what thread `t` does now. */
bool ordered(const region &r, stamp before, unsigned t)
{
    uint32_t e = epoch_of(before);
    if (e < launch_first)
        return !dependent || threads[t].waited || e < chain_first;
    if (e == epoch) {
        unsigned other = thread_of(before);
        return other == t || (other / 32 == t / 32 && threads[t].clock[other % 32] >= clock_of(before));
    }
    if (e >= block_first || r.shared) /* each block has shared memory of its own */
        return true;
    for (const published &p : seen_by_block)
        if (covers(p, before))
            return true;
    for (const published &p : threads[t].seen)
        if (covers(p, before))
            return true;
    return false;
}

void report(
    const region &r, size_t offset, stamp before, bool before_writes, unsigned t, bool writes, const void *pc)
{
    if (reported_launch == launch_number) { /* one a launch tells enough */
        misuse_counted();
        return;
    }
    reported_launch = launch_number;
    const block_view &b = *current->block;
    misuse("race on %s memory, byte %zu: thread %u of block (%u, %u, %u) %s, and nothing orders it after "
           "%s%s by "
           "thread %u of %s block (code %p)",
        r.shared ? "shared" : "global", offset, t, b.x, b.y, b.z, writes ? "writes" : "reads",
        is_atomic(before) ? "an atomic " : "a ", before_writes ? "write" : "read", thread_of(before),
        epoch_of(before) >= block_first ? "the same" : "another", pc);
}

void access(const void *address, size_t bytes, bool writes, bool atomic, const void *pc)
{
    if (!current)
        return;
    uintptr_t a = reinterpret_cast<uintptr_t>(address);
    const region *r = find(a);
    if (!r || !r->cells)
        return;
    size_t offset = a - reinterpret_cast<uintptr_t>(r->from);
    unsigned t = current->linear;
    stamp now = make(epoch, t, atomic, threads[t].clock[t % 32]);
    bool told = false;
    for (size_t i = offset; i < offset + bytes && i < r->bytes; i++) {
        cell &c = r->cells[i];
        if (c.write && !(atomic && is_atomic(c.write)) && !told && !ordered(*r, c.write, t)) {
            report(*r, i, c.write, true, t, writes, pc);
            told = true;
        }
        if (writes) {
            for (stamp read : c.read)
                if (read && !(atomic && is_atomic(read)) && !told && !ordered(*r, read, t)) {
                    report(*r, i, read, false, t, true, pc);
                    told = true;
                }
            /* an atomic read-modify-write reads too, but its write says as much */
            c.write = now;
            c.read[0] = c.read[1] = 0;
        } else if (c.read[0] == 0 || (epoch_of(c.read[0]) == epoch && thread_of(c.read[0]) == t)) {
            c.read[0] = now;
        } else if (ordered(*r, c.read[0], t)) { /* who is ordered after us is so after it as well */
            c.read[0] = now;
        } else {
            c.read[1] = now;
        }
    }
}

void launch_begins(bool pdl)
{
    launch_number++;
    epoch++;
    launch_first = block_first = epoch;
    dependent = pdl;
    if (!pdl)
        chain_first = epoch;
    atomics.clear();
}

void launch_ends()
{
    epoch++;
}

void block_begins(unsigned block_threads, const unsigned char *shared, size_t bytes)
{
    n_threads = block_threads;
    if (shared_region.from != shared || shared_region.bytes != bytes) {
        if (shared_region.cells)
            munmap(shared_region.cells, shared_region.bytes * sizeof(cell));
        shared_region = {shared, bytes, shadow_new(bytes), true};
    }
    epoch++;
    block_first = epoch;
    fenced_before = fenced_now = false;
    seen_by_block.clear();
    for (unsigned i = 0; i < n_threads; i++) {
        thread_state &t = threads[i];
        memset(t.clock, 0, sizeof t.clock);
        t.clock[i % 32] = 1;
        t.waited = false;
        t.fenced = 0;
        t.seen.clear();
        t.pending.clear();
    }
}

void barrier()
{
    epoch++;
    fenced_before = fenced_before || fenced_now;
    fenced_now = false;
    for (unsigned i = 0; i < n_threads; i++) {
        thread_state &t = threads[i];
        seen_by_block.insert(seen_by_block.end(), t.seen.begin(), t.seen.end());
        t.seen.clear();
        memset(t.clock, 0, sizeof t.clock);
        t.clock[i % 32] = 1;
    }
}

void warp(unsigned lanes)
{
    thread_state *w = &threads[current->linear / 32 * 32];
    unsigned joined[32] = {};
    std::vector<published> seen;
    for (unsigned l = 0; l < 32; l++)
        if (lanes >> l & 1) {
            for (unsigned i = 0; i < 32; i++)
                joined[i] = joined[i] > w[l].clock[i] ? joined[i] : w[l].clock[i];
            seen.insert(seen.end(), w[l].seen.begin(), w[l].seen.end());
        }
    for (unsigned l = 0; l < 32; l++)
        if (lanes >> l & 1) {
            memcpy(w[l].clock, joined, sizeof joined);
            w[l].clock[l]++;
            w[l].seen = seen;
        }
}

void fence_by_thread()
{
    thread_state &t = threads[current->linear];
    t.fenced = epoch;
    fenced_now = true;
    t.seen.insert(t.seen.end(), t.pending.begin(), t.pending.end());
    t.pending.clear();
}

void waited()
{
    threads[current->linear].waited = true;
}

/* A read-modify-write: hands on what this block has fenced, takes what others have. */
void meet(const void *address)
{
    if (!current)
        return;
    const region *r = find(reinterpret_cast<uintptr_t>(address));
    if (!r || r->shared)
        return;
    thread_state &t = threads[current->linear];
    std::vector<published> &at = atomics[reinterpret_cast<uintptr_t>(address)];
    for (const published &p : at)
        if (p.first != block_first)
            t.pending.push_back(p);
    if (t.fenced == epoch || fenced_before)
        at.push_back({block_first, epoch, t.fenced == epoch ? current->linear : 0xFFFFFFFFu});
}

void copied(const void *to, const void *from, unsigned bytes)
{
    if (from)
        access(from, bytes, false, false, nullptr);
    access(to, bytes, true, false, nullptr);
}

void allocated(const void *p, size_t bytes)
{
    globals[reinterpret_cast<uintptr_t>(p)] = {
        static_cast<const unsigned char *>(p), bytes, shadow_new(bytes), false};
}

void freed(const void *p)
{
    auto it = globals.find(reinterpret_cast<uintptr_t>(p));
    if (it == globals.end())
        return;
    if (it->second.cells)
        munmap(it->second.cells, it->second.bytes * sizeof(cell));
    globals.erase(it);
    last_hit = nullptr;
}

const watcher detector = {launch_begins, launch_ends, block_begins, barrier, warp, fence_by_thread, waited,
    copied, allocated, freed};

struct starter {
    starter()
    {
        watch = &detector;
    }
} start;

} // namespace
} // namespace detail
} // namespace simt

using namespace simt::detail;

/* --- what the compiler calls ------------------------------------------------------------- */

#define PC __builtin_return_address(0)

extern "C" {
void __tsan_init()
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit()
{
}
void __tsan_vptr_update(void **, void *)
{
}
void __tsan_vptr_read(void **)
{
}

#define ACCESS(bytes)                                                                                        \
    void __tsan_read##bytes(void *p)                                                                         \
    {                                                                                                        \
        access(p, bytes, false, false, PC);                                                                  \
    }                                                                                                        \
    void __tsan_write##bytes(void *p)                                                                        \
    {                                                                                                        \
        access(p, bytes, true, false, PC);                                                                   \
    }                                                                                                        \
    void __tsan_read_write##bytes(void *p)                                                                   \
    {                                                                                                        \
        access(p, bytes, true, false, PC);                                                                   \
    }                                                                                                        \
    void __tsan_unaligned_read##bytes(void *p)                                                               \
    {                                                                                                        \
        access(p, bytes, false, false, PC);                                                                  \
    }                                                                                                        \
    void __tsan_unaligned_write##bytes(void *p)                                                              \
    {                                                                                                        \
        access(p, bytes, true, false, PC);                                                                   \
    }                                                                                                        \
    void __tsan_unaligned_read_write##bytes(void *p)                                                         \
    {                                                                                                        \
        access(p, bytes, true, false, PC);                                                                   \
    }                                                                                                        \
    void __tsan_volatile_read##bytes(void *p)                                                                \
    {                                                                                                        \
        access(p, bytes, false, false, PC);                                                                  \
    }                                                                                                        \
    void __tsan_volatile_write##bytes(void *p)                                                               \
    {                                                                                                        \
        access(p, bytes, true, false, PC);                                                                   \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *p, unsigned long bytes)
{
    access(p, bytes, false, false, PC);
}
void __tsan_write_range(void *p, unsigned long bytes)
{
    access(p, bytes, true, false, PC);
}

void *__tsan_memcpy(void *to, const void *from, unsigned long bytes)
{
    access(from, bytes, false, false, PC);
    access(to, bytes, true, false, PC);
    return memcpy(to, from, bytes);
}
void *__tsan_memmove(void *to, const void *from, unsigned long bytes)
{
    access(from, bytes, false, false, PC);
    access(to, bytes, true, false, PC);
    return memmove(to, from, bytes);
}
void *__tsan_memset(void *to, int byte, unsigned long bytes)
{
    access(to, bytes, true, false, PC);
    return memset(to, byte, bytes);
}

#define FETCH(bits, type, name, function)                                                                    \
    type __tsan_atomic##bits##_fetch_##name(volatile type *p, type v, int)                                   \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), true, true, PC);                                         \
        meet(const_cast<type *>(p));                                                                         \
        return function(p, v, __ATOMIC_RELAXED);                                                             \
    }
#define ATOMICS(bits, type)                                                                                  \
    type __tsan_atomic##bits##_load(const volatile type *p, int)                                             \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), false, true, PC);                                        \
        return __atomic_load_n(p, __ATOMIC_RELAXED);                                                         \
    }                                                                                                        \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int)                                          \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), true, true, PC);                                         \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                            \
    }                                                                                                        \
    FETCH(bits, type, add, __atomic_fetch_add)                                                               \
    FETCH(bits, type, sub, __atomic_fetch_sub)                                                               \
    FETCH(bits, type, and, __atomic_fetch_and)                                                               \
    FETCH(bits, type, or, __atomic_fetch_or)                                                                 \
    FETCH(bits, type, xor, __atomic_fetch_xor)                                                               \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int)                                       \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), true, true, PC);                                         \
        meet(const_cast<type *>(p));                                                                         \
        return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                                                  \
    }                                                                                                        \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *expected, type v, int, int)    \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), true, true, PC);                                         \
        meet(const_cast<type *>(p));                                                                         \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);       \
    }                                                                                                        \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *expected, type v, int, int)      \
    {                                                                                                        \
        access(const_cast<type *>(p), sizeof(type), true, true, PC);                                         \
        meet(const_cast<type *>(p));                                                                         \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);       \
    }
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int)
{
}
void __tsan_atomic_signal_fence(int)
{
}
}
