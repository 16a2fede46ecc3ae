/* Attention of the cuda plugin against plain C in float64: decode and prefill. */
#include "device.h"

#define N_SEQ 3
#define SEQ_PAGES 5
#define TABLE_LD 7
#define N_PAGES (N_SEQ * SEQ_PAGES)
#define MAX_POS (SEQ_PAGES * 64 - 1)

struct shape {
    uint32_t heads, kv_heads, dk, dv, window;
    int sinks;
    float softcap;
};

/* KV of sequences, in host and device memory. All of a page that no row reaches is NaN. */
struct cache {
    uint32_t table[N_SEQ * TABLE_LD];
    uint64_t stride;
    uint16_t *k, *v;
    struct ck_kv kv;
    void *device[3];
};

static void cache_make(struct cache *c, const struct shape *s, const uint32_t keys[N_SEQ])
{
    uint32_t pages[N_PAGES];
    for (uint32_t i = 0; i < N_PAGES; i++)
        pages[i] = i;
    for (uint32_t i = N_PAGES - 1; i > 0; i--) {
        const uint32_t j = random_u32() % (i + 1), t = pages[i];
        pages[i] = pages[j];
        pages[j] = t;
    }
    const uint32_t most = s->dk > s->dv ? s->dk : s->dv;
    c->stride = (uint64_t)s->kv_heads * CK_PAGE * most + 128;
    c->k = host_new(N_PAGES * c->stride, 2);
    c->v = host_new(N_PAGES * c->stride, 2);
    memset(c->k, 0xFF, N_PAGES * c->stride * 2);
    memset(c->v, 0xFF, N_PAGES * c->stride * 2);
    memset(c->table, 0xFF, sizeof(c->table));
    for (uint32_t q = 0; q < N_SEQ; q++)
        for (uint32_t p = 0; p < SEQ_PAGES; p++) {
            const uint32_t page = pages[q * SEQ_PAGES + p];
            c->table[q * TABLE_LD + p] = page;
            for (uint32_t h = 0; h < s->kv_heads; h++)
                for (uint32_t t = 0; t < CK_PAGE && p * CK_PAGE + t < keys[q]; t++) {
                    for (uint32_t d = 0; d < s->dk; d++)
                        c->k[page * c->stride + (h * CK_PAGE + t) * s->dk + d] = random_half();
                    for (uint32_t d = 0; d < s->dv; d++)
                        c->v[page * c->stride + (h * CK_PAGE + t) * s->dv + d] = random_half();
                }
        }
    c->device[0] = to_device(c->k, N_PAGES * c->stride * 2);
    c->device[1] = to_device(c->v, N_PAGES * c->stride * 2);
    c->device[2] = to_device(c->table, sizeof(c->table));
    c->kv = (struct ck_kv){c->device[0], c->device[1], c->stride, c->device[2], TABLE_LD};
}

static void cache_free(struct cache *c)
{
    for (int i = 0; i < 3; i++)
        simt_free(c->device[i]);
    free(c->k);
    free(c->v);
}

static void reference(const struct shape *s, const struct cache *c, const float *q, const float *sinks,
    float scale, uint32_t seq, uint32_t pos, double *out)
{
    static double weight[MAX_POS + 1];
    const uint32_t first = s->window && pos >= s->window ? pos - s->window + 1 : 0;
    for (uint32_t h = 0; h < s->heads; h++) {
        const uint32_t kv_head = h / (s->heads / s->kv_heads);
        double max = sinks ? (double)sinks[h] : -INFINITY, sum = 0;
        for (uint32_t p = first; p <= pos; p++) {
            const uint64_t at = c->table[seq * TABLE_LD + p / CK_PAGE] * c->stride +
                                (kv_head * CK_PAGE + p % CK_PAGE) * (uint64_t)s->dk;
            double dot = 0;
            for (uint32_t d = 0; d < s->dk; d++)
                dot += (double)q[h * s->dk + d] * half_value(c->k[at + d]);
            dot *= (double)scale;
            if (s->softcap != 0)
                dot = (double)s->softcap * tanh(dot / (double)s->softcap);
            weight[p] = dot;
            max = dot > max ? dot : max;
        }
        for (uint32_t d = 0; d < s->dv; d++)
            out[h * s->dv + d] = 0;
        if (sinks)
            sum = exp((double)sinks[h] - max);
        for (uint32_t p = first; p <= pos; p++) {
            const uint64_t at = c->table[seq * TABLE_LD + p / CK_PAGE] * c->stride +
                                (kv_head * CK_PAGE + p % CK_PAGE) * (uint64_t)s->dv;
            const double w = exp(weight[p] - max);
            sum += w;
            for (uint32_t d = 0; d < s->dv; d++)
                out[h * s->dv + d] += w * half_value(c->v[at + d]);
        }
        for (uint32_t d = 0; d < s->dv; d++)
            out[h * s->dv + d] /= sum;
    }
}

/* Rows of queries, and what attention of them should be. */
struct batch {
    uint32_t rows, ld_q, ld_out;
    uint32_t *seq, *pos;
    float *q, *sinks;
    double *want;
    struct ck_attn_args args;
    void *device[5];
};

static void batch_make(struct batch *b, const struct shape *s, const struct cache *c)
{
    b->ld_q = (s->heads * s->dk + 7) / 4 * 4;
    b->ld_out = (s->heads * s->dv + 7) / 4 * 4;
    b->q = random_floats((size_t)b->rows * b->ld_q, -2, 2);
    b->sinks = s->sinks ? random_floats(s->heads, -1, 3) : NULL;
    b->want = host_new((size_t)b->rows * s->heads * s->dv, sizeof(double));
    const float scale = 1.5f / sqrtf((float)s->dk);
    for (uint32_t r = 0; r < b->rows; r++)
        reference(s, c, b->q + (size_t)r * b->ld_q, b->sinks, scale, b->seq[r], b->pos[r],
            b->want + (size_t)r * s->heads * s->dv);
    b->device[0] = to_device(b->q, (size_t)b->rows * b->ld_q * 4);
    b->device[1] = to_device(NULL, (size_t)b->rows * b->ld_out * 4);
    b->device[2] = to_device(b->seq, b->rows * 4);
    b->device[3] = to_device(b->pos, b->rows * 4);
    b->device[4] = b->sinks ? to_device(b->sinks, s->heads * 4) : NULL;
    b->args = (struct ck_attn_args){.rows = b->rows,
        .n_heads = s->heads,
        .n_kv_heads = s->kv_heads,
        .dk = s->dk,
        .dv = s->dv,
        .q = b->device[0],
        .ld_q = b->ld_q,
        .out = b->device[1],
        .ld_out = b->ld_out,
        .scale = scale,
        .softcap = s->softcap,
        .window = s->window,
        .sinks = b->device[4],
        .cells = {.seq = b->device[2], .pos = b->device[3]},
        .kv = c->kv};
}

static void batch_free(struct batch *b)
{
    for (int i = 0; i < 5; i++)
        simt_free(b->device[i]);
    free(b->q);
    free(b->sinks);
    free(b->want);
}

/* The rows of out without their gaps. */
static float *batch_out(const struct batch *b, const struct shape *s)
{
    const size_t n = (size_t)s->heads * s->dv;
    float *all = host_new((size_t)b->rows * b->ld_out, 4), *out = host_new(b->rows * n, 4);
    from_device(all, b->device[1], (size_t)b->rows * b->ld_out * 4);
    for (uint32_t r = 0; r < b->rows; r++)
        memcpy(out + r * n, all + (size_t)r * b->ld_out, n * 4);
    free(all);
    return out;
}

static void wipe_out(const struct batch *b)
{
    ok(simt_memset_async(b->device[1], 0xFF, (size_t)b->rows * b->ld_out * 4, test_stream));
}

static void expect_close(const struct batch *b, const struct shape *s, const float *got, const char *what)
{
    const double e = worst_error(got, b->want, (size_t)b->rows * s->heads * s->dv);
    if (!(e < 2e-5))
        fail_msg("%s: heads %u/%u of %u/%u, window %u: off by %g", what, s->heads, s->kv_heads, s->dk, s->dv,
            s->window, e);
}

static const struct shape shapes[] = {
    {2, 2, 8, 8, 0, 0, 0},
    {4, 2, 64, 64, 0, 1, 0},
    {3, 1, 80, 80, 100, 0, 0},
    {4, 4, 96, 96, 0, 0, 5},
    {8, 2, 128, 128, 64, 1, 0},
    {8, 1, 64, 64, 0, 1, 20},
    {10, 2, 16, 24, 17, 0, 0},
    {9, 1, 128, 64, 0, 0, 0},
    {4, 1, 256, 256, 130, 0, 50},
    {4, 2, 128, 120, 90, 1, 0},
    {2, 2, 256, 248, 40, 0, 0},
    {4, 2, 200, 256, 0, 0, 0},
    {2, 1, 6, 10, 1, 0, 0},
    {2, 1, 320, 288, 0, 1, 0},
    {3, 1, 576, 512, 0, 0, 0},
    {1, 1, 1024, 1024, 33, 0, 0},
};
#define N_SHAPES (sizeof(shapes) / sizeof(*shapes))

/* Under the race detector, which needs ten times as long, order does not matter. */
#ifdef CUDA_FEWER
#define N_ORDERS 1
#define SKIP_SHAPE(i) ((i) != 0 && (i) != 1 && (i) != 2 && (i) != 3 && (i) != 9 && (i) != 10)
#else
#define N_ORDERS 3
#define SKIP_SHAPE(i) 0
#endif

static void check_decode(const struct shape *s)
{
    uint32_t seq[] = {0, 1, 2, 0, 1, 2, 0, 1, 2}, pos[] = {299, 0, 63, 64, 127, 128, 1, 129, 256};
    const uint32_t keys[N_SEQ] = {300, 130, 257}, splits = 3;
    struct cache c;
    struct batch b = {.rows = sizeof(seq) / sizeof(*seq), .seq = seq, .pos = pos};
    cache_make(&c, s, keys);
    batch_make(&b, s, &c);
    const size_t n = (size_t)s->heads * s->dv, bytes = b.rows * n * 4;
    float *const partial = to_device(NULL, ck_attn_partial(b.rows, s->heads, 2 * splits, s->dv) * 4);
    float *first = NULL;
    for (size_t o = 0; o < N_ORDERS; o++) {
        use_order(thread_orders[o]);
        wipe_out(&b);
        ok(ck_attn_decode(test_stream, &b.args, partial, splits));
        float *const out = batch_out(&b, s);
        expect_close(&b, s, out, "decode");
        if (first)
            assert_memory_equal(out, first, bytes);
        else
            first = out;
        if (out != first)
            free(out);
    }
    /* More splits than needed, and each row alone. */
    use_order("order=forward");
    wipe_out(&b);
    ok(ck_attn_decode(test_stream, &b.args, partial, 2 * splits));
    float *out = batch_out(&b, s);
    assert_memory_equal(out, first, bytes);
    free(out);
    wipe_out(&b);
    for (uint32_t r = 0; r < b.rows; r++) {
        struct ck_attn_args a = b.args;
        a.rows = 1;
        a.q += (size_t)r * b.ld_q;
        a.out += (size_t)r * b.ld_out;
        a.cells.seq += r;
        a.cells.pos += r;
        ok(ck_attn_decode(test_stream, &a, partial, ck_n_splits(pos[r])));
    }
    out = batch_out(&b, s);
    assert_memory_equal(out, first, bytes);
    free(out);
    free(first);
    simt_free(partial);
    batch_free(&b);
    cache_free(&c);
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++)
        if (!SKIP_SHAPE(i))
            check_decode(&shapes[i]);
}

/* Positions from .. from + n of sequence 1, then `more` of sequence 2 from 0 on, cut into tiles
 * that have up to `each` queries. */
static uint32_t cut_tiles(struct ck_tile *tiles, uint32_t from, uint32_t n, uint32_t more, uint32_t each)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += each)
        tiles[count++] = (struct ck_tile){i, n - i < each ? n - i : each, 1, from + i};
    for (uint32_t i = 0; i < more; i += each)
        tiles[count++] = (struct ck_tile){n + i, more - i < each ? more - i : each, 2, i};
    return count;
}

static void check_prefill(const struct shape *s, uint32_t from, uint32_t n, uint32_t more)
{
    uint32_t seq[128], pos[128];
    for (uint32_t i = 0; i < n + more; i++) {
        seq[i] = i < n ? 1 : 2;
        pos[i] = i < n ? from + i : i - n;
    }
    const uint32_t keys[N_SEQ] = {0, from + n, more}, cuts[] = {CK_TILE, 5, 1};
    struct cache c;
    struct batch b = {.rows = n + more, .seq = seq, .pos = pos};
    cache_make(&c, s, keys);
    batch_make(&b, s, &c);
    const size_t bytes = (size_t)b.rows * s->heads * s->dv * 4;
    float *first = NULL;
    for (size_t o = 0; o < N_ORDERS; o++) {
        struct ck_tile tiles[128];
        const uint32_t n_tiles = cut_tiles(tiles, from, n, more, cuts[o]);
        struct ck_tile *const on_device = to_device(tiles, n_tiles * sizeof(*tiles));
        use_order(thread_orders[o]);
        wipe_out(&b);
        ok(ck_attn_prefill(test_stream, &b.args, on_device, n_tiles));
        float *const out = batch_out(&b, s);
        expect_close(&b, s, out, "prefill");
        if (first)
            assert_memory_equal(out, first, bytes);
        else
            first = out;
        if (out != first)
            free(out);
        simt_free(on_device);
    }
    use_order("order=forward");
    free(first);
    batch_free(&b);
    cache_free(&c);
}

static void test_prefill(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        if (SKIP_SHAPE(i))
            continue;
        check_prefill(&shapes[i], 55, 20, 3);
        if (i < 5 && N_ORDERS > 1)
            check_prefill(&shapes[i], 250, 37, 1);
    }
}

/* As many tiles as the longest slice may have, of head sizes that decode's kernel computes. */
static void test_many_tiles(void **state)
{
    (void)state;
    if (N_ORDERS == 1)
        return; /* under the race detector */
    enum { MOST = 8192 / 2 };
    static struct ck_tile tiles[MOST];
    const struct shape s = {2, 1, 6, 10, 0, 0, 0};
    uint32_t seq = 1, pos = 7;
    const uint32_t keys[N_SEQ] = {0, 8, 0};
    struct cache c;
    struct batch b = {.rows = 1, .seq = &seq, .pos = &pos};
    cache_make(&c, &s, keys);
    batch_make(&b, &s, &c);
    tiles[MOST - 1] = (struct ck_tile){0, 1, 1, 7}; /* the others are empty */
    struct ck_tile *const on_device = to_device(tiles, sizeof(tiles));
    wipe_out(&b);
    ok(ck_attn_prefill(test_stream, &b.args, on_device, MOST));
    float *const out = batch_out(&b, &s);
    expect_close(&b, &s, out, "prefill of many tiles");
    free(out);
    simt_free(on_device);
    batch_free(&b);
    cache_free(&c);
}

static void test_nothing(void **state)
{
    (void)state;
    const struct ck_attn_args none = {.rows = 0};
    const struct ck_qkv_args no_qkv = {.rows = 0};
    ok(ck_touch_attention());
    ok(ck_attn_decode(test_stream, &none, NULL, 1));
    ok(ck_attn_prefill(test_stream, &none, NULL, 0));
    ok(ck_qkv(test_stream, &no_qkv));
}

int main(void)
{
    if (device_absent())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_prefill),
        cmocka_unit_test(test_many_tiles),
    };
    return cmocka_run_group_tests_name("cuda attention", tests, device_setup, device_teardown);
}
