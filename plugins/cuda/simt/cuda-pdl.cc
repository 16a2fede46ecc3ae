/*
 * Which kernels may be launched as dependent. A kernel waits for its predecessor by griddepcontrol, which is
 * compiled for architectures from 9.0 on; what code of a kernel runs on a device is the driver's choice, not
 * a matter of the device alone: one of 9.0 also runs PTX of 8.0, compiled there without the wait. Such a
 * kernel must not start early.
 *
 * Kernels are noted when they are prepared, under a lock, and looked up at each launch, without one.
 */
#include "cuda.h"

#include <pthread.h>

namespace
{

enum { SLOTS = 4096, MAX_DEVICES = 64, PTX_WITH_WAIT = 90 };

struct entry {
    const void *kernel; /* NULL: free; written once */
    uint64_t devices;   /* on which its code waits */
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
entry table[SLOTS]; /* several times as many as there are kernels */

/* The kernel's entry, or the free one where it belongs; NULL: all are taken. */
entry *find(const void *kernel)
{
    const uint64_t hash = reinterpret_cast<uintptr_t>(kernel) * 0x9E3779B97F4A7C15u;
    for (unsigned i = 0; i < SLOTS; i++) {
        entry *e = &table[((hash >> 40) + i) % SLOTS];
        const void *const there = __atomic_load_n(&e->kernel, __ATOMIC_ACQUIRE);
        if (!there || there == kernel)
            return e;
    }
    return nullptr;
}

} // namespace

void simt::detail::note_kernel(const void *kernel, int ptx_version)
{
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device < 0 || device >= MAX_DEVICES)
        return;
    const uint64_t bit = uint64_t{1} << device;
    pthread_mutex_lock(&lock);
    entry *const e = find(kernel);
    if (e && ptx_version >= PTX_WITH_WAIT)
        __atomic_fetch_or(&e->devices, bit, __ATOMIC_RELAXED);
    else if (e)
        __atomic_fetch_and(&e->devices, ~bit, __ATOMIC_RELAXED);
    if (e)
        __atomic_store_n(&e->kernel, kernel, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

bool simt::detail::waits_itself(const void *kernel, int device)
{
    if (device < 0 || device >= MAX_DEVICES)
        return false;
    const entry *const e = find(kernel);
    return e && __atomic_load_n(&e->kernel, __ATOMIC_ACQUIRE) == kernel &&
           (__atomic_load_n(&e->devices, __ATOMIC_RELAXED) >> device & 1);
}
