// plugins/cuda/simt/cuda-*.cc over a CUDA runtime that is none: which launches may start before their
// predecessor has ended, and what becomes of the runtime's errors. Neither CUDA nor a device is needed.
#include <string.h>

#include "plugins/cuda/simt/cuda.h"
#include "tests/cuda/tap.h"

namespace
{

// A device of 9.0 and its driver, as the tests have them.
struct runtime {
    int device;
    int ptx_version;           // of the code that the driver found for kernels
    unsigned attributes;       // of the last launch
    cudaError_t copies, waits; // what copies and waits for the device answer
    unsigned n_waits;
} fake;

// Calls of which no test asks more than that they work.
template <class... P> cudaError_t nothing(P...)
{
    return cudaSuccess;
}

} // namespace

#define WORKS(name, parameters, ...)                                                                         \
    cudaError_t name parameters                                                                              \
    {                                                                                                        \
        return nothing(__VA_ARGS__);                                                                         \
    }
WORKS(cudaDeviceGetPCIBusId, (char *a, int b, int c), a, b, c)
WORKS(cudaFree, (void *a), a)
WORKS(cudaFreeHost, (void *a), a)
WORKS(cudaPointerGetAttributes, (cudaPointerAttributes * a, const void *b), a, b)
WORKS(cudaMemsetAsync, (void *a, int b, size_t c, cudaStream_t d), a, b, c, d)
WORKS(cudaStreamDestroy, (cudaStream_t a), a)
WORKS(cudaStreamSynchronize, (cudaStream_t a), a)
WORKS(cudaStreamQuery, (cudaStream_t a), a)
WORKS(cudaStreamWaitEvent, (cudaStream_t a, cudaEvent_t b, unsigned c), a, b, c)
WORKS(cudaStreamBeginCapture, (cudaStream_t a, cudaStreamCaptureMode b), a, b)
WORKS(cudaStreamEndCapture, (cudaStream_t a, cudaGraph_t *b), a, b)
WORKS(cudaEventCreateWithFlags, (cudaEvent_t * a, unsigned b), a, b)
WORKS(cudaEventDestroy, (cudaEvent_t a), a)
WORKS(cudaEventRecord, (cudaEvent_t a, cudaStream_t b), a, b)
WORKS(cudaEventQuery, (cudaEvent_t a), a)
WORKS(cudaEventSynchronize, (cudaEvent_t a), a)
WORKS(cudaEventElapsedTime, (float *a, cudaEvent_t b, cudaEvent_t c), a, b, c)
WORKS(cudaGraphInstantiate, (cudaGraphExec_t * a, cudaGraph_t b, unsigned long long c), a, b, c)
WORKS(cudaGraphDestroy, (cudaGraph_t a), a)
WORKS(cudaGraphExecUpdate, (cudaGraphExec_t a, cudaGraph_t b, cudaGraphExecUpdateResultInfo *c), a, b, c)
WORKS(cudaGraphLaunch, (cudaGraphExec_t a, cudaStream_t b), a, b)
WORKS(cudaGraphExecDestroy, (cudaGraphExec_t a), a)
WORKS(cudaFuncSetAttribute, (const void *a, cudaFuncAttribute b, int c), a, b, c)
WORKS(cudaDriverGetVersion, (int *a), *a = 13000)
WORKS(cudaRuntimeGetVersion, (int *a), *a = 13000)
WORKS(cudaGetDeviceCount, (int *a), *a = 2)
WORKS(cudaGetDevice, (int *a), *a = fake.device)
WORKS(cudaSetDevice, (int a), fake.device = a)
WORKS(cudaMemGetInfo, (size_t * a, size_t *b), *a = 1, *b = 2)
WORKS(cudaMalloc, (void **a, size_t b), *a = &fake, b)
WORKS(cudaHostAlloc, (void **a, size_t b, unsigned c), *a = &fake, b, c)
WORKS(cudaDeviceGetStreamPriorityRange, (int *a, int *b), *a = 0, *b = -1)
WORKS(
    cudaOccupancyMaxActiveBlocksPerMultiprocessor, (int *a, const void *b, int c, size_t d), *a = 1, b, c, d)
WORKS(cudaStreamCreateWithPriority, (cudaStream_t * a, unsigned b, int c), *a = cudaStreamPerThread, b, c)

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    memset(p, 0, sizeof *p);
    p->major = 9;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *)
{
    memset(out, 0, sizeof *out);
    out->binaryVersion = 90; // also of what the driver made of older PTX
    out->ptxVersion = fake.ptx_version;
    return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *, void **)
{
    fake.attributes = config->numAttrs;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *, const void *, size_t, cudaMemcpyKind, cudaStream_t)
{
    return fake.copies;
}

cudaError_t cudaDeviceSynchronize()
{
    fake.n_waits++;
    return fake.waits;
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t)
{
    return "name";
}

const char *cudaGetErrorString(cudaError_t)
{
    return "text";
}

namespace
{

// --- dependent launches -----------------------------------------------------------------------------------

char kernels[3000]; // addresses of so many

bool early(struct simt_stream *s, const void *kernel, int pdl = 1)
{
    simt_launch_config c = {};
    c.grid = c.block = {1, 1, 1};
    c.stream = s;
    c.pdl = pdl;
    fake.attributes = 99;
    need(simt::detail::cuda_launch(kernel, c, nullptr), "launch");
    return fake.attributes == 1;
}

void prepare(const void *kernel, int ptx_version)
{
    fake.ptx_version = ptx_version;
    need(simt::detail::cuda_prepare(kernel, 32, 0, nullptr), "prepare");
}

void test_early()
{
    struct simt_stream *s = nullptr, *other = nullptr;
    need(simt_device_use(0), "use");
    need(simt_stream_create(&s, 1), "stream");
    prepare(kernels, 90);
    prepare(kernels + 1, 80);
    prepare(kernels + 2, 120);
    ok(early(s, kernels) && early(s, kernels + 2),
        "kernels that were compiled with the wait may start early");
    ok(!early(s, kernels + 1), "PTX of 8.0 on a device of 9.0 has no wait, and does not");
    ok(!early(s, kernels + 3), "nor does a kernel that was not prepared");
    ok(!early(s, kernels, 0), "nor one that does not ask for it");
    simt_stream_pdl(s, 0);
    ok(!early(s, kernels), "nor any, on a stream that does not allow it");
    simt_stream_pdl(s, 1);
    ok(early(s, kernels), "which can be allowed again");

    need(simt_device_use(1), "use");
    need(simt_stream_create(&other, 1), "stream");
    ok(!early(other, kernels), "what is known of one device says nothing of another");
    prepare(kernels, 80);
    prepare(kernels + 1, 90);
    ok(!early(other, kernels) && early(other, kernels + 1) && early(s, kernels) && !early(s, kernels + 1),
        "of which another kind of code may run");
    simt_stream_destroy(other);
    need(simt_device_use(0), "use");

    int right = 0;
    for (int i = 0; i < 3000; i++)
        prepare(kernels + i, i % 3 ? 75 : 100);
    for (int i = 0; i < 3000; i++)
        right += early(s, kernels + i) == (i % 3 == 0);
    ok(right == 3000, "3000 kernels: %d as they are compiled", right);
    simt_stream_destroy(s);
}

// --- errors -----------------------------------------------------------------------------------------------

enum simt_status copy_with(cudaError_t copies, cudaError_t waits)
{
    char byte = 0;
    fake.copies = copies;
    fake.waits = waits;
    fake.n_waits = 0;
    simt_stream s = {};
    return simt_copy_async(&byte, &byte, 1, SIMT_TO_DEVICE, &s);
}

void test_fatal()
{
    const cudaError_t fatal[] = {cudaErrorContained, cudaErrorIllegalAddress, cudaErrorLaunchFailure,
        cudaErrorECCUncorrectable, cudaErrorTensorMemoryLeak, cudaErrorMpsClientTerminated};
    for (cudaError_t error : fatal)
        ok(copy_with(error, cudaSuccess) == SIMT_DEVICE_LOST && fake.n_waits == 0,
            "error %d: the device is lost", static_cast<int>(error));
}

void test_unknown()
{
    ok(copy_with(cudaErrorUnknown, cudaSuccess) == SIMT_UNKNOWN && fake.n_waits == 1,
        "an unknown error of a device that still answers is unknown");
    ok(copy_with(cudaErrorUnknown, cudaErrorUnknown) == SIMT_DEVICE_LOST && fake.n_waits == 1,
        "it is lost when it fails the next wait too");
    ok(strstr(simt_error_text(), "999"), "which is told with the error: %s", simt_error_text());
    ok(copy_with(cudaErrorOperatingSystem, cudaErrorIllegalAddress) == SIMT_DEVICE_LOST,
        "whatever the wait answers");
    ok(copy_with(static_cast<cudaError_t>(777), static_cast<cudaError_t>(777)) == SIMT_DEVICE_LOST,
        "also with errors that are newer than this");
    ok(copy_with(cudaErrorUnknown, cudaErrorStreamCaptureUnsupported) == SIMT_UNKNOWN,
        "that a capture forbids the wait says nothing of the device");
    ok(copy_with(cudaErrorMemoryAllocation, cudaErrorUnknown) == SIMT_OUT_OF_MEMORY && fake.n_waits == 0,
        "known errors need no wait");
    ok(copy_with(cudaErrorNotReady, cudaErrorUnknown) == SIMT_NOT_READY && fake.n_waits == 0,
        "nor does none");
}

} // namespace

int main()
{
    test_early();
    test_fatal();
    test_unknown();
    return tap_end();
}
