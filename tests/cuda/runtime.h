// What the tests of rt.h on the CPU have in common.
#ifndef ORCD_TESTS_CUDA_RUNTIME_H
#define ORCD_TESTS_CUDA_RUNTIME_H

#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

SIMT_KERNEL(32) static inline void add(int *p, int n)
{
    int i = static_cast<int>(simt::thread_x());
    p[i] += n;
}

static inline simt_launch_config on(struct simt_stream *s, const char *name = "test", unsigned threads = 32)
{
    return {{1, 1, 1}, {threads, 1, 1}, 0, s, 0, name};
}

static inline void knobs(const char *words)
{
    need(simt_knobs(words), words);
}

struct usage : simt_usage {
    usage()
    {
        simt_usage_get(this);
    }
};

static inline bool nothing_held()
{
    usage u;
    return !u.device_blocks && !u.pinned_blocks && !u.streams && !u.events && !u.graphs && !u.graph_execs &&
           !u.blas && !u.device_bytes && !u.pinned_bytes;
}

#endif
