// What the tests of the layer (layer*.cu) have in common.
#ifndef ORCD_TESTS_CUDA_LAYER_H
#define ORCD_TESTS_CUDA_LAYER_H

#include <math.h>
#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

static struct simt_stream *stream;

// Blocks and threads in one dimension; waits for the end.
template <class... P, class... A>
enum simt_status run(unsigned blocks, unsigned threads, size_t shared, void (*kernel)(P...), A... args)
{
    simt_launch_config c = {{blocks, 1, 1}, {threads, 1, 1}, shared, stream, 0, "test"};
    enum simt_status status = simt::kernel_prepare(kernel, threads, shared);
    if (!status)
        status = simt::launch(c, kernel, args...);
    return status ? status : simt_stream_sync(stream);
}

// What main() returns.
static inline int run_tests(std::initializer_list<void (*)()> tests)
{
    int n;
    enum simt_status status = simt_device_count(&n);
    if (status == SIMT_NO_DRIVER || status == SIMT_NO_DEVICE) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    need(status, "devices");
    need(simt_device_use(0), "device");
    need(simt_stream_create(&stream, 0), "stream");
    for (void (*test)() : tests)
        test();
    simt_stream_destroy(stream);
    struct simt_usage u;
    simt_usage_get(&u);
    ok(u.device_blocks == 0 && u.streams == 0 && u.misuses == 0, "nothing is left, nothing was misused");
    return tap_end();
}

#endif
