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

#define TINY_CONTEXT 4096

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
static void tensors(struct maker *m, const char *name, const char *type, uint32_t n_cols, uint32_t n_rows,
    uint32_t n_mats, float mean, float spread)
{
    const struct quant_type *q = fitting(type, n_cols);
    const uint64_t n = (uint64_t)n_cols * n_rows * n_mats, dims[3] = {n_cols, n_rows, n_mats};
    float *x = malloc(n * sizeof(*x));
    void *data = malloc(quant_type_bytes(q, n));
    assert_non_null(x);
    assert_non_null(data);
    for (uint64_t i = 0; i < n; i++)
        x[i] = mean + spread * gauss(&m->random);
    q->quantize(x, data, n);
    gw_tensor(&m->w, name, q->id, n_mats > 1 ? 3 : n_rows > 1 ? 2 : 1, dims, data);
    free(data);
    free(x);
}

static void tensor(struct maker *m, const char *name, const char *type, uint32_t n_cols, uint32_t n_rows,
    float mean, float spread)
{
    tensors(m, name, type, n_cols, n_rows, 1, mean, spread);
}

static void vector(struct maker *m, const char *name, uint32_t n, float mean, float spread)
{
    tensor(m, name, "F32", n, 1, mean, spread);
}

static const char *name_of(uint32_t layer, const char *what)
{
    static char name[96];
    snprintf(name, sizeof(name), "blk.%u.%s", (unsigned)layer, what);
    return name;
}

static bool is(const struct maker *m, const char *arch)
{
    return strcmp(m->t->arch, arch) == 0;
}

static void attention(struct maker *m, uint32_t i)
{
    const struct tiny *t = m->t;
    const uint32_t q = t->n_heads * t->head_dim, k = t->n_kv_heads * t->head_dim;
    const float in = 1.0f / sqrtf((float)t->n_embd), att = 1.0f / sqrtf((float)q);
    const bool gpt2 = is(m, "gpt2"), oss = is(m, "gpt-oss"), bias = t->biases || gpt2 || oss;
    vector(m, name_of(i, "attn_norm.weight"), t->n_embd, 1, 0.2f);
    if (gpt2)
        vector(m, name_of(i, "attn_norm.bias"), t->n_embd, 0, 0.2f);
    if (gpt2 || is(m, "phi3")) {
        tensor(m, name_of(i, "attn_qkv.weight"), t->type, t->n_embd, q + 2 * k, 0, 1.3f * in);
        if (bias)
            vector(m, name_of(i, "attn_qkv.bias"), q + 2 * k, 0, 0.3f);
    } else {
        tensor(m, name_of(i, "attn_q.weight"), t->type, t->n_embd, q, 0, 1.5f * in);
        tensor(m, name_of(i, "attn_k.weight"), t->type, t->n_embd, k, 0, 1.5f * in);
        tensor(m, name_of(i, "attn_v.weight"), t->type, t->n_embd, k, 0, in);
        if (bias || is(m, "qwen2") || is(m, "qwen2moe")) {
            vector(m, name_of(i, "attn_q.bias"), q, 0, 0.3f);
            vector(m, name_of(i, "attn_k.bias"), k, 0, 0.3f);
            vector(m, name_of(i, "attn_v.bias"), k, 0, 0.3f);
        }
    }
    if (is(m, "qwen3") || is(m, "qwen3moe") || is(m, "gemma3")) {
        vector(m, name_of(i, "attn_q_norm.weight"), t->head_dim, 1, 0.2f);
        vector(m, name_of(i, "attn_k_norm.weight"), t->head_dim, 1, 0.2f);
    }
    if (oss)
        vector(m, name_of(i, "attn_sinks.weight"), t->n_heads, 0, 1);
    tensor(m, name_of(i, "attn_output.weight"), t->type, q, t->n_embd, 0, att);
    if (bias)
        vector(m, name_of(i, "attn_output.bias"), t->n_embd, 0, 0.3f);
    if (is(m, "gemma2") || is(m, "gemma3"))
        vector(m, name_of(i, "post_attention_norm.weight"), t->n_embd, 0.7f, 0.2f);
}

/* The one that all tokens share. */
static void shared_expert(struct maker *m, uint32_t i)
{
    const struct tiny *t = m->t;
    const float in = 1.0f / sqrtf((float)t->n_embd);
    vector(m, name_of(i, "ffn_gate_inp_shexp.weight"), t->n_embd, 0, in);
    tensor(m, name_of(i, "ffn_gate_shexp.weight"), t->type, t->n_embd, t->n_ff_shared, 0, in);
    tensor(m, name_of(i, "ffn_up_shexp.weight"), t->type, t->n_embd, t->n_ff_shared, 0, in);
    tensor(m, name_of(i, "ffn_down_shexp.weight"), t->type, t->n_ff_shared, t->n_embd, 0,
        1.0f / sqrtf((float)t->n_ff_shared));
}

static void experts(struct maker *m, uint32_t i)
{
    const struct tiny *t = m->t;
    const uint32_t n = t->n_experts;
    const float in = 1.0f / sqrtf((float)t->n_embd);
    tensor(m, name_of(i, "ffn_gate_inp.weight"), "F32", t->n_embd, n, 0, in);
    tensors(m, name_of(i, "ffn_gate_exps.weight"), t->type, t->n_embd, t->n_ff, n, 0, in);
    tensors(m, name_of(i, "ffn_up_exps.weight"), t->type, t->n_embd, t->n_ff, n, 0, in);
    tensors(m, name_of(i, "ffn_down_exps.weight"), t->type, t->n_ff, t->n_embd, n, 0,
        1.0f / sqrtf((float)t->n_ff));
    if (t->n_ff_shared)
        shared_expert(m, i);
    if (!is(m, "gpt-oss"))
        return;
    vector(m, name_of(i, "ffn_gate_inp.bias"), n, 0, 0.3f);
    tensor(m, name_of(i, "ffn_gate_exps.bias"), "F32", t->n_ff, n, 0, 0.3f);
    tensor(m, name_of(i, "ffn_up_exps.bias"), "F32", t->n_ff, n, 0, 0.3f);
    tensor(m, name_of(i, "ffn_down_exps.bias"), "F32", t->n_embd, n, 0, 0.3f);
}

static void dense(struct maker *m, uint32_t i)
{
    const struct tiny *t = m->t;
    const float in = 1.0f / sqrtf((float)t->n_embd);
    const bool gpt2 = is(m, "gpt2"), fused = is(m, "phi3");
    if (!gpt2 && !fused)
        tensor(m, name_of(i, "ffn_gate.weight"), t->type, t->n_embd, t->n_ff, 0, in);
    tensor(m, name_of(i, "ffn_up.weight"), t->type, t->n_embd, fused ? 2 * t->n_ff : t->n_ff, 0, in);
    tensor(m, name_of(i, "ffn_down.weight"), t->type, t->n_ff, t->n_embd, 0, 1.0f / sqrtf((float)t->n_ff));
    if (t->biases && !gpt2)
        vector(m, name_of(i, "ffn_gate.bias"), t->n_ff, 0, 0.3f);
    if (t->biases || gpt2) {
        vector(m, name_of(i, "ffn_up.bias"), t->n_ff, 0, 0.3f);
        vector(m, name_of(i, "ffn_down.bias"), t->n_embd, 0, 0.3f);
    }
    if (is(m, "gemma2") || is(m, "gemma3"))
        vector(m, name_of(i, "post_ffw_norm.weight"), t->n_embd, 0.7f, 0.2f);
}

static void layer(struct maker *m, uint32_t i)
{
    attention(m, i);
    vector(m, name_of(i, is(m, "gpt-oss") ? "post_attention_norm.weight" : "ffn_norm.weight"), m->t->n_embd,
        1, 0.2f);
    if (is(m, "gpt2"))
        vector(m, name_of(i, "ffn_norm.bias"), m->t->n_embd, 0, 0.2f);
    if (m->t->n_experts)
        experts(m, i);
    else
        dense(m, i);
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

static void put_str(struct maker *m, const char *suffix, const char *v)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->t->arch, suffix);
    gw_str(&m->w, key, v);
}

static void put_rope(struct maker *m)
{
    const struct tiny *t = m->t;
    put_u32(m, "rope.dimension_count", t->rope_dims ? t->rope_dims : t->head_dim);
    put_f32(m, "rope.freq_base", t->rope_base != 0 ? t->rope_base : 10000);
    if (t->rope_factor != 0 || t->yarn != 0) {
        put_str(m, "rope.scaling.type", t->yarn != 0 ? "yarn" : "linear");
        put_f32(m, "rope.scaling.factor", t->yarn != 0 ? t->yarn : t->rope_factor);
    }
    if (t->yarn != 0 || t->long_rope)
        put_u32(m, "rope.scaling.original_context_length", t->long_rope ? 256 : 64);
    if (t->long_rope)
        put_f32(m, "rope.scaling.attn_factor", 1.19f);
}

char *tiny_write(const struct tiny *t)
{
    struct maker m = {.random = 42, .t = t};
    const bool gpt2 = is(&m, "gpt2");
    const uint32_t half = (t->rope_dims ? t->rope_dims : t->head_dim) / 2;
    gw_init(&m.w);
    gw_str(&m.w, "general.architecture", t->arch);
    put_u32(&m, "block_count", t->n_layers);
    put_u32(&m, "context_length", TINY_CONTEXT);
    put_u32(&m, "embedding_length", t->n_embd);
    put_u32(&m, "feed_forward_length", t->n_ff);
    put_u32(&m, "attention.head_count", t->n_heads);
    put_u32(&m, "attention.head_count_kv", t->n_kv_heads);
    put_u32(&m, "attention.key_length", t->head_dim);
    put_u32(&m, "attention.value_length", t->head_dim);
    put_f32(&m, gpt2 ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
    if (!gpt2)
        put_rope(&m);
    if (t->window)
        put_u32(&m, "attention.sliding_window", t->window);
    if (t->period)
        put_u32(&m, "attention.sliding_window_pattern", t->period);
    if (t->n_experts) {
        put_u32(&m, "expert_count", t->n_experts);
        put_u32(&m, "expert_used_count", t->n_experts_used);
        put_u32(&m, "expert_feed_forward_length", t->n_ff);
        if (t->n_ff_shared)
            put_u32(&m, "expert_shared_feed_forward_length", t->n_ff_shared);
    }
    if (t->attn_cap != 0)
        put_f32(&m, "attn_logit_softcapping", t->attn_cap);
    if (t->logit_cap != 0)
        put_f32(&m, "final_logit_softcapping", t->logit_cap);
    const char *embd = t->embd_type ? t->embd_type : t->type;
    /* Gemma's is multiplied by the root of the width. */
    tensor(&m, "token_embd.weight", embd, t->n_embd, t->n_vocab, 0,
        strncmp(t->arch, "gemma", 5) == 0 ? 1.0f / sqrtf((float)t->n_embd) : 1);
    if (gpt2)
        tensor(&m, "position_embd.weight", embd, t->n_embd, TINY_CONTEXT, 0, 0.7f);
    if (t->rope_freqs)
        vector(&m, "rope_freqs.weight", half, 4, 1);
    if (t->long_rope) {
        vector(&m, "rope_factors_long.weight", half, 8, 1.5f);
        vector(&m, "rope_factors_short.weight", half, 1.2f, 0.1f);
    }
    for (uint32_t i = 0; i < t->n_layers; i++)
        layer(&m, i);
    vector(&m, "output_norm.weight", t->n_embd, 1, 0.2f);
    if (gpt2)
        vector(&m, "output_norm.bias", t->n_embd, 0, 0.2f);
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
