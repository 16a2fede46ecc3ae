/* The random models of tests and benchmarks: they are valid, reproducible and laid out like real files, and
 * their logits depend on all tokens. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "model/quant-types.h"
#include "model/tokenizer.h"
#include "tests/lib/golden.h"
#include "tests/lib/model-plan.h"
#include "tests/oracle/oracle.h"

static struct model_spec small(const char *family, const char *quant)
{
    return (struct model_spec){.family = family,
        .layers = 2,
        .embd = 256,
        .heads = 4,
        .kv_heads = 2,
        .ff = 512,
        .vocab = 512,
        .ctx = 128,
        .rope_base = 1e4f,
        .eps = 1e-5f,
        .quant = quant,
        .tokenizer = "qwen2"};
}

static size_t count(const struct model_plan *p, uint32_t type)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->tensors[i].type == type;
    return n;
}

/* The published Q4_K_M file of this shape has these tensors of each type. */
static void test_mix(void **state)
{
    struct model_plan p;
    struct model_spec spec = *model_preset("qwen2.5-0.5b");
    (void)state;
    spec.quant = "Q4_K_M";
    assert_null(model_plan_init(&p, &spec));
    assert_int_equal(p.n, 290);
    assert_int_equal(count(&p, ORCD_TYPE_F32), 121);
    assert_int_equal(count(&p, ORCD_TYPE_Q5_0), 132);
    assert_int_equal(count(&p, ORCD_TYPE_Q8_0), 13);
    assert_int_equal(count(&p, ORCD_TYPE_Q4_K), 12);
    assert_int_equal(count(&p, ORCD_TYPE_Q6_K), 12);
    model_plan_free(&p);
    spec = *model_preset("phi-3-mini");
    spec.quant = "Q4_K_M";
    assert_null(model_plan_init(&p, &spec));
    assert_int_equal(p.n, 195);
    assert_int_equal(count(&p, ORCD_TYPE_F32), 65);
    assert_int_equal(count(&p, ORCD_TYPE_Q4_K), 81);
    assert_int_equal(count(&p, ORCD_TYPE_Q5_K), 32);
    assert_int_equal(count(&p, ORCD_TYPE_Q6_K), 17);
    model_plan_free(&p);
    spec = *model_preset("gpt-oss-20b");
    spec.quant = "MXFP4_MOE";
    assert_null(model_plan_init(&p, &spec));
    assert_int_equal(p.n, 459);
    assert_int_equal(count(&p, ORCD_TYPE_F32), 289);
    assert_int_equal(count(&p, ORCD_TYPE_MXFP4), 72);
    assert_int_equal(count(&p, ORCD_TYPE_Q8_0), 98);
    model_plan_free(&p);
    spec = *model_preset("qwen2.5-0.5b");
    /* Only the rows of ffn_down, 24 of 290 tensors, are a multiple of 256. */
    spec.quant = "IQ4_XS";
    assert_null(model_plan_init(&p, &spec));
    assert_int_equal(count(&p, ORCD_TYPE_IQ4_NL), 24 * 5);
    assert_int_equal(count(&p, ORCD_TYPE_Q5_1), 24);
    assert_int_equal(count(&p, ORCD_TYPE_Q5_K), 3);
    assert_int_equal(count(&p, ORCD_TYPE_IQ4_XS), 21);
    assert_int_equal(count(&p, ORCD_TYPE_Q8_0), 1);
    model_plan_free(&p);
}

/* As in a published file: three layers of width 256, two heads to a key. */
static void test_low_mixes(void **state)
{
    static const struct {
        const char *quant;
        uint32_t type[5];
        size_t n[5];
    } want[] = {
        {"Q2_K", {ORCD_TYPE_Q2_K, ORCD_TYPE_Q3_K, ORCD_TYPE_Q6_K}, {13, 9, 1}},
        {"Q3_K_M", {ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K}, {13, 7, 2, 1}},
        {"IQ4_NL", {ORCD_TYPE_IQ4_NL, ORCD_TYPE_Q6_K}, {22, 1}},
        {"IQ4_XS", {ORCD_TYPE_IQ4_XS, ORCD_TYPE_Q6_K}, {22, 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct model_plan p;
        struct model_spec spec = small("llama", want[i].quant);
        spec.layers = 3;
        spec.kv_heads = 2;
        assert_null(model_plan_init(&p, &spec));
        for (size_t k = 0; k < 5 && want[i].n[k]; k++)
            assert_int_equal(count(&p, want[i].type[k]), want[i].n[k]);
        model_plan_free(&p);
    }
}

/* The reader accepts the header of every preset, followed by its data. */
static void test_presets(void **state)
{
    const char *name;
    (void)state;
    for (size_t i = 0; model_preset_at(i, &name); i++) {
        struct model_plan p;
        struct model *m;
        struct orcd_error err = ORCD_ERROR_INIT;
        struct model_spec spec = *model_preset_at(i, NULL);
        spec.quant = "Q4_K_M";
        assert_null(model_plan_init(&p, &spec));
        struct gw_buf h = gw_header(&p.writer);
        char path[] = "/tmp/orcd-test-plan-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, h.p, h.n), h.n);
        assert_int_equal(ftruncate(fd, (off_t)(h.n + p.data_bytes)), 0); /* sparse */
        if (spec.rope_freqs > 0) {
            float freqs[512];
            const struct plan_tensor *t = &p.tensors[1];
            assert_string_equal(t->name, "rope_freqs.weight");
            model_plan_fill(&p, 1, 1, 0, freqs, t->bytes);
            assert_true(freqs[0] == 1 && freqs[t->dims[0] - 1] == spec.rope_freqs);
            assert_int_equal(pwrite(fd, freqs, t->bytes, (off_t)(h.n + t->offset)), t->bytes);
        }
        int rc = model_open(&m, path, &err);
        if (rc)
            print_error("%s: %s\n", name, err.msg);
        assert_int_equal(rc, 0);
        assert_string_equal(model_quant_kind(m), "Q4_K_M");
        assert_int_equal(model_source(m)->hparams->n_vocab, spec.vocab);
        model_close(m);
        close(fd);
        unlink(path);
        gw_buf_free(&h);
        model_plan_free(&p);
    }
}

static void test_same_seed(void **state)
{
    (void)state;
    struct model_plan p;
    struct model_spec spec = small("llama", "Q4_K_M");
    assert_null(model_plan_init(&p, &spec));
    struct gw_buf a = model_plan_finish(&p, 5), b = model_plan_finish(&p, 5), c = model_plan_finish(&p, 6);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    assert_int_equal(a.n, c.n);
    assert_memory_not_equal(a.p, c.p, a.n);
    /* All at once or unit by unit gives the same bytes. */
    size_t unit = model_plan_unit(&p, 0), n = p.tensors[0].bytes;
    unsigned char *whole = malloc(n), *parts = malloc(n);
    model_plan_fill(&p, 0, 5, 0, whole, n);
    for (size_t at = 0; at < n; at += unit)
        model_plan_fill(&p, 0, 5, at, parts + at, n - at < unit ? n - at : unit);
    assert_memory_equal(whole, parts, n);
    free(whole);
    free(parts);
    gw_buf_free(&a);
    gw_buf_free(&b);
    gw_buf_free(&c);
    model_plan_free(&p);
}

/* Weights of every type have the planned deviation and a mean of 0. */
static void test_deviation(void **state)
{
    (void)state;
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        struct model_spec spec = small("llama", q->name);
        struct model_plan p;
        if (model_plan_init(&p, &spec) != NULL)
            continue; /* not a type of weights */
        const struct plan_tensor *t = &p.tensors[0];
        size_t n = t->dims[0] * t->dims[1];
        void *packed = malloc(t->bytes);
        float *x = malloc(n * sizeof(*x));
        double sum = 0, squares = 0;
        model_plan_fill(&p, 0, 1, 0, packed, t->bytes);
        q->dequantize(packed, x, n);
        for (size_t k = 0; k < n; k++) {
            sum += (double)x[k];
            squares += (double)x[k] * x[k];
        }
        double std = sqrt(squares / (double)n);
        print_message("# %s: deviation %.3f of the planned, mean %.3f\n", q->name, std / (double)t->std,
            sum / (double)n / std);
        assert_true(std > 0.6 * (double)t->std && std < 1.6 * (double)t->std);
        assert_true(fabs(sum / (double)n) < 0.05 * std);
        free(packed);
        free(x);
        model_plan_free(&p);
    }
}

static void check_alive(const struct model_spec *spec)
{
    enum { N = 12 };
    char path[] = "/tmp/orcd-test-plan-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_null(model_spec_write(spec, 2, path));
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m;
    assert_int_equal(model_open(&m, path, &err), 0);
    model_close(m);
    struct oracle *o = oracle_open(path);
    assert_non_null(o);
    size_t v = oracle_n_vocab(o);
    float *logits = malloc(N * v * sizeof(*logits));
    int32_t tokens[N];
    for (int i = 0; i < N; i++)
        tokens[i] = i * 37 % (int32_t)v;
    oracle_logits(o, tokens, N, logits);
    size_t best[N], same = 0;
    for (int t = 0; t < N; t++) {
        double squares = 0;
        for (size_t i = 0; i < v; i++)
            squares += (double)logits[t * v + i] * logits[t * v + i];
        double std = sqrt(squares / (double)v);
        assert_true(std > 0.5 && std < 20);
        best[t] = golden_argmax(logits + t * v, v);
        same += best[t] == best[0];
    }
    assert_true(same < N / 2);
    /* Later tokens must not matter: compare with the last position of a shorter prompt. */
    float *last = malloc(v * sizeof(*last));
    oracle_logits_last(o, tokens, 5, last);
    assert_true(golden_nmse(last, logits + 4 * v, v) < 1e-20);
    free(last);
    free(logits);
    oracle_close(o);
    unlink(path);
}

static void test_alive(void **state)
{
    static const char *const quants[] = {
        "F32", "F16", "Q4_K_M", "Q5_K_M", "Q4_0", "Q6_K", "IQ4_XS", "Q2_K", "Q3_K_M", "IQ4_NL", "MXFP4"};
    (void)state;
    for (size_t i = 0; i < sizeof(quants) / sizeof(quants[0]); i++) {
        static const char *const families[] = {"llama", "qwen2", "qwen3", "phi3", "gpt2", "qwen3moe",
            "gpt-oss", "qwen2moe", "gemma", "gemma2", "gemma3"};
        struct model_spec spec = small(families[i % (sizeof(families) / sizeof(families[0]))], quants[i]);
        spec.experts = model_has_experts(spec.family) ? 8 : 0;
        spec.experts_used = model_has_experts(spec.family) ? 2 : 0;
        spec.tied = i % 2;
        check_alive(&spec);
    }
    for (size_t i = 0; quant_type_at(i); i++) { /* each type that is written, for every matrix */
        struct model_spec spec = small("llama", quant_type_at(i)->name);
        if (quant_type_at(i)->quantize)
            check_alive(&spec);
    }
    /* GQA 7:1, head size 80, rows that are not a multiple of 256, all optional tensors */
    struct model_spec odd = small("llama", "Q4_K_M");
    odd.embd = 224;
    odd.heads = 7;
    odd.kv_heads = 1;
    odd.head_dim = 80;
    odd.ff = 416;
    odd.biases = true;
    odd.rope_freqs = 32;
    odd.rope_factor = 2;
    check_alive(&odd);
}

/* If a model is called phi-3, readers require these tokens. */
static void test_phi3_tokens(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<|endoftext|>", "<|end|>", "<|user|>"};
    struct model_spec spec = *model_preset("phi-3-mini");
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model_plan p;
    struct gguf *g;
    struct gguf_array a;
    spec.quant = "Q8_0";
    spec.layers = 1;
    spec.embd = spec.ff = 64;
    assert_null(model_plan_init(&p, &spec));
    struct gw_buf b = model_plan_finish(&p, 1);
    assert_int_equal(gguf_open_memory(&g, b.p, b.n, &err), 0);
    assert_int_equal(gguf_get_array(g, "tokenizer.ggml.tokens", &a, &err), 0);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        struct gguf_array_cursor c = gguf_array_strings(&a);
        struct gguf_str s;
        size_t found = 0;
        while (gguf_array_next(&c, &s))
            found += s.n == strlen(tokens[i]) && memcmp(s.p, tokens[i], s.n) == 0;
        assert_int_equal(found, 1);
    }
    gguf_close(g);
    gw_buf_free(&b);
    model_plan_free(&p);
}

/* Real tokenizers load the synthetic vocabulary, decode what they encoded, and find its words. */
static void test_vocabulary(void **state)
{
    static const char *const kinds[] = {"qwen2", "llama-bpe", "spm", "phi3", "gemma"};
    static const char text[] =
        "Once upon a time there was a prince who said that the world would be \xc3\xa9 42\n";
    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct model_spec spec = small("llama", "Q8_0");
        struct orcd_error err = ORCD_ERROR_INIT;
        struct model_plan p;
        struct gguf *g;
        struct tokenizer *t;
        int32_t *ids;
        size_t n, bytes;
        char *back;
        spec.vocab = 20000;
        spec.tokenizer = kinds[k];
        assert_null(model_plan_init(&p, &spec));
        struct gw_buf b = model_plan_finish(&p, 1);
        assert_int_equal(gguf_open_memory(&g, b.p, b.n, &err), 0);
        int rc = tokenizer_from_gguf(&t, g, &err);
        if (rc)
            print_error("%s: %s\n", kinds[k], err.msg);
        assert_int_equal(rc, 0);
        assert_int_equal(tokenizer_n_vocab(t), 20000);
        assert_true(tokenizer_is_eog(t, tokenizer_eos(t)));
        assert_int_equal(tokenizer_encode(t, text, sizeof(text) - 1, 0, &ids, &n, &err), 0);
        print_message("# %s: %zu bytes are %zu tokens\n", kinds[k], sizeof(text) - 1, n);
        assert_true(n < (sizeof(text) - 1) / 2);
        assert_int_equal(tokenizer_decode(t, ids, n, false, &back, &bytes, &err), 0);
        const char *shown = back;
        if (bytes && bytes == sizeof(text) && *shown == ' ') { /* SPM's leading space */
            shown++;
            bytes--;
        }
        assert_int_equal(bytes, sizeof(text) - 1);
        assert_memory_equal(shown, text, bytes);
        free(back);
        free(ids);
        tokenizer_free(t);
        gguf_close(g);
        gw_buf_free(&b);
        model_plan_free(&p);
    }
}

static void test_refused(void **state)
{
    struct model_plan p;
    (void)state;
    struct model_spec spec = small("nobody", "Q8_0");
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("llama", "Q9_9");
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("llama", "Q8_0");
    spec.kv_heads = 3;
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("llama", "Q8_0");
    spec.vocab = 100;
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("llama", "Q8_0");
    spec.layers = 0;
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("gpt-oss", "Q8_0"); /* without experts */
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("qwen2moe", "Q8_0");
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("gemma", "Q8_0");
    spec.shared_ff = 64;
    assert_non_null(model_plan_init(&p, &spec));
    spec = small("qwen2", "Q8_0");
    spec.experts = 4;
    spec.experts_used = 2;
    assert_non_null(model_plan_init(&p, &spec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_low_mixes),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_same_seed),
        cmocka_unit_test(test_deviation),
        cmocka_unit_test(test_alive),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_phi3_tokens),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
