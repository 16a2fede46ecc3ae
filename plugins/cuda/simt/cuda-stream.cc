/* Copies, streams, events, graphs and launches of the CUDA runtime. */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>

using namespace simt::detail;

struct simt_event {
    cudaEvent_t handle;
};
struct simt_graph {
    cudaGraph_t handle;
};
struct simt_graph_exec {
    cudaGraphExec_t handle;
};

namespace
{

cudaMemcpyKind direction(enum simt_copy kind)
{
    return kind == SIMT_TO_DEVICE ? cudaMemcpyHostToDevice
           : kind == SIMT_TO_HOST ? cudaMemcpyDeviceToHost
                                  : cudaMemcpyDeviceToDevice;
}

template <class T> T *handle_new()
{
    return static_cast<T *>(calloc(1, sizeof(T)));
}

enum simt_status no_memory(const char *call)
{
    return fail(SIMT_OUT_OF_HOST_MEMORY, "%s: no memory for a handle", call);
}

} // namespace

enum simt_status simt_copy_async(
    void *to, const void *from, size_t bytes, enum simt_copy kind, struct simt_stream *stream)
{
    if (bytes == 0)
        return SIMT_OK;
    return status_of(cudaMemcpyAsync(to, from, bytes, direction(kind), stream->handle), "cudaMemcpyAsync");
}

enum simt_status simt_memset_async(void *to, int byte, size_t bytes, struct simt_stream *stream)
{
    if (bytes == 0)
        return SIMT_OK;
    return status_of(cudaMemsetAsync(to, byte, bytes, stream->handle), "cudaMemsetAsync");
}

enum simt_status simt_copy(void *to, const void *from, size_t bytes, enum simt_copy kind)
{
    if (bytes == 0)
        return SIMT_OK;
    enum simt_status status =
        status_of(cudaMemcpyAsync(to, from, bytes, direction(kind), cudaStreamPerThread), "cudaMemcpyAsync");
    return status ? status : status_of(cudaStreamSynchronize(cudaStreamPerThread), "a copy");
}

enum simt_status simt_stream_create(struct simt_stream **out, int priority)
{
    struct simt_stream *s = handle_new<struct simt_stream>();
    if (!s)
        return no_memory("simt_stream_create");
    int least = 0, greatest = 0;
    enum simt_status status =
        status_of(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
    if (!status)
        status = status_of(
            cudaStreamCreateWithPriority(&s->handle, cudaStreamNonBlocking, priority ? greatest : least),
            "cudaStreamCreateWithPriority");
    if (!status && (status = status_of(cudaGetDevice(&s->device), "cudaGetDevice")))
        cudaStreamDestroy(s->handle);
    if (status) {
        free(s);
        return status;
    }
    s->pdl = true;
    count(live.streams, 1);
    *out = s;
    return SIMT_OK;
}

void simt_stream_destroy(struct simt_stream *stream)
{
    if (!stream)
        return;
    static_cast<void>(status_of(cudaStreamSynchronize(stream->handle), "cudaStreamSynchronize"));
    static_cast<void>(status_of(cudaStreamDestroy(stream->handle), "cudaStreamDestroy"));
    count(live.streams, -1);
    free(stream);
}

void simt_stream_pdl(struct simt_stream *stream, int allowed)
{
    stream->pdl = allowed != 0;
}

enum simt_status simt_stream_sync(struct simt_stream *stream)
{
    return status_of(cudaStreamSynchronize(stream->handle), "cudaStreamSynchronize");
}

enum simt_status simt_stream_query(struct simt_stream *stream)
{
    return status_of(cudaStreamQuery(stream->handle), "cudaStreamQuery");
}

enum simt_status simt_stream_wait(struct simt_stream *stream, struct simt_event *event)
{
    return status_of(cudaStreamWaitEvent(stream->handle, event->handle, 0), "cudaStreamWaitEvent");
}

enum simt_status simt_event_create(struct simt_event **out, int timing)
{
    struct simt_event *e = handle_new<struct simt_event>();
    if (!e)
        return no_memory("simt_event_create");
    enum simt_status status =
        status_of(cudaEventCreateWithFlags(&e->handle, timing ? cudaEventDefault : cudaEventDisableTiming),
            "cudaEventCreateWithFlags");
    if (status) {
        free(e);
        return status;
    }
    count(live.events, 1);
    *out = e;
    return SIMT_OK;
}

void simt_event_destroy(struct simt_event *event)
{
    if (!event)
        return;
    static_cast<void>(status_of(cudaEventDestroy(event->handle), "cudaEventDestroy"));
    count(live.events, -1);
    free(event);
}

enum simt_status simt_event_record(struct simt_event *event, struct simt_stream *stream)
{
    return status_of(cudaEventRecord(event->handle, stream->handle), "cudaEventRecord");
}

enum simt_status simt_event_query(struct simt_event *event)
{
    return status_of(cudaEventQuery(event->handle), "cudaEventQuery");
}

enum simt_status simt_event_sync(struct simt_event *event)
{
    return status_of(cudaEventSynchronize(event->handle), "cudaEventSynchronize");
}

enum simt_status simt_event_elapsed(float *ms, struct simt_event *from, struct simt_event *to)
{
    float value;
    enum simt_status status =
        status_of(cudaEventElapsedTime(&value, from->handle, to->handle), "cudaEventElapsedTime");
    if (!status)
        *ms = value;
    return status;
}

enum simt_status simt_capture_begin(struct simt_stream *stream)
{
    return status_of(
        cudaStreamBeginCapture(stream->handle, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

enum simt_status simt_capture_end(struct simt_stream *stream, struct simt_graph **out)
{
    struct simt_graph *g = handle_new<struct simt_graph>();
    cudaGraph_t handle = nullptr;
    enum simt_status status =
        status_of(cudaStreamEndCapture(stream->handle, &handle), "cudaStreamEndCapture");
    if (!status && !handle)
        status = fail(SIMT_INVALID, "cudaStreamEndCapture: the capture was spoilt");
    if (!status && !g) {
        cudaGraphDestroy(handle);
        status = no_memory("simt_capture_end");
    }
    if (status) {
        free(g);
        return status;
    }
    g->handle = handle;
    count(live.graphs, 1);
    *out = g;
    return SIMT_OK;
}

void simt_graph_destroy(struct simt_graph *graph)
{
    if (!graph)
        return;
    static_cast<void>(status_of(cudaGraphDestroy(graph->handle), "cudaGraphDestroy"));
    count(live.graphs, -1);
    free(graph);
}

enum simt_status simt_graph_instantiate(struct simt_graph_exec **out, struct simt_graph *graph)
{
    struct simt_graph_exec *x = handle_new<struct simt_graph_exec>();
    if (!x)
        return no_memory("simt_graph_instantiate");
    enum simt_status status =
        status_of(cudaGraphInstantiate(&x->handle, graph->handle, 0), "cudaGraphInstantiate");
    if (status) {
        free(x);
        return status;
    }
    count(live.graph_execs, 1);
    *out = x;
    return SIMT_OK;
}

enum simt_status simt_graph_update(struct simt_graph_exec *exec, struct simt_graph *graph, int *updated)
{
    cudaGraphExecUpdateResultInfo info;
    cudaError_t error = cudaGraphExecUpdate(exec->handle, graph->handle, &info);
    if (error == cudaErrorGraphExecUpdateFailure) {
        static_cast<void>(cudaGetLastError());
        *updated = 0;
        return SIMT_OK;
    }
    enum simt_status status = status_of(error, "cudaGraphExecUpdate");
    if (!status)
        *updated = 1;
    return status;
}

enum simt_status simt_graph_launch(struct simt_graph_exec *exec, struct simt_stream *stream)
{
    return status_of(cudaGraphLaunch(exec->handle, stream->handle), "cudaGraphLaunch");
}

void simt_graph_exec_destroy(struct simt_graph_exec *exec)
{
    if (!exec)
        return;
    static_cast<void>(status_of(cudaGraphExecDestroy(exec->handle), "cudaGraphExecDestroy"));
    count(live.graph_execs, -1);
    free(exec);
}

namespace simt
{
namespace detail
{

enum simt_status cuda_launch(const void *kernel, const simt_launch_config &config, void **args)
{
    const char *wrong = launch_refused(config);
    const char *name = config.name ? config.name : "a kernel";
    if (wrong)
        return fail(SIMT_LAUNCH_FAILED, "launch of %s: %s", name, wrong);
    cudaLaunchConfig_t c = {};
    c.gridDim = dim3{config.grid.x, config.grid.y, config.grid.z};
    c.blockDim = dim3{config.block.x, config.block.y, config.block.z};
    c.dynamicSmemBytes = config.shared_bytes;
    c.stream = config.stream->handle;
    cudaLaunchAttribute attribute = {};
    if (config.pdl && config.stream->pdl && waits_itself(kernel, config.stream->device)) {
        attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute.val.programmaticStreamSerializationAllowed = 1;
        c.attrs = &attribute;
        c.numAttrs = 1;
    }
    cudaError_t error = cudaLaunchKernelExC(&c, kernel, args);
    if (error == cudaSuccess)
        return SIMT_OK;
    char call[128];
    snprintf(call, sizeof call, "launch of %s", name);
    enum simt_status status = status_of(error, call);
    return status == SIMT_INVALID ? SIMT_LAUNCH_FAILED : status;
}

enum simt_status cuda_prepare(
    const void *kernel, unsigned threads, size_t max_dynamic_shared, simt_kernel_info *info)
{
    cudaFuncAttributes a;
    enum simt_status status = status_of(cudaFuncGetAttributes(&a, kernel), "cudaFuncGetAttributes");
    if (!status && max_dynamic_shared > 48 * 1024)
        status = status_of(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(max_dynamic_shared)),
            "cudaFuncSetAttribute");
    if (!status)
        note_kernel(kernel, a.ptxVersion);
    if (status || !info)
        return status;
    int blocks = 0;
    status = status_of(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
                           &blocks, kernel, static_cast<int>(threads), max_dynamic_shared),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    if (status)
        return status;
    info->registers = a.numRegs;
    info->max_threads = a.maxThreadsPerBlock;
    info->static_shared_bytes = a.sharedSizeBytes;
    info->local_bytes = a.localSizeBytes;
    info->blocks_per_multiprocessor = blocks;
    return SIMT_OK;
}

} // namespace detail
} // namespace simt
