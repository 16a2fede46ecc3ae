/* The weights of sampling are those of core/sample, bit for bit. */
#include <math.h>
#include <vector>

#include "plugins/cuda/s-sample.cuh"
#include "tests/cuda/tap.h"

extern "C" double softmax_weights(
    const float *x, size_t n, float max, double scale, float *w, double *block_sum);

namespace
{

SIMT_KERNEL(128) void weigh_all(const float *x, unsigned n, float max, double scale, float *w)
{
    const unsigned i = simt::block_x() * 128 + simt::thread_x();
    if (i < n)
        w[i] = weight_of(x[i], max, scale);
}

} // namespace

int main()
{
    need(simt_device_use(0), "simt_device_use");
    struct simt_stream *stream;
    need(simt_stream_create(&stream, 0), "simt_stream_create");
    const unsigned n = 20000;
    const double scales[] = {1, 1 / 0.7, 0.5, 1e30};
    for (unsigned s = 0; s < 4; s++) {
        const float max = 3.25f * static_cast<float>(s);
        std::vector<float> x(n), want(n), got(n);
        for (unsigned i = 0; i < n; i++)
            x[i] = max - static_cast<float>(i) * static_cast<float>(i) * 2.3e-7f;
        x[n - 1] = -INFINITY;
        x[n - 2] = NAN;
        softmax_weights(x.data(), n, max, scales[s], want.data(), nullptr);
        void *on_x, *on_w;
        need(simt_malloc(&on_x, n * sizeof(float)), "simt_malloc");
        need(simt_malloc(&on_w, n * sizeof(float)), "simt_malloc");
        need(simt_copy(on_x, x.data(), n * sizeof(float), SIMT_TO_DEVICE), "simt_copy");
        simt_launch_config c = {};
        c.grid = {(n + 127) / 128, 1, 1};
        c.block = {128, 1, 1};
        c.stream = stream;
        need(simt::launch(c, weigh_all, static_cast<const float *>(on_x), n, max, scales[s],
                 static_cast<float *>(on_w)),
            "launch");
        need(simt_stream_sync(stream), "simt_stream_sync");
        need(simt_copy(got.data(), on_w, n * sizeof(float), SIMT_TO_HOST), "simt_copy");
        simt_free(on_x);
        simt_free(on_w);
        unsigned differ = 0;
        for (unsigned i = 0; i < n; i++)
            differ += memcmp(&got[i], &want[i], sizeof(float)) != 0;
        ok(differ == 0, "weights at scale %g: %u of %u differ", scales[s], differ, n);
    }
    simt_stream_destroy(stream);
    return tap_end();
}
