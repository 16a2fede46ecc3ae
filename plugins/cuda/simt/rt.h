/* What the host code of plugins/cuda sees of a GPU. Two implementations stand behind
 * it: cuda-*.cc (the CUDA runtime) and host-*.cc with fiber.cc (everything on
 * the CPU, for tests). The first part is C and C++; launching a kernel is C++ and for
 * .cu files only.
 *
 * Errors: every call that can fail returns an enum simt_status, SIMT_OK being 0, and
 * leaves its out-parameters untouched on failure. simt_error_text() then says in one line
 * what happened (per thread, until the next failing call of that thread).
 *
 * Threads: any thread may call anything, except that simt_device_use() is per thread
 * (call it first in each thread) and that one stream, event, graph or blas handle is
 * used by one thread at a time.
 *
 * Memory: device memory comes from simt_malloc() and from nowhere else. There is no
 * managed memory and no host fallback. */
#ifndef ORCD_CUDA_SIMT_RT_H
#define ORCD_CUDA_SIMT_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct simt_stream;
struct simt_event;
struct simt_graph;
struct simt_graph_exec;
struct simt_blas;

/* --- errors ------------------------------------------------------------------- */

/* X(name, text). DEVICE_LOST is final for the process: nothing on the device can be
 * used or freed any more. LAUNCH_FAILED is a launch that was refused (configuration,
 * no code for this device); the device is still good. */
#define SIMT_STATUS_LIST(X)                                                                                  \
    X(OK, "ok")                                                                                              \
    X(NO_DRIVER, "no NVIDIA driver, or one too old for this build")                                          \
    X(NO_DEVICE, "no such CUDA device")                                                                      \
    X(INVALID, "invalid argument or state")                                                                  \
    X(OUT_OF_MEMORY, "out of device memory")                                                                 \
    X(OUT_OF_HOST_MEMORY, "out of pinned or other host memory")                                              \
    X(LAUNCH_FAILED, "kernel could not be launched")                                                         \
    X(DEVICE_LOST, "device lost")                                                                            \
    X(NOT_READY, "not ready")                                                                                \
    X(UNSUPPORTED, "not supported here")                                                                     \
    X(NO_BLAS, "cuBLASLt cannot be opened")                                                                  \
    X(UNKNOWN, "unknown CUDA error")

enum simt_status {
#define SIMT_STATUS_ENUM(name, text) SIMT_##name,
    SIMT_STATUS_LIST(SIMT_STATUS_ENUM)
#undef SIMT_STATUS_ENUM
        SIMT_STATUS_COUNT
};

/* "OUT_OF_MEMORY"; "UNKNOWN" for a number that is none. Static storage. */
const char *simt_status_name(enum simt_status status);
/* "out of device memory". Static storage. */
const char *simt_status_text(enum simt_status status);

/* The call, the runtime's own error name and its number, e.g. "cudaMalloc of 4096 bytes:
 * out of memory (2)". "" before any failure. Valid until this thread's next failure. */
const char *simt_error_text(void);

/* "cuda" or "cuda-simt": which implementation is linked. */
const char *simt_flavour(void);

/* --- devices -------------------------------------------------------------------- */

struct simt_device {
    char name[128];
    char uuid[48]; /* "GPU-xxxxxxxx-xxxx-..." */
    char pci_bus[32];
    int index;
    int major, minor; /* compute capability */
    int multiprocessors;
    int threads_per_multiprocessor;
    int driver_version, runtime_version; /* 13000 is 13.0 */
    size_t memory_bytes;
    size_t l2_bytes;
    size_t shared_per_block;       /* without asking, usually 48 KiB */
    size_t shared_per_block_optin; /* with simt::kernel_prepare() */
    int integrated;                /* 1: shares the host's memory */
};

/* 0 devices is NO_DEVICE, no driver is NO_DRIVER; either is quick and harmless. */
enum simt_status simt_device_count(int *count);
enum simt_status simt_device_get(int index, struct simt_device *out);
/* Makes `index` the calling thread's device; the first call in a process also makes
 * the device's context (100 ms and more). */
enum simt_status simt_device_use(int index);
/* Waits for everything on the thread's device. */
enum simt_status simt_device_sync(void);
/* Free and total bytes of the thread's device. May take milliseconds; safe from any
 * thread, beside running kernels. */
enum simt_status simt_mem_info(size_t *free_bytes, size_t *total_bytes);

/* --- memory --------------------------------------------------------------------- */

/* Device memory, aligned to 256 bytes; its contents are undefined (0xFF on the host).
 * bytes > 0. */
enum simt_status simt_malloc(void **out, size_t bytes);
/* NULL is fine. Waits for the device. */
void simt_free(void *p);
/* Pinned host memory, aligned to 4096 bytes. */
enum simt_status simt_host_alloc(void **out, size_t bytes);
void simt_host_free(void *p);

enum simt_copy { SIMT_TO_DEVICE, SIMT_TO_HOST, SIMT_ON_DEVICE };
/* Asynchronous when the host side is pinned memory (then leave it alone until the
 * stream has passed this point); with other host memory the call may wait. bytes may
 * be 0. */
enum simt_status simt_copy_async(
    void *to, const void *from, size_t bytes, enum simt_copy kind, struct simt_stream *stream);
enum simt_status simt_memset_async(void *to, int byte, size_t bytes, struct simt_stream *stream);
/* Copies and waits for it; on a stream of its own, not in a capture. */
enum simt_status simt_copy(void *to, const void *from, size_t bytes, enum simt_copy kind);

enum simt_where { SIMT_WHERE_UNKNOWN, SIMT_WHERE_DEVICE, SIMT_WHERE_PINNED, SIMT_WHERE_MANAGED };
/* Where a pointer's memory lives: the residency check. *device is written for
 * SIMT_WHERE_DEVICE only; it may be NULL. */
enum simt_status simt_pointer_where(const void *p, enum simt_where *where, int *device);

/* What this plugin holds now, counted by this layer; for leak checks and reports. */
struct simt_usage {
    size_t device_bytes, device_blocks;
    size_t pinned_bytes, pinned_blocks;
    size_t streams, events, graphs, graph_execs, blas;
    uint64_t launches;                          /* since the start: kernels, in graphs too (host only) */
    uint64_t early;                             /* of these, dependent ones */
    uint64_t unprepared;                        /* with .pdl, of kernels not prepared: never early on a GPU */
    uint64_t captures, instantiations, updates; /* that succeeded, since the start (host only) */
    uint64_t gemm_rows;                         /* of all products, since the start (host only) */
    uint64_t gemm_shapes;                       /* that came to a handle for the first time (host only) */
    uint64_t misuses;                           /* host only: reports of misuse, see knobs below */
    size_t device_peak_bytes;
};
void simt_usage_get(struct simt_usage *out);

/* --- streams and events --------------------------------------------------------- */

/* A stream never is NULL: the legacy default stream is not used. priority: 0 normal,
 * 1 before the others. Streams do not wait for each other. */
enum simt_status simt_stream_create(struct simt_stream **out, int priority);
void simt_stream_destroy(struct simt_stream *stream); /* NULL is fine; waits */
/* 0: launches on the stream wait for their predecessor's end even where they ask for .pdl. At first they need
 * not. */
void simt_stream_pdl(struct simt_stream *stream, int allowed);
enum simt_status simt_stream_sync(struct simt_stream *stream);
/* SIMT_OK when everything is done, SIMT_NOT_READY when not (no error text then). */
enum simt_status simt_stream_query(struct simt_stream *stream);
enum simt_status simt_stream_wait(struct simt_stream *stream, struct simt_event *event);

/* timing: 1 when simt_event_elapsed() will be asked (costs a little). */
enum simt_status simt_event_create(struct simt_event **out, int timing);
void simt_event_destroy(struct simt_event *event);
enum simt_status simt_event_record(struct simt_event *event, struct simt_stream *stream);
/* An event never recorded counts as done. */
enum simt_status simt_event_query(struct simt_event *event); /* SIMT_OK, SIMT_NOT_READY */
enum simt_status simt_event_sync(struct simt_event *event);
enum simt_status simt_event_elapsed(float *ms, struct simt_event *from, struct simt_event *to);

/* --- graphs ----------------------------------------------------------------------- */

/* Between begin and end, work put on `stream` (and on streams that wait for an event
 * recorded in the capture; they must be joined again before the end) is noted, not run.
 * Nothing that allocates, waits or queries may be called in between by this thread.
 * Prepare every kernel before (simt::kernel_prepare): loading one would wait.
 * On failure of a call within, end the capture all the same: it says INVALID and the
 * stream is usable again. */
enum simt_status simt_capture_begin(struct simt_stream *stream);
enum simt_status simt_capture_end(struct simt_stream *stream, struct simt_graph **out);
void simt_graph_destroy(struct simt_graph *graph);
/* The exec does not need the graph afterwards. */
enum simt_status simt_graph_instantiate(struct simt_graph_exec **out, struct simt_graph *graph);
/* Puts the parameters of `graph` into `exec`: *updated is 1 when it could be done, 0 when
 * the shapes differ and the graph must be instantiated anew (not an error). What `exec` was launched
 * for before goes on as it was. */
enum simt_status simt_graph_update(struct simt_graph_exec *exec, struct simt_graph *graph, int *updated);
enum simt_status simt_graph_launch(struct simt_graph_exec *exec, struct simt_stream *stream);
void simt_graph_exec_destroy(struct simt_graph_exec *exec);

/* --- matrix products ---------------------------------------------------------------- */

enum simt_type { SIMT_F16, SIMT_BF16, SIMT_F32 };

/* C = alpha * op(A) * op(B) + beta * C, all row-major: op(A) is m x k, op(B) is k x n, C is
 * m x n. trans_a: A is stored k x m; trans_b: B is stored n x k (a weight matrix whose
 * rows are outputs: X[m][k] times W[n][k] transposed is trans_b = 1). ld_*: elements from
 * one stored row to the next. batch > 1: that many products, stride_* elements apart
 * (0 for an operand that all share, not C). A and B have type `in`, C has type `out`;
 * sums are in float32 always. Pointers and rows aligned to 16 bytes run best. in F32 goes
 * with out F32; in F16 or BF16 goes with out of the same type or F32.
 * beta == 0 does not read C. k == 0 is INVALID, m or n or batch == 0 does nothing. */
struct simt_gemm {
    int m, n, k;
    int trans_a, trans_b;
    enum simt_type in, out;
    float alpha, beta;
    const void *a, *b;
    void *c;
    int ld_a, ld_b, ld_c;
    int batch;
    int64_t stride_a, stride_b, stride_c;
};

/* Opens cuBLASLt by dlopen at the first call in the process (half a second): NO_BLAS with
 * a text naming the file when it is absent. The handle belongs to the thread's device. */
enum simt_status simt_blas_open(struct simt_blas **out);
void simt_blas_close(struct simt_blas *blas);
/* Device memory for the products to work in, aligned to 256 bytes, the caller's, for as long
 * as the handle is used; bytes may be 0. 32 MiB suit Hopper, 4 MiB the others. Products on one
 * handle share it: use a handle and workspace per stream. */
enum simt_status simt_blas_workspace(struct simt_blas *blas, void *device_memory, size_t bytes);
/* The algorithm is chosen when a shape (sizes, types, distances, alignment of the pointers) is
 * asked for the first time, which takes longer than a later one, and kept in the handle with
 * those of 191 others. The same shape, workspace size, library and device give the same one; none
 * adds up parts of a sum from several blocks. */
enum simt_status simt_blas_gemm(
    struct simt_blas *blas, struct simt_stream *stream, const struct simt_gemm *gemm);

/* --- knobs of the host implementation ----------------------------------------------- */

/* Words separated by commas or spaces; the environment variable ORCD_CUDA_SIMT is read
 * the same way at the first call of anything here. UNSUPPORTED in the cuda flavour, INVALID
 * with a word it doesn't know.
 *   order=forward|reverse|random   which runnable thread of a block goes next (and blocks)
 *   seed=N                         of order=random and streams=deferred
 *   streams=eager|deferred         run work when it is queued (default), or only when
 *                                  somebody waits, streams drained in seeded order
 *   memory=N[K|M|G]                the device's total memory (default 8G)
 *   devices=N                      how many devices there are (default 1; 0 too)
 *   driver=0|1                     0: every call says NO_DRIVER
 *   blas=0|1                       0: simt_blas_open says NO_BLAS
 *   heights=0|1                    1: the order of a product's sums follows from its height and its
 *                                  operands' alignment, as a library's choice of an algorithm does
 *   fail=WHAT:N                    the N-th WHAT from now (1 is the next) fails, once
 *   lose=WHAT:N                    at the N-th WHAT the device is lost, for ever
 *        WHAT: malloc, host_alloc, launch, copy, memset, stream, event, graph, blas, sync, any
 *   quiet=0|1                      1: misuses are counted, not printed
 *   reset                          the defaults (a lost device is found again)
 * Misuses are errors in kernels or host code that a GPU would punish by chance: threads
 * waiting in different places, a warp operation without all its lanes, writes beyond a
 * shared array, copies beyond an allocation, use after free. Each is printed to stderr
 * (the first 20), counted in simt_usage, and the launch fails with LAUNCH_FAILED. */
enum simt_status simt_knobs(const char *words);

/* --- kernels --------------------------------------------------------------------------- */

struct simt_dim {
    unsigned x, y, z;
};

struct simt_launch_config {
    struct simt_dim grid, block; /* each >= 1; block at most 1024 threads, z at most 64 */
    size_t shared_bytes;         /* dynamic shared memory */
    struct simt_stream *stream;
    int pdl;          /* 1: may start before its predecessor ends; call simt::pdl_wait() in it. It does so
                       * where the kernel was prepared, its code there has the wait, and the stream allows it */
    const char *name; /* for messages; static storage, may be NULL */
};

struct simt_kernel_info {
    int registers, max_threads;
    size_t static_shared_bytes, local_bytes;
    int blocks_per_multiprocessor; /* at the threads and shared bytes asked */
};

#ifdef __cplusplus
}

#include <tuple>
#include <type_traits>
#include <utility>

namespace simt
{

namespace detail
{
/* cuda-stream.cc. `kernel` is the host-side address of a __global__ function. */
enum simt_status cuda_launch(const void *kernel, const simt_launch_config &config, void **args);
enum simt_status cuda_prepare(
    const void *kernel, unsigned threads, size_t max_dynamic_shared, simt_kernel_info *info);
/* host-stream.cc. `run` is called once in every thread of the launch, `drop` once at the end; the
 * closure is then the layer's. */
struct closure {
    void (*run)(closure *self);
    void (*drop)(closure *self);
    const void *kernel;
};
enum simt_status host_launch(const simt_launch_config &config, closure *work);
enum simt_status host_prepare(
    const void *kernel, unsigned threads, size_t max_dynamic_shared, simt_kernel_info *info);

template <class... P> struct kernel_closure : closure {
    void (*call)(P...);
    std::tuple<std::decay_t<P>...> args;
    template <class... A>
    kernel_closure(void (*k)(P...), A &&...a) : call(k), args(static_cast<P>(std::forward<A>(a))...)
    {
        kernel = reinterpret_cast<const void *>(k);
        run = [](closure *self) {
            auto *me = static_cast<kernel_closure *>(self);
            std::apply(me->call, me->args);
        };
        drop = [](closure *self) { delete static_cast<kernel_closure *>(self); };
    }
};
} // namespace detail

/* Queues kernel(args...) on config.stream. Arguments are converted to the parameters'
 * types, copied at once (at most 4096 bytes together, trivially copyable) and passed by
 * value. Also within a capture. */
template <class... P, class... A>
enum simt_status launch(const simt_launch_config &config, void (*kernel)(P...), A &&...args)
{
    static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
    static_assert((std::is_trivially_copyable_v<std::decay_t<P>> && ...), "plain data only");
    static_assert((0 + ... + (sizeof(std::decay_t<P>) + 8)) <= 4096, "too many bytes of parameters");
#ifdef __CUDACC__
    std::tuple<std::decay_t<P>...> values(static_cast<P>(std::forward<A>(args))...);
    return std::apply(
        [&](auto &...v) {
            void *pointers[] = {static_cast<void *>(&v)..., nullptr};
            return detail::cuda_launch(reinterpret_cast<const void *>(kernel), config, pointers);
        },
        values);
#else
    return detail::host_launch(config, new detail::kernel_closure<P...>(kernel, std::forward<A>(args)...));
#endif
}

/* Loads the kernel on the thread's device, lets it have up to max_dynamic_shared bytes of
 * dynamic shared memory (needed above 48 KiB, harmless below) and says what it takes.
 * Call it for every kernel before the first capture or timing. info may be NULL. */
template <class... P>
enum simt_status kernel_prepare(
    void (*kernel)(P...), unsigned threads, size_t max_dynamic_shared, simt_kernel_info *info = nullptr)
{
    const void *address = reinterpret_cast<const void *>(kernel);
#ifdef __CUDACC__
    return detail::cuda_prepare(address, threads, max_dynamic_shared, info);
#else
    return detail::host_prepare(address, threads, max_dynamic_shared, info);
#endif
}

} // namespace simt
#endif
#endif
