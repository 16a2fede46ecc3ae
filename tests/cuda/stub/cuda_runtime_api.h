/* For tests/cuda/lt.cc and cudart.cc: of CUDA's header of that name, what plugins/cuda/simt uses. */
#ifndef ORCD_TESTS_CUDA_STUB_CUDA_RUNTIME_API_H
#define ORCD_TESTS_CUDA_STUB_CUDA_RUNTIME_API_H

#include <stddef.h>

#include "cuda-errors.h"

#define CUDART_VERSION 13000

enum cudaError_t {
    cudaSuccess = 0,
#define X(name, number) name = number,
    CUDA_STUB_ERRORS(X)
#undef X
};

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

struct dim3 {
    unsigned x, y, z;
};
struct cudaDeviceProp {
    char name[256];
    struct {
        char bytes[16];
    } uuid;
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount, maxThreadsPerMultiProcessor, l2CacheSize, integrated;
};
struct cudaFuncAttributes {
    size_t sharedSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion;
};
enum cudaMemoryType {
    cudaMemoryTypeUnregistered,
    cudaMemoryTypeHost,
    cudaMemoryTypeDevice,
    cudaMemoryTypeManaged
};
struct cudaPointerAttributes {
    enum cudaMemoryType type;
    int device;
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization = 6 };
struct cudaLaunchAttribute {
    enum cudaLaunchAttributeID id;
    union {
        int programmaticStreamSerializationAllowed;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    struct cudaLaunchAttribute *attrs;
    unsigned numAttrs;
};
struct cudaGraphExecUpdateResultInfo {
    int result;
};

#define cudaStreamPerThread (reinterpret_cast<cudaStream_t>(2))
#define cudaStreamNonBlocking 1u
#define cudaEventDefault 0u
#define cudaEventDisableTiming 2u
#define cudaHostAllocPortable 1u

/* X(name, parameters): the calls that answer with an error. */
/* clang-format off */
#define CUDA_STUB_CALLS(X) \
    X(cudaGetDeviceCount, (int *count)) \
    X(cudaGetDevice, (int *device)) \
    X(cudaSetDevice, (int device)) \
    X(cudaGetDeviceProperties, (cudaDeviceProp *p, int device)) \
    X(cudaDeviceGetPCIBusId, (char *id, int bytes, int device)) \
    X(cudaDeviceSynchronize, ()) \
    X(cudaDeviceGetStreamPriorityRange, (int *least, int *greatest)) \
    X(cudaDriverGetVersion, (int *version)) \
    X(cudaRuntimeGetVersion, (int *version)) \
    X(cudaMemGetInfo, (size_t *free_bytes, size_t *total)) \
    X(cudaMalloc, (void **out, size_t bytes)) \
    X(cudaFree, (void *p)) \
    X(cudaHostAlloc, (void **out, size_t bytes, unsigned flags)) \
    X(cudaFreeHost, (void *p)) \
    X(cudaPointerGetAttributes, (cudaPointerAttributes *out, const void *p)) \
    X(cudaMemcpyAsync, (void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)) \
    X(cudaMemsetAsync, (void *to, int byte, size_t bytes, cudaStream_t stream)) \
    X(cudaStreamCreateWithPriority, (cudaStream_t *out, unsigned flags, int priority)) \
    X(cudaStreamDestroy, (cudaStream_t stream)) \
    X(cudaStreamSynchronize, (cudaStream_t stream)) \
    X(cudaStreamQuery, (cudaStream_t stream)) \
    X(cudaStreamWaitEvent, (cudaStream_t stream, cudaEvent_t event, unsigned flags)) \
    X(cudaStreamBeginCapture, (cudaStream_t stream, cudaStreamCaptureMode mode)) \
    X(cudaStreamEndCapture, (cudaStream_t stream, cudaGraph_t *out)) \
    X(cudaEventCreateWithFlags, (cudaEvent_t *out, unsigned flags)) \
    X(cudaEventDestroy, (cudaEvent_t event)) \
    X(cudaEventRecord, (cudaEvent_t event, cudaStream_t stream)) \
    X(cudaEventQuery, (cudaEvent_t event)) \
    X(cudaEventSynchronize, (cudaEvent_t event)) \
    X(cudaEventElapsedTime, (float *ms, cudaEvent_t from, cudaEvent_t to)) \
    X(cudaGraphInstantiate, (cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)) \
    X(cudaGraphDestroy, (cudaGraph_t graph)) \
    X(cudaGraphExecUpdate, (cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)) \
    X(cudaGraphLaunch, (cudaGraphExec_t exec, cudaStream_t stream)) \
    X(cudaGraphExecDestroy, (cudaGraphExec_t exec)) \
    X(cudaLaunchKernelExC, (const cudaLaunchConfig_t *config, const void *kernel, void **args)) \
    X(cudaFuncGetAttributes, (cudaFuncAttributes *out, const void *kernel)) \
    X(cudaFuncSetAttribute, (const void *kernel, cudaFuncAttribute attribute, int value)) \
    X(cudaOccupancyMaxActiveBlocksPerMultiprocessor, \
        (int *blocks, const void *kernel, int threads, size_t shared))
/* clang-format on */
#define X(name, parameters) cudaError_t name parameters;
CUDA_STUB_CALLS(X)
#undef X
cudaError_t cudaGetLastError();
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

#endif
