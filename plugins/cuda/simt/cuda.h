/* Shared by the files of the CUDA implementation of rt.h. They are host code: any C++
 * compiler takes them, given CUDA's headers. They use no C++ library, so that the plugin
 * needs none. */
#ifndef ORCD_CUDA_SIMT_CUDA_H
#define ORCD_CUDA_SIMT_CUDA_H

#include <cuda_runtime_api.h>

#include "rt-common.h"

struct simt_stream {
    cudaStream_t handle;
    int device;
    bool pdl; /* dependent launches may start early */
};

namespace simt
{
namespace detail
{

/* SIMT_OK, or the status that `error` stands for, its text set and the runtime's own note of
 * the last error cleared. `memory` is what running out of memory means in this call. */
enum simt_status status_of(cudaError_t error, const char *call, enum simt_status memory = SIMT_OUT_OF_MEMORY);

/* Handles of each kind that are alive. */
struct live_handles {
    size_t streams, events, graphs, graph_execs, blas;
};
extern live_handles live;

/* cuda-pdl.cc: notes what code of a kernel runs on the thread's device, from its attributes. */
void note_kernel(const void *kernel, int ptx_version);
/* Whether the code of the kernel that runs on the device waits for its predecessor. False for one that was
 * not noted. */
bool waits_itself(const void *kernel, int device);

inline void count(size_t &what, long by)
{
    __atomic_fetch_add(&what, static_cast<size_t>(by), __ATOMIC_RELAXED);
}

} // namespace detail
} // namespace simt

#endif
