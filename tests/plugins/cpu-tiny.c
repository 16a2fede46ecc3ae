#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/quant-types.h"
#include "tests/lib/gguf-writer.h"
#include "tests/plugins/cpu-tiny.h"

uint32_t tiny_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* About normal: the sum of four uniforms. */
static float gauss(uint64_t *state)
{
    float x = 0;
    for (int i = 0; i < 4; i++)
        x += (float)(tiny_random(state) & 0xffffff) / 16777216.0f - 0.5f;
    return x * 1.7320508f;
}

struct maker {
    struct gguf_writer w;
    uint64_t random;
    const struct tiny *t;
};

static const struct quant_type *fitting(const char *name, uint32_t n_cols)
{
    const struct quant_type *t = quant_type_by_name(name);
    assert_non_null(t);
    if (n_cols % t->block_elems)
        t = quant_type_by_name(n_cols % 32 ? "F16" : "Q8_0");
    return t;
}

/* spread around mean. */
static void tensor(struct maker *m, const char *name, const char *type, uint32_t n_cols, uint32_t n_rows,
    float mean, float spread)
{
    const struct quant_type *q = fitting(type, n_cols);
    const uint64_t n = (uint64_t)n_cols * n_rows, dims[2] = {n_cols, n_rows};
    float *x = malloc(n * sizeof(*x));
    void *data = malloc(quant_type_bytes(q, n));
    assert_non_null(x);
    assert_non_null(data);
    for (uint64_t i = 0; i < n; i++)
        x[i] = mean + spread * gauss(&m->random);
    q->quantize(x, data, n);
    gw_tensor(&m->w, name, q->id, n_rows > 1 ? 2 : 1, dims, data);
    free(data);
    free(x);
}

static const char *name_of(uint32_t layer, const char *what)
{
    static char name[96];
    snprintf(name, sizeof(name), "blk.%u.%s", (unsigned)layer, what);
    return name;
}

static void layer(struct maker *m, uint32_t i)
{
    const struct tiny *t = m->t;
    const uint32_t q = t->n_heads * t->head_dim, k = t->n_kv_heads * t->head_dim;
    const float in = 1.0f / sqrtf((float)t->n_embd), att = 1.0f / sqrtf((float)q);
    tensor(m, name_of(i, "attn_norm.weight"), "F32", t->n_embd, 1, 1, 0.2f);
    tensor(m, name_of(i, "attn_q.weight"), t->type, t->n_embd, q, 0, 1.5f * in);
    tensor(m, name_of(i, "attn_k.weight"), t->type, t->n_embd, k, 0, 1.5f * in);
    tensor(m, name_of(i, "attn_v.weight"), t->type, t->n_embd, k, 0, in);
    tensor(m, name_of(i, "attn_output.weight"), t->type, q, t->n_embd, 0, att);
    tensor(m, name_of(i, "ffn_norm.weight"), "F32", t->n_embd, 1, 1, 0.2f);
    tensor(m, name_of(i, "ffn_gate.weight"), t->type, t->n_embd, t->n_ff, 0, in);
    tensor(m, name_of(i, "ffn_up.weight"), t->type, t->n_embd, t->n_ff, 0, in);
    tensor(m, name_of(i, "ffn_down.weight"), t->type, t->n_ff, t->n_embd, 0, 1.0f / sqrtf((float)t->n_ff));
    if (strcmp(t->arch, "qwen2") == 0 || t->biases) {
        tensor(m, name_of(i, "attn_q.bias"), "F32", q, 1, 0, 0.3f);
        tensor(m, name_of(i, "attn_k.bias"), "F32", k, 1, 0, 0.3f);
        tensor(m, name_of(i, "attn_v.bias"), "F32", k, 1, 0, 0.3f);
    }
    if (t->biases) {
        tensor(m, name_of(i, "attn_output.bias"), "F32", t->n_embd, 1, 0, 0.3f);
        tensor(m, name_of(i, "ffn_gate.bias"), "F32", t->n_ff, 1, 0, 0.3f);
        tensor(m, name_of(i, "ffn_up.bias"), "F32", t->n_ff, 1, 0, 0.3f);
        tensor(m, name_of(i, "ffn_down.bias"), "F32", t->n_embd, 1, 0, 0.3f);
    }
    if (strcmp(t->arch, "qwen3") == 0) {
        tensor(m, name_of(i, "attn_q_norm.weight"), "F32", t->head_dim, 1, 1, 0.2f);
        tensor(m, name_of(i, "attn_k_norm.weight"), "F32", t->head_dim, 1, 1, 0.2f);
    }
}

static void put_u32(struct maker *m, const char *suffix, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->t->arch, suffix);
    gw_u32(&m->w, key, v);
}

static void put_f32(struct maker *m, const char *suffix, float v)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->t->arch, suffix);
    gw_f32(&m->w, key, v);
}

char *tiny_write(const struct tiny *t)
{
    struct maker m = {.random = 42, .t = t};
    gw_init(&m.w);
    gw_str(&m.w, "general.architecture", t->arch);
    put_u32(&m, "block_count", t->n_layers);
    put_u32(&m, "context_length", 4096);
    put_u32(&m, "embedding_length", t->n_embd);
    put_u32(&m, "feed_forward_length", t->n_ff);
    put_u32(&m, "attention.head_count", t->n_heads);
    put_u32(&m, "attention.head_count_kv", t->n_kv_heads);
    put_u32(&m, "attention.key_length", t->head_dim);
    put_u32(&m, "attention.value_length", t->head_dim);
    put_u32(&m, "rope.dimension_count", t->rope_dims ? t->rope_dims : t->head_dim);
    put_f32(&m, "attention.layer_norm_rms_epsilon", 1e-5f);
    put_f32(&m, "rope.freq_base", 10000);
    if (t->rope_factor != 0) {
        char key[96];
        snprintf(key, sizeof(key), "%s.rope.scaling.type", t->arch);
        gw_str(&m.w, key, "linear");
        put_f32(&m, "rope.scaling.factor", t->rope_factor);
    }
    const char *embd = t->embd_type ? t->embd_type : t->type;
    tensor(&m, "token_embd.weight", embd, t->n_embd, t->n_vocab, 0, 1);
    if (t->rope_freqs)
        tensor(&m, "rope_freqs.weight", "F32", (t->rope_dims ? t->rope_dims : t->head_dim) / 2, 1, 4, 1);
    for (uint32_t i = 0; i < t->n_layers; i++)
        layer(&m, i);
    tensor(&m, "output_norm.weight", "F32", t->n_embd, 1, 1, 0.2f);
    if (t->untied)
        tensor(&m, "output.weight", t->type, t->n_embd, t->n_vocab, 0, 1.0f / sqrtf((float)t->n_embd));
    char *path = strdup("/tmp/orcd-tiny-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(gw_write(&m.w, path), 0);
    gw_free(&m.w);
    return path;
}

void tiny_tokens(const struct tiny *t, uint32_t seed, int32_t *tokens, uint32_t n)
{
    uint64_t state = seed;
    tiny_random(&state);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (int32_t)(tiny_random(&state) % t->n_vocab);
}
