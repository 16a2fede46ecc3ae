/*
 * The cpu plugin's vector helpers and its attention: against double precision, and to the
 * bit between instruction sets, batches and calls.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/quant-types.h"
#include "tests/lib/kernel-sets.h"

static uint64_t seed = 7;

static float rnd_float(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(uint32_t)(seed >> 33) / (float)(1u << 30) - 1.0f;
}

static void fill(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rnd_float() * scale;
}

static void assert_near(const float *got, const double *want, size_t n, double relative, double absolute)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= relative * fabs(want[i]) + absolute))
            fail_msg("element %zu: %.9g, not %.9g", i, (double)got[i], want[i]);
}

static void assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof(float)) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("element %zu: %a, not %a", i, (double)a[i], (double)b[i]);
}

#define N_MAX 200

/* All one-vector functions, one number each. */
enum {
    F_RMS,
    F_LAYER,
    F_LAYER_PLAIN,
    F_ADD,
    F_AXPY,
    F_SILU,
    F_OAI,
    F_GELU,
    F_GELU_MUL,
    F_SOFTCAP,
    F_SOFTMAX,
    F_NEOX,
    F_ADJACENT,
    F_COUNT
};

static void apply(
    const struct cpu_kernels *k, int f, uint32_t n, const float *a, const float *b, const float *c, float *y)
{
    memcpy(y, a, n * sizeof(float));
    switch (f) {
    case F_RMS:
        k->rms_norm(a, b, y, n, 1e-6f);
        break;
    case F_LAYER:
        k->layer_norm(a, b, c, y, n, 1e-5f);
        break;
    case F_LAYER_PLAIN:
        k->layer_norm(y, b, NULL, y, n, 1e-5f);
        break;
    case F_ADD:
        k->add(y, b, n);
        break;
    case F_AXPY:
        k->axpy(y, 0.7f, b, n);
        break;
    case F_SILU:
        k->silu_mul(a, b, y, n);
        break;
    case F_OAI:
        k->swiglu_oai(a, b, y, n);
        break;
    case F_GELU:
        k->gelu(a, y, n);
        break;
    case F_GELU_MUL:
        k->gelu_mul(a, b, y, n);
        break;
    case F_SOFTCAP:
        k->softcap(y, 5.0f, n);
        break;
    case F_SOFTMAX:
        k->softmax(y, n);
        break;
    case F_NEOX:
    case F_ADJACENT:
        k->rope(y, b, c, n / 2, f == F_NEOX);
        break;
    default:
        fail();
    }
}

static void expect(int f, uint32_t n, const float *fa, const float *fb, const float *fc, double *y)
{
    double a[N_MAX], b[N_MAX], c[N_MAX], mean = 0, square = 0, top = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        a[i] = (double)fa[i];
        b[i] = (double)fb[i];
        c[i] = (double)fc[i];
        mean += a[i] / n;
        square += a[i] * a[i] / n;
        top = fmax(top, a[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        sum += exp(a[i] - top);
    const double variance = square - mean * mean;
    for (uint32_t i = 0; i < n; i++) {
        const double g = fmin(a[i], 7), u = fmax(-7, fmin(7, b[i]));
        const double v[] = {
            [F_RMS] = a[i] / sqrt(square + 1e-6) * b[i],
            [F_LAYER] = (a[i] - mean) / sqrt(variance + 1e-5) * b[i] + c[i],
            [F_LAYER_PLAIN] = (a[i] - mean) / sqrt(variance + 1e-5) * b[i],
            [F_ADD] = a[i] + b[i],
            [F_AXPY] = a[i] + 0.7 * b[i],
            [F_SILU] = a[i] / (1 + exp(-a[i])) * b[i],
            [F_OAI] = g / (1 + exp(-1.702 * g)) * (u + 1),
            [F_GELU] = 0.5 * a[i] * (1 + tanh(sqrt(2 / M_PI) * (a[i] + 0.044715 * a[i] * a[i] * a[i]))),
            [F_GELU_MUL] =
                0.5 * a[i] * (1 + tanh(sqrt(2 / M_PI) * (a[i] + 0.044715 * a[i] * a[i] * a[i]))) * b[i],
            [F_SOFTCAP] = 5 * tanh(a[i] / 5),
            [F_SOFTMAX] = exp(a[i] - top) / sum,
        };
        y[i] = f < F_NEOX ? v[f] : a[i];
    }
    for (uint32_t i = 0; i < n / 2 && f >= F_NEOX; i++) {
        const uint32_t p = f == F_NEOX ? i : 2 * i, q = f == F_NEOX ? n / 2 + i : 2 * i + 1;
        y[p] = a[p] * b[i] - a[q] * c[i];
        y[q] = a[p] * c[i] + a[q] * b[i];
    }
}

static void test_vectors(void **state)
{
    (void)state;
    float a[N_MAX], b[N_MAX], c[N_MAX], y[N_MAX + 1], first[N_MAX];
    double want[N_MAX];
    for (int f = 0; f < F_COUNT; f++) {
        for (uint32_t n = 1; n <= N_MAX; n += 1 + n / 5) {
            fill(a, n, n % 3 ? 3.0f : 30.0f);
            fill(b, n, 2.0f);
            fill(c, n, 1.0f);
            expect(f, n, a, b, c, want);
            const struct cpu_kernels *k;
            for (size_t s = 0; (k = set_at(s)); s++) {
                y[n] = 4711.0f;
                apply(k, f, n, a, b, c, y);
                assert_true(y[n] == 4711.0f);
                assert_near(y, want, n, 2e-5, 1e-5);
                if (s == 0)
                    memcpy(first, y, n * sizeof(float));
                assert_same_bits(y, first, n);
            }
        }
    }
}

/* Numbers from the ends of the range and beyond. */
static void test_vectors_extreme(void **state)
{
    (void)state;
    static const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3.4e38f, -3.4e38f, 1e-40f, -1e-40f,
        88.0f, -88.0f, 89.0f, -104.0f, 87.3f, -87.33f, -87.34f};
    float y[16], first[16], b[16];
    for (int f = 0; f < F_COUNT; f++) {
        for (uint32_t shift = 0; shift < 16; shift++) {
            for (uint32_t i = 0; i < 16; i++)
                b[i] = odd[(i + shift) % 16];
            const struct cpu_kernels *k;
            for (size_t s = 0; (k = set_at(s)); s++) {
                apply(k, f, 16, odd, b, b, y);
                if (s == 0)
                    memcpy(first, y, sizeof(y));
                assert_same_bits(y, first, 16);
            }
        }
    }
    const struct cpu_kernels *k = set_at(0);
    float x[3] = {-1000.0f, 5.0f, 5.0f};
    k->softmax(x, 3);
    assert_true(x[0] == 0.0f && x[1] == 0.5f && x[2] == 0.5f);
    float g[3] = {-1000.0f, 1000.0f, 0.0f}, one[3] = {1, 1, 1};
    k->silu_mul(g, one, g, 3);
    assert_true(fabsf(g[0]) < 1e-30f && g[1] == 1000.0f && g[2] == 0.0f);
}

/* --- attention */

#define POSITIONS 130u
#define TILES ((POSITIONS + CPU_KV_TILE - 1) / CPU_KV_TILE)

struct cache {
    uint32_t dk, dv;
    float *k, *v; /* what went in, rounded to FP16 */
    uint16_t *tiles[2][TILES];
    struct cpu_attn attn;
};

static void *new_buffer(size_t bytes, int fill_byte)
{
    void *p = aligned_alloc(CPU_ALIGN, (bytes + CPU_ALIGN) / CPU_ALIGN * CPU_ALIGN);
    assert_non_null(p);
    memset(p, fill_byte, bytes);
    return p;
}

static void cache_init(
    struct cache *c, const struct cpu_kernels *set, uint32_t dk, uint32_t dv, float softcap)
{
    *c = (struct cache){.dk = dk, .dv = dv};
    c->k = malloc((size_t)POSITIONS * dk * sizeof(float));
    c->v = malloc((size_t)POSITIONS * dv * sizeof(float));
    assert_true(c->k && c->v);
    seed = dk + dv;
    fill(c->k, (size_t)POSITIONS * dk, 1.0f);
    fill(c->v, (size_t)POSITIONS * dv, 1.0f);
    for (uint32_t t = 0; t < TILES; t++) { /* NaN where nothing is put */
        c->tiles[0][t] = new_buffer((size_t)dk * CPU_KV_TILE * 2, 0xff);
        c->tiles[1][t] = new_buffer((size_t)dv * CPU_KV_TILE * 2, 0xff);
    }
    for (uint32_t p = 0; p < POSITIONS; p++) {
        set->k_put(c->tiles[0][p / CPU_KV_TILE], p % CPU_KV_TILE, c->k + (size_t)p * dk, dk);
        set->v_put(c->tiles[1][p / CPU_KV_TILE], p % CPU_KV_TILE, c->v + (size_t)p * dv, dv);
    }
    for (size_t i = 0; i < (size_t)POSITIONS * dk; i++)
        c->k[i] = quant_f16_to_f32(quant_f32_to_f16(c->k[i]));
    for (size_t i = 0; i < (size_t)POSITIONS * dv; i++)
        c->v[i] = quant_f16_to_f32(quant_f32_to_f16(c->v[i]));
    c->attn = (struct cpu_attn){.k_tiles = (const uint16_t *const *)c->tiles[0],
        .v_tiles = (const uint16_t *const *)c->tiles[1],
        .head_dim_k = dk,
        .head_dim_v = dv,
        .scale = 0.25f,
        .softcap = softcap,
        .scratch = new_buffer(cpu_attn_scratch_bytes(dk, dv), 0xff)};
}

static void cache_release(struct cache *c)
{
    for (uint32_t t = 0; t < TILES; t++) {
        free(c->tiles[0][t]);
        free(c->tiles[1][t]);
    }
    free(c->k);
    free(c->v);
    free(c->attn.scratch);
}

static void attend_double(
    const struct cache *c, const struct cpu_attn_row *row, const float *sink, double *out)
{
    double p[POSITIONS], top = sink ? (double)*sink : -INFINITY, sum = 0;
    for (uint32_t i = row->first; i < row->end; i++) {
        p[i] = 0;
        for (uint32_t d = 0; d < c->dk; d++)
            p[i] += (double)row->q[d] * (double)c->k[(size_t)i * c->dk + d];
        p[i] *= (double)c->attn.scale;
        if (c->attn.softcap > 0)
            p[i] = (double)c->attn.softcap * tanh(p[i] / (double)c->attn.softcap);
        top = fmax(top, p[i]);
    }
    memset(out, 0, c->dv * sizeof(double));
    for (uint32_t i = row->first; i < row->end; i++) {
        const double e = exp(p[i] - top);
        sum += e;
        for (uint32_t d = 0; d < c->dv; d++)
            out[d] += e * (double)c->v[(size_t)i * c->dv + d];
    }
    if (sink)
        sum += exp((double)*sink - top);
    for (uint32_t d = 0; d < c->dv; d++)
        out[d] /= sum;
}

#define ROWS 45u

static void check_attention(uint32_t dk, uint32_t dv, float softcap)
{
    float *q = malloc((size_t)ROWS * dk * sizeof(float)), *out = malloc((size_t)ROWS * dv * sizeof(float));
    float *again = malloc((size_t)ROWS * dv * sizeof(float)),
          *first = malloc((size_t)ROWS * dv * sizeof(float));
    double want[1024];
    assert_true(q && out && again && first);
    fill(q, (size_t)ROWS * dk, 1.5f);
    const struct cpu_kernels *k;
    for (size_t s = 0; (k = set_at(s)); s++) {
        struct cache c;
        cache_init(&c, k, dk, dv, softcap);
        struct cpu_attn_row rows[ROWS], alone;
        for (uint32_t r = 0; r < ROWS; r++) {
            const float sink = (float)(r % 5) - 2.0f;
            rows[r] = (struct cpu_attn_row){.q = q + (size_t)r * dk,
                .out = out + (size_t)r * dv,
                .first = r % 4 == 3 ? r * 2 : 0,
                .end = r < 30 ? POSITIONS - r : r * 2 + 1};
            cpu_attn_start(&rows[r], dv, r % 3 == 1 ? &sink : NULL);
        }
        k->attn_tiles(&c.attn, rows, ROWS, 0, TILES);
        for (uint32_t r = 0; r < ROWS; r++) {
            const float sink = (float)(r % 5) - 2.0f, *sp = r % 3 == 1 ? &sink : NULL;
            k->attn_finish(&rows[r], dv);
            attend_double(&c, &rows[r], sp, want);
            assert_near(out + (size_t)r * dv, want, dv, 1e-5, 2e-5);
            /* alone, and tile after tile */
            alone = rows[r];
            alone.out = again + (size_t)r * dv;
            cpu_attn_start(&alone, dv, sp);
            for (uint32_t t = 0; t < TILES; t++)
                k->attn_tiles(&c.attn, &alone, 1, t, t + 1);
            k->attn_finish(&alone, dv);
        }
        assert_same_bits(again, out, (size_t)ROWS * dv);
        if (s == 0)
            memcpy(first, out, (size_t)ROWS * dv * sizeof(float));
        assert_same_bits(out, first, (size_t)ROWS * dv);
        cache_release(&c);
    }
    free(q);
    free(out);
    free(again);
    free(first);
}

static void test_attention(void **state)
{
    (void)state;
    check_attention(64, 64, 0);
    check_attention(80, 96, 0);
    check_attention(128, 40, 0);
    check_attention(2, 2, 0);
    check_attention(6, 18, 0);
    check_attention(64, 64, 1.5f);
    check_attention(80, 96, 50);
}

/* Keys and values come back as FP16 to the bit, whatever they are. */
static void test_put(void **state)
{
    (void)state;
    const uint32_t dim = 1024;
    float x[1024];
    uint16_t *tile = new_buffer((size_t)dim * CPU_KV_TILE * 2, 0);
    for (uint64_t from = 0; from < 1u << 16; from += dim / 2) {
        for (uint32_t i = 0; i < dim / 2; i++) { /* each half exactly, and one close to it */
            const float h = quant_f16_to_f32((uint16_t)(from + i));
            x[2 * i] = h;
            uint32_t bits;
            memcpy(&bits, &h, 4);
            bits += (uint32_t)(rnd_float() * 8192.0f);
            memcpy(&x[2 * i + 1], &bits, 4);
        }
        const struct cpu_kernels *k;
        for (size_t s = 0; (k = set_at(s)); s++) {
            k->k_put(tile, 5, x, dim);
            for (uint32_t i = 0; i < dim; i++) {
                const uint16_t want = quant_f32_to_f16(x[i]);
                if (!isnan(x[i]))
                    assert_int_equal(tile[i * CPU_KV_TILE + 5], want);
                else
                    assert_true((tile[i * CPU_KV_TILE + 5] & 0x7fff) > 0x7c00);
            }
            k->v_put(tile, 31, x, dim);
            for (uint32_t i = 0; i < dim; i++)
                if (!isnan(x[i]))
                    assert_int_equal(tile[31 * dim + i], quant_f32_to_f16(x[i]));
        }
    }
    free(tile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vectors_extreme),
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests_name("cpu kernels: vectors and attention", tests, NULL, NULL);
}
