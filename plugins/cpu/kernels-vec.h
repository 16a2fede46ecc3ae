/*
 * Norms, activations, rotation, softmax: in lanes, compiled once for each instruction
 * set. A tail shorter than 16 goes through a padded copy, so that an element's value
 * depends on neither its place nor the length.
 */
#ifndef ORCD_CPU_KERNELS_VEC_H
#define ORCD_CPU_KERNELS_VEC_H

/* The first n (0 < n <= 16) floats at p, the other lanes fill. */
static ALWAYS_INLINE vf vec_load(const float *p, uint32_t n, float fill)
{
    if (n >= 16)
        return vf_load(p);
    float b[16];
    for (uint32_t i = 0; i < 16; i++)
        b[i] = i < n ? p[i] : fill;
    return vf_load(b);
}

static ALWAYS_INLINE void vec_store(float *p, vf v, uint32_t n)
{
    if (n >= 16) {
        vf_store(p, v);
        return;
    }
    float b[16];
    vf_store(b, v);
    memcpy(p, b, n * sizeof(float));
}

#define VEC_MAGIC 0x1.8p23f
#define VEC_EXP_LOW -87.33f
#define VEC_EXP_HIGH 88.0f

/* e^x: 0 below VEC_EXP_LOW, held at VEC_EXP_HIGH above; exact for 0; NaN stays NaN. Within 2 units in the
 * last place: x = n ln 2 + r, Taylor of degree 7 for e^r, |r| <= 0.3466. */
static ALWAYS_INLINE vf vf_exp(vf x)
{
    const vf magic = vf_set1(VEC_MAGIC);
    const vf c = vf_min(vf_set1(VEC_EXP_HIGH), vf_max(vf_set1(VEC_EXP_LOW), x));
    const vf t = vf_fma(c, vf_set1(0x1.715476p+0f), magic);
    const vf n = vf_sub(t, magic);
    vf r = vf_fnma(n, vf_set1(0x1.62e400p-1f), c);
    r = vf_fnma(n, vf_set1(0x1.7f7d1cp-20f), r);
    vf p = vf_fma(vf_set1(1.0f / 5040.0f), r, vf_set1(1.0f / 720.0f));
    p = vf_fma(p, r, vf_set1(1.0f / 120.0f));
    p = vf_fma(p, r, vf_set1(1.0f / 24.0f));
    p = vf_fma(p, r, vf_set1(1.0f / 6.0f));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    const vi exponent = vi_add(vi_shl(vi_sub(vi_bits(t), vi_bits(magic)), 23), vi_bits(vf_set1(1.0f)));
    return vf_zero_below(vf_mul(p, vf_bits(exponent)), x, vf_set1(VEC_EXP_LOW));
}

/* x / (1 + e^(-a x)) */
static ALWAYS_INLINE vf vf_swish(vf x, float a)
{
    return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_mul(x, vf_set1(-a)))));
}

#define VEC_EACH(i, left) for (uint32_t i = 0, left = n; i < n; i += 16, left -= left < 16 ? left : 16)

static void rms_norm(const float *x, const float *weight, float *y, uint32_t n, float eps)
{
    vf s = vf_set1(0);
    VEC_EACH(i, left)
    {
        const vf v = vec_load(x + i, left, 0);
        s = vf_fma(v, v, s);
    }
    const vf scale = vf_set1(1.0f / sqrtf(vf_sum(s) / (float)n + eps));
    VEC_EACH(i, left)
    {
        const vf v = vf_mul(vec_load(x + i, left, 0), scale);
        vec_store(y + i, vf_mul(v, vec_load(weight + i, left, 0)), left);
    }
}

static void layer_norm(
    const float *x, const float *weight, const float *bias, float *y, uint32_t n, float eps)
{
    vf s = vf_set1(0);
    VEC_EACH(i, left)
    s = vf_add(s, vec_load(x + i, left, 0));
    const float mean1 = vf_sum(s) / (float)n;
    const vf mean = vf_set1(mean1);
    s = vf_set1(0);
    VEC_EACH(i, left)
    {
        const vf v = vf_sub(vec_load(x + i, left, mean1), mean);
        s = vf_fma(v, v, s);
    }
    const vf scale = vf_set1(1.0f / sqrtf(vf_sum(s) / (float)n + eps));
    VEC_EACH(i, left)
    {
        vf v = vf_mul(vf_sub(vec_load(x + i, left, 0), mean), scale);
        v = vf_mul(v, vec_load(weight + i, left, 0));
        if (bias)
            v = vf_add(v, vec_load(bias + i, left, 0));
        vec_store(y + i, v, left);
    }
}

static void vec_add(float *y, const float *x, uint32_t n)
{
    VEC_EACH(i, left)
    vec_store(y + i, vf_add(vec_load(y + i, left, 0), vec_load(x + i, left, 0)), left);
}

static void vec_axpy(float *y, float a, const float *x, uint32_t n)
{
    const vf k = vf_set1(a);
    VEC_EACH(i, left)
    vec_store(y + i, vf_fma(k, vec_load(x + i, left, 0), vec_load(y + i, left, 0)), left);
}

static void silu_mul(const float *gate, const float *up, float *y, uint32_t n)
{
    VEC_EACH(i, left)
    vec_store(y + i, vf_mul(vf_swish(vec_load(gate + i, left, 0), 1.0f), vec_load(up + i, left, 0)), left);
}

/* g = min(gate, 7), u = clamp(up, -7, 7): g sigmoid(1.702 g) (u + 1) */
static void swiglu_oai(const float *gate, const float *up, float *y, uint32_t n)
{
    const vf seven = vf_set1(7.0f);
    VEC_EACH(i, left)
    {
        const vf g = vf_min(seven, vec_load(gate + i, left, 0));
        const vf u = vf_max(vf_set1(-7.0f), vf_min(seven, vec_load(up + i, left, 0)));
        vec_store(y + i, vf_mul(vf_swish(g, 1.702f), vf_add(u, vf_set1(1.0f))), left);
    }
}

/* 0.5 x (1 + tanh(u)) = x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static ALWAYS_INLINE vf vf_gelu(vf v)
{
    const vf inner = vf_fma(vf_mul(vf_mul(v, v), vf_set1(0.044715f)), v, v);
    const vf e = vf_exp(vf_mul(inner, vf_set1(-1.5957691216057308f)));
    return vf_div(v, vf_add(vf_set1(1.0f), e));
}

static void gelu(const float *x, float *y, uint32_t n)
{
    VEC_EACH(i, left)
    vec_store(y + i, vf_gelu(vec_load(x + i, left, 0)), left);
}

static void gelu_mul(const float *gate, const float *up, float *y, uint32_t n)
{
    VEC_EACH(i, left)
    vec_store(y + i, vf_mul(vf_gelu(vec_load(gate + i, left, 0)), vec_load(up + i, left, 0)), left);
}

/* cap tanh(x / cap) = cap - 2 cap / (1 + e^(2 x / cap)) */
static ALWAYS_INLINE vf vf_softcap(vf x, float cap)
{
    const vf e = vf_exp(vf_mul(x, vf_set1(2.0f / cap)));
    return vf_sub(vf_set1(cap), vf_div(vf_set1(2.0f * cap), vf_add(vf_set1(1.0f), e)));
}

static void softcap(float *x, float cap, uint32_t n)
{
    VEC_EACH(i, left)
    vec_store(x + i, vf_softcap(vec_load(x + i, left, 0), cap), left);
}

static void softmax(float *x, uint32_t n)
{
    vf top = vf_set1(-__FLT_MAX__), s = vf_set1(0);
    VEC_EACH(i, left)
    top = vf_max(vec_load(x + i, left, -__FLT_MAX__), top);
    const vf max = vf_set1(vf_max_lane(top));
    VEC_EACH(i, left)
    {
        const vf e = vf_exp(vf_sub(vec_load(x + i, left, -INFINITY), max));
        s = vf_add(s, e);
        vec_store(x + i, e, left);
    }
    const vf sum = vf_set1(vf_sum(s));
    VEC_EACH(i, left)
    vec_store(x + i, vf_div(vec_load(x + i, left, 0), sum), left);
}

static void rope(float *x, const float *cos, const float *sin, uint32_t n_pairs, bool neox)
{
    if (!neox) {
        for (uint32_t i = 0; i < n_pairs; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cos[i] - b * sin[i];
            x[2 * i + 1] = a * sin[i] + b * cos[i];
        }
        return;
    }
    const uint32_t n = n_pairs;
    VEC_EACH(i, left)
    {
        const vf a = vec_load(x + i, left, 0), b = vec_load(x + n + i, left, 0);
        const vf c = vec_load(cos + i, left, 0), s = vec_load(sin + i, left, 0);
        vec_store(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)), left);
        vec_store(x + n + i, vf_add(vf_mul(a, s), vf_mul(b, c)), left);
    }
}

#endif
