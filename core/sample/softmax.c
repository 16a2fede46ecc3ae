#include "sample/softmax.h"

#include <math.h>
#include <string.h>

/* Four lanes, which every 64-bit machine has. A wider machine could use more, but then the order of
 * additions, and with it the last bit of a sum, would depend on the machine. */
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef double v2d __attribute__((vector_size(16)));
typedef float v2f __attribute__((vector_size(8)));

static inline v4f load(const float *p)
{
    v4f v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline v4f select4(v4i mask, v4f a, v4f b)
{
    return (v4f)(((v4i)a & mask) | ((v4i)b & ~mask));
}

static inline v4f splat(float x)
{
    return (v4f){x, x, x, x};
}

float softmax_max(const float *x, size_t n, float *block_max)
{
    float all = -INFINITY;
    for (size_t b = 0; b * SOFTMAX_BLOCK < n; b++) {
        const float *p = x + b * SOFTMAX_BLOCK;
        size_t left = n - b * SOFTMAX_BLOCK;
        float m = -INFINITY;
        if (left >= SOFTMAX_BLOCK) {
            v4f m0 = splat(-INFINITY), m1 = m0;
            for (size_t i = 0; i < SOFTMAX_BLOCK; i += 8) {
                /* A NaN compares false, so it is never selected. */
                v4f a = load(p + i), c = load(p + i + 4);
                m0 = select4(a > m0, a, m0);
                m1 = select4(c > m1, c, m1);
            }
            m0 = select4(m1 > m0, m1, m0);
            for (int i = 0; i < 4; i++)
                m = m0[i] > m ? m0[i] : m;
        } else {
            for (size_t i = 0; i < left; i++)
                m = p[i] > m ? p[i] : m;
        }
        block_max[b] = m;
        all = m > all ? m : all;
    }
    return all;
}

/* exp(z) for z <= 0: z = k ln 2 + r, |r| <= ln 2 / 2, a polynomial for exp(r) (Cephes
 * expf: S. Moshier, Methods and Programs for Mathematical Functions). Below -87 the
 * answer is 0, so that no denormal comes out; a NaN gives 0. */
static inline v4f exp4(v4f z)
{
    v4i keep = z >= splat(-87.0f);
    z = (v4f)((v4i)z & keep);
    const v4f magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    v4f k = z * splat(1.44269504088896341f) + magic;
    v4i ki = (v4i)k - (v4i)magic;
    k -= magic;
    v4f r = z - k * splat(0.693359375f);
    r = r - k * splat(-2.12194440e-4f);
    v4f p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * (r * r) + r + splat(1.0f);
    v4i two_to_k = (ki + 127) << 23;
    return (v4f)((v4i)(p * (v4f)two_to_k) & keep);
}

static inline v2d widen(const float *p)
{
    v2f v;
    memcpy(&v, p, sizeof(v));
    return __builtin_convertvector(v, v2d);
}

/* (x - max) * scale for four values, in double: a temperature near 0 or a huge logit
 * overflows a float. */
static inline v4f scaled4(const float *x, v2d max, v2d scale)
{
    v2f lo = __builtin_convertvector((widen(x) - max) * scale, v2f);
    v2f hi = __builtin_convertvector((widen(x + 2) - max) * scale, v2f);
    return (v4f){lo[0], lo[1], hi[0], hi[1]};
}

double softmax_weights(const float *x, size_t n, float max, double scale, float *w, double *block_sum)
{
    const v2d maxes = {max, max}, scales = {scale, scale};
    double all = 0;
    for (size_t b = 0; b * SOFTMAX_BLOCK < n; b++) {
        size_t from = b * SOFTMAX_BLOCK;
        size_t left = n - from < SOFTMAX_BLOCK ? n - from : SOFTMAX_BLOCK;
        v2d s0 = {0, 0}, s1 = {0, 0};
        for (size_t i = 0; i < left; i += 4) {
            const float *p = x + from + i;
            float tail[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
            if (left - i < 4) {
                memcpy(tail, p, sizeof(float) * (left - i));
                p = tail;
            }
            v4f e = exp4(scaled4(p, maxes, scales));
            if (w)
                memcpy(w + from + i, &e, sizeof(float) * (left - i < 4 ? left - i : 4));
            s0 += __builtin_convertvector((v2f){e[0], e[1]}, v2d);
            s1 += __builtin_convertvector((v2f){e[2], e[3]}, v2d);
        }
        s0 += s1;
        double sum = s0[0] + s0[1];
        if (block_sum)
            block_sum[b] = sum;
        all += sum;
    }
    return all;
}
