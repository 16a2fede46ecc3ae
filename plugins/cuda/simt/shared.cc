/* Shared memory of a block on the CPU: an arena with gaps between arrays, all of it 0xFF before
 * somebody writes; and the asynchronous copies to it, which happen when they are waited for. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

namespace simt
{
namespace detail
{

namespace
{

unsigned arena_place(engine &e, size_t bytes)
{
    /* aligned to 16 and to no more, as on the device */
    unsigned offset = ((e.arena_used + 63) & ~63u) + GAP + 16;
    e.arena_used = offset + static_cast<unsigned>(bytes);
    unpoison(e.arena + offset, bytes);
    return offset;
}

} // namespace

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
