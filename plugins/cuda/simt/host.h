/* What the files of the host implementation share. Not for kernels, not for plugins/cuda. */
#ifndef ORCD_CUDA_SIMT_HOST_H
#define ORCD_CUDA_SIMT_HOST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "rt-common.h"
#include "rt.h"
#include "simt.h"

namespace simt
{
namespace detail
{

/* --- knobs (host-knobs.cc) ------------------------------------------------------- */

enum order { ORDER_FORWARD, ORDER_REVERSE, ORDER_RANDOM };
enum { MAX_DEVICES = 8 };

struct settings {
    enum order order;
    bool deferred;
    bool driver, blas, heights, quiet;
    int devices;
    uint64_t seed;
    size_t memory_bytes;
};

/* X(name): what can be made to fail. */
#define SIMT_FAULTS(X)                                                                                       \
    X(malloc) X(host_alloc) X(launch) X(copy) X(memset) X(stream) X(event) X(graph) X(blas) X(sync)
enum fault {
#define X(name) FAULT_##name,
    SIMT_FAULTS(X)
#undef X
        FAULT_COUNT
};

/* Reads the environment first, once. Settings change only in simt_knobs(), which nobody
 * calls while another thread works. */
const struct settings &knobs();

/* Whether this call goes on: the driver is there, the device not lost, this is not the
 * call that is to fail. Otherwise the status, its text already set. */
enum simt_status admit(enum fault what, const char *call, enum simt_status failure);
/* The same for calls that are not counted. */
enum simt_status admit(const char *call);
bool lost();

uint64_t misuses();
uint64_t mix(uint64_t x); /* a good hash of x */

/* --- blocks and threads (fiber.cc) --------------------------------------------------- */

/* Runs a whole launch on the calling thread. */
enum simt_status run_kernel(const simt_launch_config &config, closure *work);
uint64_t launches();
uint64_t early_launches(); /* of these, dependent ones */
/* Frees what finished launches left for the next; nothing may run. */
void fibers_release();
/* The launch that runs on this thread, if any, is to fail: misuse() was called. */
void launch_misused();
/* A misuse that is not worth a line. */
void misuse_counted();

/* What the race detector (race.cc) is told; NULL when it is not linked. Everything but
 * the last two is called on the thread that runs the launch, with `current` set where a
 * kernel thread is the cause. */
struct watcher {
    void (*launch_begins)(bool pdl);
    void (*launch_ends)();
    void (*block_begins)(unsigned threads, const unsigned char *shared, size_t bytes);
    void (*barrier)();
    void (*warp)(unsigned lanes); /* syncwarp of these lanes of current's warp */
    void (*fence)();
    void (*waited)(); /* pdl_wait() */
    void (*copied)(const void *to, const void *from, unsigned bytes);
    void (*allocated)(const void *p, size_t bytes);
    void (*freed)(const void *p);
};
extern const watcher *watch;

/* --- memory (host-memory.cc) ------------------------------------------------------------ */

/* Whether [p, p + bytes) lies in one live allocation of device memory; if not, says so as
 * a misuse in the name of `call`. */
bool device_range(const void *p, size_t bytes, const char *call);
bool pinned(const void *p);
int device_of_thread();
void memory_usage(struct simt_usage *out);

/* --- streams (host-stream.cc) -------------------------------------------------------------- */

void streams_usage(struct simt_usage *out);
/* Runs everything that is queued anywhere. */
void drain_all();
/* A call that a capture forbids, made by this thread while it captures: the capture is
 * spoilt, and the answer is true. */
bool spoils_capture(const char *call);

void blas_usage(struct simt_usage *out);

} // namespace detail
} // namespace simt

#endif
