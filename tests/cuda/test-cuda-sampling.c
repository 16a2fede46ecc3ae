/* Sampling of the cuda plugin: the same tokens as core/sample from the same logits. */
#include "device.h"

#include "sample/sampler.h"

#ifdef CUDA_FEWER
#define N_BATCHES 9
#define MOST_VOCAB 1000
#else
#define N_BATCHES 120
#define MOST_VOCAB 40000
#endif

#define ROWS 20u
#define SLOTS 23u
#define SEQ_PAGES 4u
#define TABLE_LD 5u
#define N_PAGES (SLOTS * SEQ_PAGES)

struct sample_case {
    uint32_t n_vocab, ld;
    float *logits;
    uint32_t draw[ROWS], n_top[ROWS], seq[ROWS], pos[ROWS];
    struct ck_sampler samplers[SLOTS];
    uint32_t table[SLOTS * TABLE_LD];
    int32_t token_at[N_PAGES * CK_PAGE];
};

struct sample_got {
    int32_t chain[SLOTS], token[ROWS], top_ids[ROWS * CK_MAX_TOP];
    float top_logprobs[ROWS * CK_MAX_TOP];
};

static float normal(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += random_float(-1, 1);
    return sum / 1.414f;
}

static void make_logits(float *x, uint32_t n)
{
    const uint32_t kind = random_u32() % 10;
    for (uint32_t i = 0; i < n; i++)
        switch (kind) {
        case 0: /* many equals */
            x[i] = floorf(normal() * 2);
            break;
        case 1:
            x[i] = 1.5f;
            break;
        case 2:
            x[i] = normal() * 40;
            break;
        case 3: /* what is no number among them */
            x[i] = random_u32() % 4 ? normal() : random_u32() % 2 ? NAN : -INFINITY;
            break;
        case 4:
            x[i] = random_u32() % 50 ? normal() : random_u32() % 2 ? INFINITY : -0.0f;
            break;
        case 5:
            x[i] = normal() * 1e-3f;
            break;
        case 6:
            x[i] = random_u32() % 3000 ? normal() : 30.0f;
            break;
        default:
            x[i] = normal() * 4;
        }
    if (random_u32() % 40 == 0)
        for (uint32_t i = 0; i < n; i++)
            x[i] = random_u32() % 2 ? NAN : -INFINITY;
}

static float one_of(const float *p, size_t n)
{
    return p[random_u32() % n];
}
#define ONE_OF(...) one_of((const float[]){__VA_ARGS__}, sizeof((const float[]){__VA_ARGS__}) / sizeof(float))

static void make_sampler(struct ck_sampler *s, uint32_t n_vocab, uint32_t n_tokens)
{
    *s = (struct ck_sampler){.seed = (uint64_t)random_u32() << 32 | random_u32(),
        .temperature = ONE_OF(0, 1, 1, 0.7f, 2, 0.01f, 1e-30f, 1.3f),
        .top_p = ONE_OF(1, 1, 0.9f, 0.5f, 0.999f, 0, 0.01f),
        .min_p = ONE_OF(0, 0, 0.05f, 1, 0.5f, 1e-6f),
        .top_k = (uint32_t)ONE_OF(0, 0, 1, 2, 20, 40, 300, 100000),
        .repetition_penalty = ONE_OF(1, 1, 1.1f, 2, 0.5f),
        .frequency_penalty = ONE_OF(0, 0, 0.3f, -1, 2),
        .presence_penalty = ONE_OF(0, 0, 0.7f, -2),
        .repeat_last_n = (uint32_t)ONE_OF(0, 1, 64, 5000000, 7),
        .n_prompt = random_u32() % (n_tokens + 1)};
    s->log_min_p = s->min_p > 0 ? log((double)s->min_p) : 0;
    if (random_u32() % 8 == 0)
        s->top_k = random_u32() % (n_vocab + 2);
}

static void make_case(struct sample_case *c, uint32_t n_vocab)
{
    memset(c->table, 0xFF, sizeof(c->table));
    memset(c->token_at, 0x7F, sizeof(c->token_at));
    c->n_vocab = n_vocab;
    c->ld = (n_vocab + 7) / 4 * 4;
    c->logits = host_new((size_t)ROWS * c->ld, 4);
    memset(c->logits, 0x7F, (size_t)ROWS * c->ld * 4); /* huge numbers behind the rows */
    for (uint32_t q = 0; q < SLOTS; q++)
        for (uint32_t p = 0; p < SEQ_PAGES; p++)
            c->table[q * TABLE_LD + p] = (q + p * SLOTS) * 5 % N_PAGES;
    for (uint32_t r = 0; r < ROWS; r++) {
        make_logits(c->logits + (size_t)r * c->ld, n_vocab);
        c->seq[r] = (r * 4 + 2) % SLOTS;
        c->pos[r] = random_u32() % (random_u32() % 2 ? SEQ_PAGES * CK_PAGE : 5);
        c->draw[r] = random_u32() % 8 == 0    ? CK_DRAW_TOP
                     : random_u32() % 12 == 0 ? CK_DRAW_NONE
                                              : CK_DRAW_TOKEN;
        c->n_top[r] = c->draw[r] == CK_DRAW_TOP ? random_u32() % (CK_MAX_TOP + 1) : 0;
        make_sampler(&c->samplers[c->seq[r]], n_vocab, c->pos[r] + 1);
        const uint32_t distinct = 1 + random_u32() % n_vocab;
        for (uint32_t p = 0; p <= c->pos[r]; p++) {
            const uint32_t page = c->table[c->seq[r] * TABLE_LD + p / CK_PAGE];
            c->token_at[page * CK_PAGE + p % CK_PAGE] = (int32_t)(random_u32() % distinct);
        }
    }
}

static void run_case(const struct sample_case *c, struct sample_got *got)
{
    memset(got, 0x55, sizeof(*got));
    float *const logits = to_device(c->logits, (size_t)ROWS * c->ld * 4);
    uint32_t *const draw = to_device(c->draw, sizeof(c->draw)), *const n_top =
                                                                    to_device(c->n_top, sizeof(c->n_top));
    uint32_t *const seq = to_device(c->seq, sizeof(c->seq)), *const pos = to_device(c->pos, sizeof(c->pos));
    struct ck_sampler *const samplers = to_device(c->samplers, sizeof(c->samplers));
    uint32_t *const table = to_device(c->table, sizeof(c->table));
    int32_t *const token_at = to_device(c->token_at, sizeof(c->token_at));
    struct sample_got *const out = to_device(got, sizeof(*got));
    void *const scratch = to_device(NULL, ck_sample_scratch(ROWS, c->n_vocab));
    const struct ck_sample_args a = {.rows = ROWS,
        .n_vocab = c->n_vocab,
        .logits = logits,
        .ld = c->ld,
        .draw = draw,
        .n_top = n_top,
        .seq = seq,
        .pos = pos,
        .sampler = samplers,
        .history = {token_at, table, TABLE_LD},
        .chain = out->chain,
        .token = out->token,
        .top_ids = out->top_ids,
        .top_logprobs = out->top_logprobs,
        .scratch = scratch};
    ok(ck_sample(test_stream, &a));
    from_device(got, out, sizeof(*got));
    float *const after = host_new((size_t)ROWS * c->ld, 4);
    from_device(after, logits, (size_t)ROWS * c->ld * 4);
    assert_memory_equal(after, c->logits, (size_t)ROWS * c->ld * 4);
    free(after);
    void *const all[] = {logits, draw, n_top, seq, pos, samplers, table, token_at, out, scratch};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        simt_free(all[i]);
}

static void expect_top(
    const struct sample_got *got, uint32_t row, uint32_t n_top, const struct sample_result *want)
{
    const int32_t *const ids = got->top_ids + row * CK_MAX_TOP;
    const float *const logprobs = got->top_logprobs + row * CK_MAX_TOP;
    for (uint32_t i = 0; i < n_top; i++) {
        assert_int_equal(ids[i], i < want->n_top ? want->top_ids[i] : -1);
        if (i < want->n_top &&
            !(fabsf(logprobs[i] - want->top_logprobs[i]) <= 1e-6f * fabsf(want->top_logprobs[i])))
            fail_msg("log probability %g, not %g", (double)logprobs[i], (double)want->top_logprobs[i]);
    }
}

static void expect_row(
    const struct sample_case *c, const struct sample_got *got, struct sampler *reference, uint32_t r)
{
    const struct ck_sampler *const s = &c->samplers[c->seq[r]];
    struct sample_params p;
    sample_params_default(&p);
    p.temperature = s->temperature;
    p.top_p = s->top_p;
    p.min_p = s->min_p;
    p.top_k = s->top_k;
    p.repetition_penalty = s->repetition_penalty;
    p.repeat_last_n = s->repeat_last_n;
    p.frequency_penalty = s->frequency_penalty;
    p.presence_penalty = s->presence_penalty;
    p.seed = s->seed;
    p.n_logprobs = c->n_top[r];
    int32_t tokens[SEQ_PAGES * CK_PAGE];
    for (uint32_t i = 0; i <= c->pos[r]; i++) {
        const uint32_t page = c->table[c->seq[r] * TABLE_LD + i / CK_PAGE];
        tokens[i] = c->token_at[page * CK_PAGE + i % CK_PAGE];
    }
    struct orcd_error err;
    assert_int_equal(sampler_begin(reference, &p, tokens, s->n_prompt, &err), 0);
    for (uint32_t i = s->n_prompt; i <= c->pos[r]; i++)
        sampler_accept(reference, tokens[i]);
    struct sample_result want;
    const int rc =
        sampler_draw(reference, c->logits + (size_t)r * c->ld, (uint64_t)c->pos[r] + 1, &want, &err);
    const int32_t chain = got->chain[c->seq[r]];
    if (c->draw[r] == CK_DRAW_NONE || (c->draw[r] == CK_DRAW_TOP && !rc)) {
        assert_int_equal(got->token[r], -1);
        assert_int_equal(chain, 0x55555555);
    } else if (rc) {
        assert_int_equal(got->token[r], -2);
        assert_int_equal(chain, -2);
    } else {
        if (got->token[r] != want.id)
            fail_msg("token %d, not %d: vocabulary %u, temperature %g, top-k %u, top-p %g, min-p %g",
                got->token[r], want.id, c->n_vocab, (double)s->temperature, s->top_k, (double)s->top_p,
                (double)s->min_p);
        assert_int_equal(chain, want.id);
    }
    if (c->draw[r] == CK_DRAW_TOP && !rc)
        expect_top(got, r, c->n_top[r], &want);
}

static void test_sampling(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = {1000, 300, 2, 1, 64, 65, 63, 4999, 511, 40000};
    static struct sample_case c;
    static struct sample_got got;
    for (uint32_t i = 0; i < N_BATCHES; i++) {
        const uint32_t n_vocab = vocabs[i % 41 == 40 ? 9 : i % 9];
        struct sampler *reference;
        struct orcd_error err;
        if (n_vocab > MOST_VOCAB)
            continue;
        make_case(&c, n_vocab);
        use_order(thread_orders[i % 3]);
        run_case(&c, &got);
        assert_int_equal(sampler_new(&reference, n_vocab, &err), 0);
        for (uint32_t r = 0; r < ROWS; r++)
            expect_row(&c, &got, reference, r);
        sampler_free(reference);
        free(c.logits);
    }
}

/* Equal logits of a power of two of tokens, and a random number that falls on the border between two
 * of them: the second is drawn. */
static void test_borders(void **state)
{
    (void)state;
    static struct sample_case c;
    static struct sample_got got;
    struct sampler *reference;
    struct orcd_error err;
    assert_int_equal(sampler_new(&reference, 4096, &err), 0);
    make_case(&c, 4096);
    for (uint32_t r = 0; r < ROWS; r++) {
        struct ck_sampler *const s = &c.samplers[c.seq[r]];
        for (uint32_t i = 0; i < 4096; i++)
            c.logits[(size_t)r * c.ld + i] = 2;
        c.draw[r] = CK_DRAW_TOKEN;
        *s = (struct ck_sampler){
            .temperature = 1, .top_p = 1, .repetition_penalty = 1, .top_k = r % 2 ? 2048 : 0};
        if (r > 3)
            s->top_p = 0.25f;
        const float n = (s->top_k ? 2048 : 4096) * s->top_p;
        while (fmodf(sampler_uniform(s->seed, (uint64_t)c.pos[r] + 1) * n, 1) != 0)
            s->seed += 1 + (UINT64_C(1) << 32);
    }
    use_order("order=forward");
    run_case(&c, &got);
    for (uint32_t r = 0; r < ROWS; r++)
        expect_row(&c, &got, reference, r);
    sampler_free(reference);
    free(c.logits);
}

/* What a step begins with: chained tokens, and the history. */
static void test_begin(void **state)
{
    (void)state;
    enum { N = 70, VOCAB = 100 };
    int32_t token[N], chain[N], at[N * CK_PAGE], want[N * CK_PAGE];
    uint32_t seq[N], pos[N], table[N * 2];
    memset(want, 0xAB, sizeof(want));
    for (uint32_t i = 0; i < N; i++) {
        seq[i] = N - 1 - i;
        pos[i] = i * 7 % 128;
        token[i] = i % 3 ? ORCD_TOKEN_CHAINED : (int32_t)i;
        table[2 * seq[i] + pos[i] / CK_PAGE] = i;
        table[2 * seq[i] + 1 - pos[i] / CK_PAGE] = 0xFFFFFFFF;
        chain[i] = i % 5 == 0 ? -2 : i % 5 == 1 ? VOCAB : (int32_t)(VOCAB - 1 - i);
    }
    struct ck_cells c = {
        to_device(token, sizeof(token)), to_device(seq, sizeof(seq)), to_device(pos, sizeof(pos))};
    int32_t *const on_chain = to_device(chain, sizeof(chain));
    uint32_t *const on_table = to_device(table, sizeof(table));
    const struct ck_history h = {to_device(want, sizeof(want)), on_table, 2};
    use_order("order=reverse");
    ok(ck_touch_sampling());
    ok(ck_begin(test_stream, &c, on_chain, &h, VOCAB, 0));
    ok(ck_begin(test_stream, &c, on_chain, &h, VOCAB, N));
    for (uint32_t i = 0; i < N; i++) {
        const int32_t chained = chain[seq[i]];
        if (token[i] == ORCD_TOKEN_CHAINED)
            token[i] = chained < 0 || chained >= VOCAB ? 0 : chained;
        want[i * CK_PAGE + pos[i] % CK_PAGE] = token[i];
    }
    int32_t tokens[N];
    from_device(tokens, c.token, sizeof(tokens));
    from_device(at, h.token_at, sizeof(at));
    assert_memory_equal(tokens, token, sizeof(token));
    assert_memory_equal(at, want, sizeof(want));
    void *const all[] = {c.token, (void *)c.seq, (void *)c.pos, on_chain, on_table, h.token_at};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        simt_free(all[i]);
}

int main(void)
{
    if (device_absent())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_sampling),
    };
    return cmocka_run_group_tests_name("cuda sampling", tests, device_setup, device_teardown);
}
