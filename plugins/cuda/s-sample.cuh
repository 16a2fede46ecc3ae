/*
 * What the kernels of sampling share. A draw is four launches: s-begin.cu cleans the logits and
 * takes the largest of each 64; s-settle.cu applies penalties, finds the largest and draws
 * greedily; s-begin.cu sums weights of each 64 where somebody needs all of them; s-draw.cu does
 * the rest. They repeat core/sample operation by operation: its blocks, its polynomial, its orders
 * of addition in double.
 */
#ifndef ORCD_CUDA_S_SAMPLE_CUH
#define ORCD_CUDA_S_SAMPLE_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace
{

constexpr uint32_t BLOCK = 64;            /* logits; SOFTMAX_BLOCK of core/sample */
constexpr uint32_t MAX_WINDOW = 1u << 20; /* of the repetition penalty */

enum sample_todo : uint32_t { TODO_NOTHING, TODO_DRAW, TODO_SUM_AND_DRAW };

/* Between the launches, of one row. */
struct sample_state {
    float max;
    uint32_t todo;
    double scale;
};

/* A row's part of the scratch. */
struct sample_row {
    sample_state *state;
    double *block_sum;
    float *block_max;
    float *work;    /* [n] logits, cleaned and penalized */
    uint32_t *ids;  /* [n] the kept set, ascending; first: counts of tokens */
    uint32_t *keys; /* [n] ascending key = descending logit */
    float *weights; /* [n]; first: touched blocks */
};

SIMT_BOTH uint64_t n_blocks(uint64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

SIMT_BOTH uint64_t row_bytes(uint64_t n)
{
    const uint64_t padded = n_blocks(n) * BLOCK;
    return (sizeof(sample_state) + n_blocks(n) * 12 + padded * 16 + 255) / 256 * 256;
}

SIMT_DEVICE sample_row row_of(void *scratch, uint32_t row, uint32_t n)
{
    unsigned char *p = static_cast<unsigned char *>(scratch) + row * row_bytes(n);
    const uint64_t padded = n_blocks(n) * BLOCK;
    sample_row r;
    r.state = reinterpret_cast<sample_state *>(p);
    r.work = reinterpret_cast<float *>(p + sizeof(sample_state));
    r.ids = reinterpret_cast<uint32_t *>(r.work + padded);
    r.keys = r.ids + padded;
    r.weights = reinterpret_cast<float *>(r.keys + padded);
    r.block_sum = reinterpret_cast<double *>(r.weights + padded);
    r.block_max = reinterpret_cast<float *>(r.block_sum + n_blocks(n));
    return r;
}

inline simt_launch_config sample_config(
    struct simt_stream *s, const char *name, simt_dim grid, unsigned threads)
{
    simt_launch_config c = {};
    c.grid = grid;
    c.block = {threads, 1, 1};
    c.stream = s;
    c.pdl = 1;
    c.name = name;
    return c;
}

SIMT_DEVICE float cleaned(float x)
{
    return simt::is_nan(x) ? -simt::infinity() : x > 3.402823466e38f ? 3.402823466e38f : x;
}

SIMT_DEVICE bool has_penalties(const ck_sampler &s)
{
    return (s.repetition_penalty != 1 && s.repeat_last_n) || s.frequency_penalty != 0 ||
           s.presence_penalty != 0;
}

SIMT_DEVICE bool is_greedy(const ck_sampler &s)
{
    return s.temperature == 0 || s.top_k == 1;
}

/* Ascending key = descending x; not of NaN. */
SIMT_DEVICE uint32_t descending_key(float x)
{
    const uint32_t u = simt::float_as_uint(x + 0.0f);
    return ~(u & 0x80000000u ? ~u : u | 0x80000000u);
}

/* exp((x - max) * scale), the polynomial of core/sample. */
SIMT_DEVICE float weight_of(float x, float max, double scale)
{
    const float asked = static_cast<float>((static_cast<double>(x) - static_cast<double>(max)) * scale);
    const bool keep = asked >= -87.0f;
    const float z = keep ? asked : 0.0f, magic = 12582912.0f;
    float k = z * 1.44269504088896341f + magic;
    const int ki = simt::float_as_int(k) - simt::float_as_int(magic);
    k = k - magic;
    float r = z - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return keep ? p * simt::int_as_float((ki + 127) << 23) : 0.0f;
}

} // namespace

/* The four launches but the last, in their order: s-begin.cu, s-settle.cu, s-begin.cu. */
enum simt_status s_clean(struct simt_stream *s, const ck_sample_args &a);
enum simt_status s_settle(struct simt_stream *s, const ck_sample_args &a);
enum simt_status s_sums(struct simt_stream *s, const ck_sample_args &a);
enum simt_status s_touch_settle();
enum simt_status s_touch_begin();

#endif
