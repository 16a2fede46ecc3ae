/* For the tests of products: inputs on the device, the orders of threads, begin and end. */
#ifndef ORCD_TESTS_CUDA_INPUTS_H
#define ORCD_TESTS_CUDA_INPUTS_H

#include "tests/cuda/weights.h"

static simt_stream *stream;
static bool on_host;

/* Inputs of products: random, both as blocks and as floats. */
struct inputs {
    uint32_t rows, n, ld, terms;
    std::vector<int8_t> q;
    std::vector<float> d, f;
    std::vector<int32_t> sums;
    device_array<int8_t> dev_q;
    device_array<float> dev_d, dev_f;
    device_array<int32_t> dev_sums;
    ck_act act;

    inputs(uint32_t n_rows, uint32_t n_cols, uint32_t n_terms, uint64_t seed)
        : rows(n_rows), n(n_cols), ld((n_cols + 31) / 32 * 32 + 32), terms(n_terms), q(n_rows * n_terms * ld),
          d(q.size() / 32), f(n_rows * ld), sums(q.size() / 32), dev_q(q.size()), dev_d(d.size()),
          dev_f(f.size()), dev_sums(sums.size())
    {
        random_numbers r = {seed + 77};
        for (uint32_t e = 0; e < rows * terms; e++)
            for (uint32_t i = 0; i < n; i++)
                q[e * ld + i] = static_cast<int8_t>(static_cast<int>(r.next() % 255) - 127);
        for (size_t b = 0; b < d.size(); b++) {
            d[b] = (random_float(r) + 1.1f) / (terms == 2 && b / (ld / 32) % 2 ? 10000.0f : 100.0f);
            uint32_t half[2] = {0, 0};
            for (uint32_t i = 0; i < 32; i++)
                half[i / 16] += static_cast<uint32_t>(static_cast<int32_t>(q[b * 32 + i]));
            sums[b] = static_cast<int32_t>((half[0] & 0xFFFF) | half[1] << 16);
        }
        for (uint32_t row = 0; row < rows; row++)
            for (uint32_t i = 0; i < n; i++)
                f[row * ld + i] = random_float(r);
        dev_q.put(q.data()), dev_d.put(d.data()), dev_f.put(f.data()), dev_sums.put(sums.data());
        act = ck_act{dev_q.p, dev_d.p, dev_sums.p, dev_f.p, ld, terms};
    }
    /* Of row r alone. */
    ck_act from(uint32_t r) const
    {
        ck_act a = act;
        a.q += static_cast<size_t>(r) * terms * ld, a.d += static_cast<size_t>(r) * terms * (ld / 32);
        a.sums += static_cast<size_t>(r) * terms * (ld / 32), a.f += static_cast<size_t>(r) * ld;
        return a;
    }
    double value(bool floats, uint32_t row, uint32_t i) const
    {
        if (floats)
            return f[row * ld + i];
        double v = 0;
        for (uint32_t t = 0; t < terms; t++) {
            const size_t e = row * terms + t;
            v += static_cast<double>(d[e * (ld / 32) + i / 32]) * q[e * ld + i];
        }
        return v;
    }
};

/* Pairs and the expert of each, with the lists of each expert's pairs. */
struct expert_pairs {
    device_array<int32_t> expert;
    device_array<uint32_t> order, first;

    expert_pairs(const std::vector<int32_t> &of_pair, uint32_t n_experts)
        : expert(of_pair.size()), order(of_pair.size()), first(n_experts + 1)
    {
        std::vector<uint32_t> listed, begins;
        for (uint32_t e = 0; e <= n_experts; e++) {
            begins.push_back(static_cast<uint32_t>(listed.size()));
            for (uint32_t p = 0; p < of_pair.size() && e < n_experts; p++)
                if (of_pair[p] == static_cast<int32_t>(e))
                    listed.push_back(p);
        }
        expert.put(of_pair.data()), order.put(listed.data()), first.put(begins.data());
    }
};

static inline std::vector<float> random_floats(size_t n, uint64_t seed)
{
    random_numbers r = {seed + 5};
    std::vector<float> out(n);
    for (float &f : out)
        f = random_float(r);
    return out;
}

static inline void finish(const char *what)
{
    need(simt_stream_sync(stream), what);
}

/* Another order of threads leaves the same bits. */
template <class F> static bool any_order(F run, const std::vector<float> &want)
{
    bool same = true;
    for (const char *words : {"order=reverse", "order=random,seed=3"}) {
        if (on_host)
            need(simt_knobs(words), "knobs");
        same = same && run() == want;
    }
    if (on_host)
        need(simt_knobs("order=forward"), "knobs");
    return same;
}

/* Whether there is a device; says so as TAP. */
static inline bool begin()
{
    if (simt_device_use(0)) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return false;
    }
    on_host = !strcmp(simt_flavour(), "cuda-simt");
    need(ck_touch_weights(), "ck_touch_weights");
    need(simt_stream_create(&stream, 0), "stream");
    return true;
}

static inline int end()
{
    simt_stream_destroy(stream);
    simt_usage u;
    simt_usage_get(&u);
    ok(u.device_bytes == 0 && u.misuses == 0, "nothing held, no misuse");
    return tap_end();
}

#endif
