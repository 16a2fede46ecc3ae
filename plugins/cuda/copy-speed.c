/*
 * The ceiling that kernels are held to: copies inside the device's memory, bytes read and
 * written. An experiment of get_proc ("x_copy_gbs"), for bench-infer.
 */
#include <string.h>

#include "plugins/cuda/cuda.h"

#define BYTES ((size_t)1 << 30) /* many times any cache */
#define BYTES_ON_CPU ((size_t)1 << 20)
#define COPIES 10

static enum simt_status timed(void *to, const void *from, size_t bytes, struct simt_stream *stream,
    struct simt_event *const *at, float *ms)
{
    enum simt_status s = simt_copy_async(to, from, bytes, SIMT_ON_DEVICE, stream);
    s = s ? s : simt_event_record(at[0], stream);
    for (int i = 0; i < COPIES && !s; i++)
        s = simt_copy_async(to, from, bytes, SIMT_ON_DEVICE, stream);
    s = s ? s : simt_event_record(at[1], stream);
    s = s ? s : simt_event_sync(at[1]);
    return s ? s : simt_event_elapsed(ms, at[0], at[1]);
}

double cuda_copy_gbs(void)
{
    const size_t bytes = strcmp(simt_flavour(), "cuda") == 0 ? BYTES : BYTES_ON_CPU;
    void *memory[2] = {NULL, NULL};
    struct simt_stream *stream = NULL;
    struct simt_event *at[2] = {NULL, NULL};
    float ms = 0;
    enum simt_status s = simt_malloc(&memory[0], bytes);
    s = s ? s : simt_malloc(&memory[1], bytes);
    s = s ? s : simt_stream_create(&stream, 0);
    s = s ? s : simt_event_create(&at[0], 1);
    s = s ? s : simt_event_create(&at[1], 1);
    s = s ? s : timed(memory[1], memory[0], bytes, stream, at, &ms);
    for (int i = 0; i < 2; i++) {
        if (at[i])
            simt_event_destroy(at[i]);
        simt_free(memory[i]);
    }
    if (stream)
        simt_stream_destroy(stream);
    return s || ms <= 0 ? 0 : 2.0 * COPIES * (double)bytes / ((double)ms * 1e6);
}
