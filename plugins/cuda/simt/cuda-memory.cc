/* Devices, memory, errors of the CUDA runtime. */
#include "cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

using namespace simt::detail;

namespace
{

/* What is allocated, for simt_usage_get(): a few dozen blocks at most. */
struct block {
    void *address;
    size_t bytes;
    bool pinned;
    block *next;
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
block *blocks;
simt_usage usage;

bool note(void *address, size_t bytes, bool pinned)
{
    block *b = static_cast<block *>(malloc(sizeof *b));
    if (!b)
        return false;
    *b = {address, bytes, pinned, nullptr};
    pthread_mutex_lock(&lock);
    b->next = blocks;
    blocks = b;
    if (pinned) {
        usage.pinned_bytes += bytes;
        usage.pinned_blocks++;
    } else {
        usage.device_bytes += bytes;
        usage.device_blocks++;
        if (usage.device_bytes > usage.device_peak_bytes)
            usage.device_peak_bytes = usage.device_bytes;
    }
    pthread_mutex_unlock(&lock);
    return true;
}

void forget(void *address)
{
    pthread_mutex_lock(&lock);
    block **at = &blocks;
    while (*at && (*at)->address != address)
        at = &(*at)->next;
    block *b = *at;
    if (b) {
        *at = b->next;
        if (b->pinned) {
            usage.pinned_bytes -= b->bytes;
            usage.pinned_blocks--;
        } else {
            usage.device_bytes -= b->bytes;
            usage.device_blocks--;
        }
    }
    pthread_mutex_unlock(&lock);
    free(b);
}

/* Errors that headers of CUDA 12 may lack. */
enum { CONTAINED = 226, TENSOR_MEMORY_LEAK = 721 };

enum simt_status kind_of(cudaError_t error, enum simt_status memory)
{
    switch (static_cast<int>(error)) {
    case cudaErrorMemoryAllocation:
        return memory;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
        return SIMT_NO_DEVICE;
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorStubLibrary:
    case cudaErrorInitializationError:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
        return SIMT_NO_DRIVER;
    case cudaErrorNotReady:
        return SIMT_NOT_READY;
    case cudaErrorInvalidConfiguration:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidKernelImage:
    case cudaErrorInvalidPtx:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorJitCompilationDisabled:
    case cudaErrorSharedObjectInitFailed:
    case cudaErrorInvalidClusterSize:
        return SIMT_LAUNCH_FAILED;
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorDevicesUnavailable:
    case cudaErrorDeviceUninitialized:
    case cudaErrorSystemNotReady:
    case cudaErrorExternalDevice:
    case cudaErrorMpsConnectionFailed:
    case cudaErrorMpsServerNotReady:
    case cudaErrorMpsRpcFailure:
    case cudaErrorMpsClientTerminated:
    case cudaErrorTimeout:
    case CONTAINED:
    case TENSOR_MEMORY_LEAK:
        return SIMT_DEVICE_LOST;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidDevicePointer:
    case cudaErrorInvalidHostPointer:
    case cudaErrorInvalidMemcpyDirection:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorIllegalState:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureWrongThread:
    case cudaErrorCapturedEvent:
        return SIMT_INVALID;
    case cudaErrorNotSupported:
    case cudaErrorNotPermitted:
        return SIMT_UNSUPPORTED;
    default:
        return SIMT_UNKNOWN;
    }
}

/* Whether an error that says nothing of the device has taken it along: then waiting for it fails as well.
 * That a capture forbids the wait is no answer. */
bool device_answers()
{
    const cudaError_t error = cudaDeviceSynchronize();
    if (error == cudaSuccess)
        return true;
    static_cast<void>(cudaGetLastError());
    return kind_of(error, SIMT_OUT_OF_MEMORY) == SIMT_INVALID;
}

} // namespace

namespace simt
{
namespace detail
{

live_handles live;

enum simt_status status_of(cudaError_t error, const char *call, enum simt_status memory)
{
    if (error == cudaSuccess)
        return SIMT_OK;
    static_cast<void>(cudaGetLastError());
    if (error == cudaErrorNotReady)
        return SIMT_NOT_READY;
    enum simt_status status = kind_of(error, memory);
    if (status == SIMT_UNKNOWN && !device_answers())
        status = SIMT_DEVICE_LOST;
    return fail(status, "%s: %s (%s, %d)", call, cudaGetErrorString(error), cudaGetErrorName(error),
        static_cast<int>(error));
}

} // namespace detail
} // namespace simt

const char *simt_flavour(void)
{
    return "cuda";
}

enum simt_status simt_device_count(int *count)
{
    int n = 0;
    enum simt_status status = status_of(cudaGetDeviceCount(&n), "cudaGetDeviceCount");
    if (!status && n == 0)
        status = fail(SIMT_NO_DEVICE, "cudaGetDeviceCount: there is none");
    if (!status)
        *count = n;
    return status;
}

enum simt_status simt_device_get(int index, struct simt_device *out)
{
    cudaDeviceProp p;
    enum simt_status status = status_of(cudaGetDeviceProperties(&p, index), "cudaGetDeviceProperties");
    if (status)
        return status;
    struct simt_device d;
    memset(&d, 0, sizeof d);
    snprintf(d.name, sizeof d.name, "%.*s", static_cast<int>(sizeof d.name) - 1, p.name);
    const unsigned char *u = reinterpret_cast<const unsigned char *>(p.uuid.bytes);
    snprintf(d.uuid, sizeof d.uuid,
        "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
        u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    status = status_of(cudaDeviceGetPCIBusId(d.pci_bus, sizeof d.pci_bus, index), "cudaDeviceGetPCIBusId");
    if (!status)
        status = status_of(cudaDriverGetVersion(&d.driver_version), "cudaDriverGetVersion");
    if (!status)
        status = status_of(cudaRuntimeGetVersion(&d.runtime_version), "cudaRuntimeGetVersion");
    if (status)
        return status;
    d.index = index;
    d.major = p.major;
    d.minor = p.minor;
    d.multiprocessors = p.multiProcessorCount;
    d.threads_per_multiprocessor = p.maxThreadsPerMultiProcessor;
    d.memory_bytes = p.totalGlobalMem;
    d.l2_bytes = static_cast<size_t>(p.l2CacheSize);
    d.shared_per_block = p.sharedMemPerBlock;
    d.shared_per_block_optin = p.sharedMemPerBlockOptin;
    d.integrated = p.integrated;
    *out = d;
    return SIMT_OK;
}

enum simt_status simt_device_use(int index)
{
    enum simt_status status = status_of(cudaSetDevice(index), "cudaSetDevice");
    /* makes the context now, also where cudaSetDevice does not */
    return status ? status : status_of(cudaFree(nullptr), "making a context on the device");
}

enum simt_status simt_device_sync(void)
{
    return status_of(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

enum simt_status simt_mem_info(size_t *free_bytes, size_t *total_bytes)
{
    size_t f, t;
    enum simt_status status = status_of(cudaMemGetInfo(&f, &t), "cudaMemGetInfo");
    if (!status) {
        *free_bytes = f;
        *total_bytes = t;
    }
    return status;
}

enum simt_status simt_malloc(void **out, size_t bytes)
{
    if (bytes == 0)
        return fail(SIMT_INVALID, "cudaMalloc of 0 bytes");
    char call[64];
    snprintf(call, sizeof call, "cudaMalloc of %zu bytes", bytes);
    void *p;
    enum simt_status status = status_of(cudaMalloc(&p, bytes), call);
    if (status)
        return status;
    if (!note(p, bytes, false)) {
        cudaFree(p);
        return fail(SIMT_OUT_OF_HOST_MEMORY, "no memory to note an allocation in");
    }
    *out = p;
    return SIMT_OK;
}

void simt_free(void *p)
{
    if (!p)
        return;
    forget(p);
    static_cast<void>(status_of(cudaFree(p), "cudaFree"));
}

enum simt_status simt_host_alloc(void **out, size_t bytes)
{
    if (bytes == 0)
        return fail(SIMT_INVALID, "cudaHostAlloc of 0 bytes");
    char call[64];
    snprintf(call, sizeof call, "cudaHostAlloc of %zu bytes", bytes);
    void *p;
    enum simt_status status =
        status_of(cudaHostAlloc(&p, bytes, cudaHostAllocPortable), call, SIMT_OUT_OF_HOST_MEMORY);
    if (status)
        return status;
    if (!note(p, bytes, true)) {
        cudaFreeHost(p);
        return fail(SIMT_OUT_OF_HOST_MEMORY, "no memory to note an allocation in");
    }
    *out = p;
    return SIMT_OK;
}

void simt_host_free(void *p)
{
    if (!p)
        return;
    forget(p);
    static_cast<void>(status_of(cudaFreeHost(p), "cudaFreeHost"));
}

enum simt_status simt_pointer_where(const void *p, enum simt_where *where, int *device)
{
    cudaPointerAttributes a;
    enum simt_status status = status_of(cudaPointerGetAttributes(&a, p), "cudaPointerGetAttributes");
    if (status)
        return status;
    switch (a.type) {
    case cudaMemoryTypeDevice:
        *where = SIMT_WHERE_DEVICE;
        if (device)
            *device = a.device;
        break;
    case cudaMemoryTypeHost:
        *where = SIMT_WHERE_PINNED;
        break;
    case cudaMemoryTypeManaged:
        *where = SIMT_WHERE_MANAGED;
        break;
    default:
        *where = SIMT_WHERE_UNKNOWN;
    }
    return SIMT_OK;
}

void simt_usage_get(struct simt_usage *out)
{
    pthread_mutex_lock(&lock);
    struct simt_usage u = usage;
    pthread_mutex_unlock(&lock);
    u.streams = __atomic_load_n(&live.streams, __ATOMIC_RELAXED);
    u.events = __atomic_load_n(&live.events, __ATOMIC_RELAXED);
    u.graphs = __atomic_load_n(&live.graphs, __ATOMIC_RELAXED);
    u.graph_execs = __atomic_load_n(&live.graph_execs, __ATOMIC_RELAXED);
    u.blas = __atomic_load_n(&live.blas, __ATOMIC_RELAXED);
    *out = u;
}

enum simt_status simt_knobs(const char *words)
{
    return fail(SIMT_UNSUPPORTED, "knobs (\"%.40s\") are cuda-simt's", words);
}
