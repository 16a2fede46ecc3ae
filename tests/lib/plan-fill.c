/* Random blocks: every quant is random, scales are chosen so that weights have the wanted
 * deviation and no mean. One unit of a tensor depends on seed, tensor and place alone. */
#include <math.h>
#include <string.h>

#include "model/quant-types.h"
#include "tests/lib/model-plan.h"

#define UNIT_BYTES 65536

/* xoshiro256++ (Blackman, Vigna), seeded by splitmix64. */
struct rng {
    uint64_t s[4];
};

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static inline uint64_t next(struct rng *r)
{
    uint64_t *s = r->s, out = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

static void random_bytes(struct rng *r, unsigned char *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = next(r);
        memcpy(p, &v, 8);
    }
    uint64_t v = next(r);
    memcpy(p, &v, n);
}

/* 0.75 to 1.25 */
static float jitter(struct rng *r)
{
    return 0.75f + (float)(next(r) >> 40) * 0x1p-25f;
}

static void put_f16(unsigned char *p, float f)
{
    uint16_t h = quant_f32_to_f16(f);
    memcpy(p, &h, sizeof(h));
}

/* Floats with a random sign and fraction and four exponents: deviation 0.88 * 2^top. */
static int top_exponent(float std)
{
    return (int)lroundf(log2f(std / 0.88f));
}

static void fill_f16(unsigned char *p, size_t n, float std)
{
    int top = top_exponent(std) + 15;
    top = top < 4 ? 4 : top > 30 ? 30 : top;
    for (size_t i = 0; i < n; i += 2) {
        uint16_t v;
        memcpy(&v, p + i, 2);
        v = (uint16_t)((v & 0x83ff) | (top - (v >> 10 & 3)) << 10);
        memcpy(p + i, &v, 2);
    }
}

static void fill_bf16(unsigned char *p, size_t n, float std)
{
    int top = top_exponent(std) + 127;
    for (size_t i = 0; i < n; i += 2) {
        uint16_t v;
        memcpy(&v, p + i, 2);
        v = (uint16_t)((v & 0x807f) | (top - (v >> 7 & 3)) << 7);
        memcpy(p + i, &v, 2);
    }
}

static void fill_f32(unsigned char *p, size_t n, float std)
{
    uint32_t top = (uint32_t)(top_exponent(std) + 127);
    for (size_t i = 0; i < n; i += 4) {
        uint32_t v;
        memcpy(&v, p + i, 4);
        v = (v & 0x807fffff) | (top - (v >> 23 & 3)) << 23;
        memcpy(p + i, &v, 4);
    }
}

/* int8 quants as quantizers write them: never -128. */
static void no_minus_128(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = p[i] == 0x80 ? 0x81 : p[i];
}

/* The 12 scale bytes of Q4_K and Q5_K: eight random scales of 32 to 63, and minima equal
 * to them, so that dmin = d * (mean quant) takes the mean away. */
static void k_scales(struct rng *r, unsigned char *b)
{
    uint64_t v = next(r);
    for (int j = 0; j < 4; j++) {
        unsigned low = 32 | (v >> (10 * j) & 31), high = 32 | (v >> (10 * j + 5) & 31);
        b[j] = b[j + 4] = (unsigned char)(low | (high >> 4) << 6);
        b[j + 8] = (unsigned char)((high & 15) | (high & 15) << 4);
    }
}

/* Scales over random quants: p is one block of random bytes. */
static void shape_block(struct rng *r, uint32_t type, unsigned char *p, float std)
{
    float s = std * jitter(r);
    /* Quantizers give the largest element -8: d has either sign. It takes the mean away. */
    float either = next(r) & 1 ? s : -s;
    switch (type) {
    case ORCD_TYPE_Q4_0: /* deviation of 0..15: 4.61 */
        put_f16(p, either / 4.61f);
        break;
    case ORCD_TYPE_Q4_1:
        put_f16(p, s / 4.61f);
        put_f16(p + 2, s / 4.61f * -7.5f);
        break;
    case ORCD_TYPE_Q5_0: /* 0..31: 9.23 */
        put_f16(p, either / 9.23f);
        break;
    case ORCD_TYPE_Q5_1:
        put_f16(p, s / 9.23f);
        put_f16(p + 2, s / 9.23f * -15.5f);
        break;
    case ORCD_TYPE_Q8_0: /* -127..127: 73.6 */
        no_minus_128(p + 2, 32);
        put_f16(p, s / 73.6f);
        break;
    case ORCD_TYPE_IQ4_NL: /* the table: 71.7 */
        put_f16(p, either / 71.7f);
        break;
    case ORCD_TYPE_MXFP4: /* doubled table: 5.7 */
        p[0] = (unsigned char)(128 + (int)lroundf(log2f(s / 5.7f)));
        break;
    case ORCD_TYPE_Q2_K: /* 0..3: 1.12; scale nibbles of 8 to 15, minima equal to them */
        for (int i = 0; i < 16; i++)
            p[i] = (unsigned char)((p[i] & 7 & 15) | 8 | ((p[i] & 7) | 8) << 4);
        put_f16(p + 80, s / (1.12f * 11.7f));
        put_f16(p + 82, 1.5f * s / (1.12f * 11.7f));
        break;
    case ORCD_TYPE_Q3_K: /* -4..3: 2.35; scales -32..31: 18.5 */
        put_f16(p + 108, s / (2.35f * 18.5f));
        break;
    case ORCD_TYPE_Q4_K: /* scales: 48.4 */
        put_f16(p, s / (4.61f * 48.4f));
        put_f16(p + 2, 7.5f * s / (4.61f * 48.4f));
        k_scales(r, p + 4);
        break;
    case ORCD_TYPE_Q5_K:
        put_f16(p, s / (9.23f * 48.4f));
        put_f16(p + 2, 15.5f * s / (9.23f * 48.4f));
        k_scales(r, p + 4);
        break;
    case ORCD_TYPE_Q6_K: /* -32..31: 18.5; scales -127..127: 73.6 */
        no_minus_128(p + 192, 16);
        put_f16(p + 208, s / (18.5f * 73.6f));
        break;
    case ORCD_TYPE_IQ4_XS: /* scales -32..31 */
        put_f16(p, s / (71.7f * 18.5f));
        break;
    default:
        break;
    }
}

static void fill_weights(struct rng *r, const struct plan_tensor *t, unsigned char *p, size_t n)
{
    const struct quant_type *q = quant_type_find(t->type);
    random_bytes(r, p, n);
    if (t->type == ORCD_TYPE_F32)
        fill_f32(p, n, t->std);
    else if (t->type == ORCD_TYPE_F16)
        fill_f16(p, n, t->std);
    else if (t->type == ORCD_TYPE_BF16)
        fill_bf16(p, n, t->std);
    else
        for (size_t at = 0; at < n; at += q->block_bytes)
            shape_block(r, t->type, p + at, t->std);
}

/* Llama 3's frequency correction: none for short waves, factor for long ones. */
static float rope_freq(const struct model_spec *s, uint64_t i)
{
    const double low = 1, high = 4, orig = 8192;
    double wave = 2 * M_PI * pow((double)s->rope_base, 2.0 * (double)i / s->head_dim);
    if (wave < orig / high)
        return 1;
    if (wave > orig / low)
        return s->rope_freqs;
    double smooth = (orig / wave - low) / (high - low);
    return (float)(1 / ((1 - smooth) / (double)s->rope_freqs + smooth));
}

static void fill_vector(struct rng *r, const struct model_plan *p, const struct plan_tensor *t,
    uint64_t first, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n / sizeof(float); i++) {
        float u = (float)(next(r) >> 40) * 0x1p-24f, v; /* 0 to 1 */
        if (t->fill == PLAN_ROPE_FREQS)
            v = rope_freq(&p->spec, first + i);
        else
            v = (t->fill == PLAN_NORM ? 1.0f : 0.0f) + t->std * 3.46f * (u - 0.5f);
        memcpy(out + i * sizeof(v), &v, sizeof(v));
    }
}

size_t model_plan_unit(const struct model_plan *p, size_t i)
{
    size_t block = quant_type_find(p->tensors[i].type)->block_bytes;
    return UNIT_BYTES / block * block;
}

void model_plan_fill(const struct model_plan *p, size_t i, uint64_t seed, uint64_t at, void *out, size_t n)
{
    const struct plan_tensor *t = &p->tensors[i];
    size_t unit = model_plan_unit(p, i);
    unsigned char *to = out;
    while (n) {
        size_t some = n < unit ? n : unit;
        uint64_t x = seed ^ (uint64_t)i << 40 ^ at / unit;
        struct rng r;
        x = splitmix(&x);
        for (int k = 0; k < 4; k++)
            r.s[k] = splitmix(&x);
        if (t->fill == PLAN_WEIGHTS)
            fill_weights(&r, t, to, some);
        else
            fill_vector(&r, p, t, at / sizeof(float), to, some);
        to += some;
        at += some;
        n -= some;
    }
}
