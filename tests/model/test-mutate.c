/* A small valid model file, damaged in thousands of ways: each one is read completely or refused, and a
 * sanitizer build checks every byte that is read. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "tests/lib/consume.h"
#include "tests/lib/gguf-edit.h"
#include "tests/lib/model-plan.h"

#define MUTATIONS 10000

static uint64_t rng_state = 0x2545f4914f6cdd1du;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static struct gw_buf small_model(const char *family)
{
    const struct model_spec spec = {.family = family,
        .layers = 1,
        .embd = 32,
        .heads = 2,
        .kv_heads = 1,
        .ff = 32,
        .vocab = 270,
        .ctx = 64,
        .rope_base = 1e4f,
        .eps = 1e-5f,
        .rope_freqs = strcmp(family, "llama") == 0 ? 8 : 0,
        .experts = model_has_experts(family) ? 3 : 0,
        .experts_used = model_has_experts(family) ? 2 : 0,
        .window = 16,
        .quant = "Q4_0",
        .tokenizer = "qwen2"};
    struct model_plan p;
    assert_null(model_plan_init(&p, &spec));
    struct gw_buf b = model_plan_finish(&p, 3);
    model_plan_free(&p);
    return b;
}

static uint64_t header_bytes(const struct gw_buf *b)
{
    struct gguf *g;
    assert_int_equal(gguf_open_memory(&g, b->p, b->n, NULL), 0);
    uint64_t n = gguf_data_offset(g);
    gguf_close(g);
    return n;
}

static int consume_exactly(const unsigned char *p, size_t n)
{
    void *copy = exact_copy(p, n);
    int rc = consume_model(copy, n);
    free(copy);
    return rc;
}

static void test_truncate(void **state)
{
    (void)state;
    struct gw_buf b = small_model("llama");
    uint64_t header = header_bytes(&b);
    assert_int_equal(consume_exactly(b.p, b.n), 0);
    for (size_t n = 0; n < b.n; n += n < header ? 1 : 97)
        assert_int_not_equal(consume_exactly(b.p, n), 0);
    gw_buf_free(&b);
}

static uint64_t odd_number(size_t left)
{
    const uint64_t numbers[] = {0, 1, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63, UINT64_C(1) << 61,
        UINT64_C(1) << 32, UINT64_C(1) << 31, left, left + 1, left - 8, 0xff, 9, 13};
    return numbers[rng() % (sizeof(numbers) / sizeof(numbers[0]))];
}

/* Makes one to three changes, most of them in the header, which has the structure. */
static size_t damage(unsigned char *p, size_t n, size_t header)
{
    for (uint64_t changes = 1 + rng() % 3; changes; changes--) {
        size_t at = rng() % (rng() % 8 ? header : n);
        uint64_t v;
        switch (rng() % 6) {
        case 0:
            p[at] ^= (unsigned char)(1u << (rng() & 7));
            break;
        case 1:
            p[at] = (unsigned char)rng();
            break;
        case 2: /* a length or count */
            v = odd_number(n - at);
            memcpy(p + at, &v, n - at < 8 ? n - at : 8);
            break;
        case 3: /* a type or a 32-bit value */
            v = odd_number(n - at);
            memcpy(p + at, &v, n - at < 4 ? n - at : 4);
            break;
        case 4: /* a piece is moved */
            v = rng() % 64;
            if (at + v < n && rng() % header + v < n)
                memmove(p + at, p + rng() % (header - v), v);
            break;
        default:
            if (rng() % 4 == 0)
                return rng() % n;
            p[at] += rng() & 1 ? 1 : 255;
        }
    }
    return n;
}

static void test_mutate(void **state)
{
    static const char *const families[] = {
        "llama", "qwen2", "qwen3", "phi3", "gpt2", "gpt-oss", "qwen2moe", "gemma2", "gemma3"};
    size_t taken = 0, refused = 0;
    (void)state;
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        struct gw_buf b = small_model(families[f]);
        uint64_t header = header_bytes(&b);
        unsigned char *work = malloc(b.n);
        assert_non_null(work);
        for (int i = 0; i < MUTATIONS / 9 + 1; i++) {
            memcpy(work, b.p, b.n);
            size_t n = damage(work, b.n, header);
            if (consume_exactly(work, n) == 0)
                taken++;
            else
                refused++;
        }
        free(work);
        gw_buf_free(&b);
    }
    print_message("# %zu taken, %zu refused\n", taken, refused);
    assert_true(taken > MUTATIONS / 50 && refused > MUTATIONS / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_truncate), cmocka_unit_test(test_mutate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
