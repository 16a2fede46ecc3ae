/* Weights and sizes from a file. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "model/quant-types.h"
#include "tests/oracle/oracle-internal.h"

struct loader {
    struct gguf *g;
    char arch[32];
    bool failed;
};

void *oracle_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) {
        fputs("oracle: out of memory\n", stderr);
        abort();
    }
    return p;
}

static void fail(struct loader *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("oracle: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    l->failed = true;
}

/* "llama." + suffix */
static const char *key(struct loader *l, const char *suffix)
{
    static char text[128];
    snprintf(text, sizeof(text), "%s.%s", l->arch, suffix);
    return text;
}

static size_t get_size(struct loader *l, const char *suffix, size_t fallback)
{
    uint64_t v;
    if (gguf_get_u64(l->g, key(l, suffix), &v, NULL) == 0)
        return v;
    if (fallback == 0)
        fail(l, "no number %s", key(l, suffix));
    return fallback;
}

static size_t get_size_of_layer(struct loader *l, const char *suffix, size_t i, size_t fallback)
{
    struct gguf_array a;
    if (gguf_get_array(l->g, key(l, suffix), &a, NULL) == 0 && i < a.n)
        return gguf_array_u64(&a, i);
    return get_size(l, suffix, fallback);
}

static double get_number(struct loader *l, const char *suffix, double fallback)
{
    double v;
    return gguf_get_f64(l->g, key(l, suffix), &v, NULL) == 0 ? v : fallback;
}

/* A tensor of want elements as floats; NULL when it is absent (and optional). */
static float *get_tensor(struct loader *l, const char *name, size_t want, bool optional)
{
    const struct gguf_tensor *t = gguf_tensor_find(l->g, name);
    if (!t || t->n_elements != want) {
        if (t || !optional)
            fail(l, "tensor %s %s", name, t ? "has another size" : "is missing");
        return NULL;
    }
    float *x = oracle_alloc(want, sizeof(*x));
    quant_type_find(t->type)->dequantize(gguf_tensor_data(l->g, t), x, want);
    return x;
}

static float *layer_tensor(struct loader *l, size_t layer, const char *name, size_t want, bool optional)
{
    char full[96];
    snprintf(full, sizeof(full), "blk.%zu.%s", layer, name);
    return get_tensor(l, full, want, optional);
}

/* A copy of rows first .. first + n of a matrix (or elements of a vector: cols 1). */
static float *cut(float *x, size_t first, size_t n, size_t cols)
{
    if (!x)
        return NULL;
    float *y = oracle_alloc(n * cols, sizeof(*y));
    memcpy(y, x + first * cols, n * cols * sizeof(*y));
    return y;
}

/* Three matrices, or one whose rows are those of the three; biases likewise. */
static void load_qkv(struct loader *l, const struct oracle *o, size_t i, struct layer *y)
{
    size_t e = o->embd, q = y->heads * o->head_k, k = y->kv_heads * o->head_k, v = y->kv_heads * o->head_v;
    float *all = layer_tensor(l, i, "attn_qkv.weight", (q + k + v) * e, true);
    float *bias = layer_tensor(l, i, "attn_qkv.bias", q + k + v, true);
    y->q = all ? cut(all, 0, q, e) : layer_tensor(l, i, "attn_q.weight", q * e, false);
    y->k = all ? cut(all, q, k, e) : layer_tensor(l, i, "attn_k.weight", k * e, false);
    y->v = all ? cut(all, q + k, v, e) : layer_tensor(l, i, "attn_v.weight", v * e, false);
    y->q_bias = bias ? cut(bias, 0, q, 1) : layer_tensor(l, i, "attn_q.bias", q, true);
    y->k_bias = bias ? cut(bias, q, k, 1) : layer_tensor(l, i, "attn_k.bias", k, true);
    y->v_bias = bias ? cut(bias, q + k, v, 1) : layer_tensor(l, i, "attn_v.bias", v, true);
    free(all);
    free(bias);
}

static void load_experts(struct loader *l, const struct oracle *o, size_t i, struct layer *y)
{
    size_t e = o->embd, n = o->experts;
    y->ff = get_size(l, "expert_feed_forward_length", y->ff);
    y->router = layer_tensor(l, i, "ffn_gate_inp.weight", n * e, false);
    y->router_bias = layer_tensor(l, i, "ffn_gate_inp.bias", n, true);
    y->gate = layer_tensor(l, i, "ffn_gate_exps.weight", n * y->ff * e, false);
    y->up = layer_tensor(l, i, "ffn_up_exps.weight", n * y->ff * e, false);
    y->down = layer_tensor(l, i, "ffn_down_exps.weight", n * y->ff * e, false);
    y->gate_bias = layer_tensor(l, i, "ffn_gate_exps.bias", n * y->ff, true);
    y->up_bias = layer_tensor(l, i, "ffn_up_exps.bias", n * y->ff, true);
    y->down_bias = layer_tensor(l, i, "ffn_down_exps.bias", n * e, true);
    if (!o->over_all)
        return;
    y->shared_router = layer_tensor(l, i, "ffn_gate_inp_shexp.weight", e, false);
    y->shared_gate = layer_tensor(l, i, "ffn_gate_shexp.weight", o->shared_ff * e, false);
    y->shared_up = layer_tensor(l, i, "ffn_up_shexp.weight", o->shared_ff * e, false);
    y->shared_down = layer_tensor(l, i, "ffn_down_shexp.weight", o->shared_ff * e, false);
}

static void load_dense(struct loader *l, const struct oracle *o, size_t i, struct layer *y)
{
    size_t e = o->embd;
    if (strcmp(l->arch, "phi3") == 0) { /* the gate's rows, then those of up */
        float *both = layer_tensor(l, i, "ffn_up.weight", 2 * e * y->ff, false);
        y->gate = cut(both, 0, y->ff, e);
        y->up = cut(both, y->ff, y->ff, e);
        free(both);
    } else {
        y->gate = o->act == ACT_GELU ? NULL : layer_tensor(l, i, "ffn_gate.weight", e * y->ff, false);
        y->up = layer_tensor(l, i, "ffn_up.weight", e * y->ff, false);
    }
    y->down = layer_tensor(l, i, "ffn_down.weight", e * y->ff, false);
    y->gate_bias = layer_tensor(l, i, "ffn_gate.bias", y->ff, true);
    y->up_bias = layer_tensor(l, i, "ffn_up.bias", y->ff, true);
    y->down_bias = layer_tensor(l, i, "ffn_down.bias", e, true);
}

static void load_layer(struct loader *l, const struct oracle *o, size_t i, struct layer *y)
{
    y->heads = get_size_of_layer(l, "attention.head_count", i, 0);
    y->kv_heads = get_size_of_layer(l, "attention.head_count_kv", i, y->heads);
    y->ff = get_size_of_layer(l, "feed_forward_length", i, 0);
    bool oss = strcmp(l->arch, "gpt-oss") == 0, gemma2 = strcmp(l->arch, "gemma2") == 0,
         gemma3 = strcmp(l->arch, "gemma3") == 0;
    /* The last of so many layers sees everything. */
    size_t period = (size_t)get_number(l, "attention.sliding_window_pattern",
        oss || gemma2 ? 2
        : gemma3      ? 6
                      : 0);
    if (period == 0 || i % period != period - 1)
        y->window = (size_t)get_number(l, "attention.sliding_window", gemma2 ? 4096 : 0);
    size_t e = o->embd;
    y->attn_norm = layer_tensor(l, i, "attn_norm.weight", e, false);
    y->attn_norm_bias = layer_tensor(l, i, "attn_norm.bias", e, true);
    load_qkv(l, o, i, y);
    y->q_norm = layer_tensor(l, i, "attn_q_norm.weight", o->head_k, true);
    y->k_norm = layer_tensor(l, i, "attn_k_norm.weight", o->head_k, true);
    y->sinks = layer_tensor(l, i, "attn_sinks.weight", y->heads, !oss);
    y->out = layer_tensor(l, i, "attn_output.weight", e * y->heads * o->head_v, false);
    y->out_bias = layer_tensor(l, i, "attn_output.bias", e, true);
    y->ffn_norm = layer_tensor(l, i, oss ? "post_attention_norm.weight" : "ffn_norm.weight", e, false);
    y->ffn_norm_bias = layer_tensor(l, i, "ffn_norm.bias", e, true);
    if (gemma2 || gemma3) {
        y->attn_post_norm = layer_tensor(l, i, "post_attention_norm.weight", e, false);
        y->ffn_post_norm = layer_tensor(l, i, "post_ffw_norm.weight", e, false);
    }
    if (o->experts)
        load_experts(l, o, i, y);
    else
        load_dense(l, o, i, y);
}

static void load_arch(struct loader *l, struct oracle *o)
{
    static const char *const neox[] = {
        "qwen2", "qwen3", "qwen3moe", "phi3", "gpt-oss", "qwen2moe", "gemma", "gemma2", "gemma3"};
    struct gguf_str s = {"", 0};
    gguf_get_str(l->g, "general.architecture", &s, NULL);
    snprintf(l->arch, sizeof(l->arch), "%.*s", (int)(s.n < 31 ? s.n : 31), s.p);
    for (size_t i = 0; i < sizeof(neox) / sizeof(neox[0]); i++)
        o->neox |= strcmp(l->arch, neox[i]) == 0;
    if (strcmp(l->arch, "gpt2") == 0) {
        o->layer_norm = true;
        o->act = ACT_GELU;
    } else if (!o->neox && strcmp(l->arch, "llama") != 0) {
        fail(l, "architecture %s is not known here", l->arch);
    }
    o->rotates = !o->layer_norm;
    if (strcmp(l->arch, "gpt-oss") == 0)
        o->act = ACT_OAI;
    o->over_all = strcmp(l->arch, "qwen2moe") == 0;
}

/* Gemma: the embedding times the root of its width, gated GELU; from the second on caps and
 * (the largest of each) queries scaled by another size than that of a head. */
static void load_gemma(struct loader *l, struct oracle *o)
{
    o->embd_scale = 1;
    o->attn_scale = 1 / sqrt((double)o->head_k);
    if (strncmp(l->arch, "gemma", 5) != 0)
        return;
    const bool second = strcmp(l->arch, "gemma2") == 0, third = strcmp(l->arch, "gemma3") == 0;
    o->act = ACT_GELU_GATED;
    o->embd_scale = sqrt((double)o->embd);
    if (second || third) {
        o->attn_cap = get_number(l, "attn_logit_softcapping", second ? 50 : 0);
        o->logit_cap = get_number(l, "final_logit_softcapping", second ? 30 : 0);
    }
    if (third && get_number(l, "attention.sliding_window", 0) > 0)
        o->logit_cap = 0; /* converters wrote one that those models do not have */
    if (o->n_layers == (second ? 46 : 62) && (second || third))
        o->attn_scale =
            1 / sqrt((double)o->embd / (double)get_size_of_layer(l, "attention.head_count", 0, 0));
    if (third)
        o->local_base = get_number(l, "rope.freq_base_swa", get_number(l, "rope.local.freq_base", 10000));
}

static void load_rope(struct loader *l, struct oracle *o)
{
    struct gguf_str s = {"linear", 6};
    char type[16] = "";
    gguf_get_str(l->g, key(l, "rope.scaling.type"), &s, NULL);
    snprintf(type, sizeof(type), "%.*s", (int)(s.n < 15 ? s.n : 15), s.p);
    o->rope_dims = get_size(l, "rope.dimension_count", o->head_k);
    o->rope_base = get_number(l, "rope.freq_base", get_number(l, "rope.global.freq_base", 10000));
    o->rope_factor = get_number(l, "rope.scaling.factor", get_number(l, "rope.scale_linear", 1));
    if (strcmp(type, "none") == 0 || o->rope_factor == 0)
        o->rope_factor = 1;
    o->rope_magnitude = get_number(l, "rope.scaling.attn_factor", 1);
    o->original_context =
        get_size(l, "rope.scaling.original_context_length", get_size(l, "context_length", 0));
    if (strcmp(type, "yarn") == 0) {
        o->yarn_ext = get_number(l, "rope.scaling.yarn_ext_factor", 1);
        o->yarn_fast = get_number(l, "rope.scaling.yarn_beta_fast", 32);
        o->yarn_slow = get_number(l, "rope.scaling.yarn_beta_slow", 1);
        o->rope_magnitude *= 1 + 0.1 * log(o->rope_factor);
    } else if (strcmp(type, "none") != 0 && strcmp(type, "linear") != 0 && strcmp(type, "longrope") != 0) {
        fail(l, "rope scaling %s is not known here", type);
    }
    if (!o->neox)
        o->rope_freqs = get_tensor(l, "rope_freqs.weight", o->rope_dims / 2, true);
    o->rope_long = get_tensor(l, "rope_factors_long.weight", o->rope_dims / 2, true);
    o->rope_short = get_tensor(l, "rope_factors_short.weight", o->rope_dims / 2, true);
}

static void load(struct loader *l, struct oracle *o)
{
    load_arch(l, o);
    const struct gguf_tensor *embd = gguf_tensor_find(l->g, "token_embd.weight");
    if (l->failed || !embd) {
        l->failed = true;
        return;
    }
    o->vocab = embd->dims[1];
    o->embd = get_size(l, "embedding_length", 0);
    o->n_layers = get_size(l, "block_count", 0);
    size_t heads = get_size_of_layer(l, "attention.head_count", 0, 0);
    if (l->failed)
        return;
    o->head_k = get_size(l, "attention.key_length", o->embd / heads);
    o->head_v = get_size(l, "attention.value_length", o->embd / heads);
    o->eps =
        get_number(l, "attention.layer_norm_rms_epsilon", get_number(l, "attention.layer_norm_epsilon", 0));
    o->experts = (size_t)get_number(l, "expert_count", 0);
    o->experts_used = (size_t)get_number(l, "expert_used_count", 0);
    o->shared_ff = (size_t)get_number(l, "expert_shared_feed_forward_length", 0);
    load_gemma(l, o);
    if (o->rotates)
        load_rope(l, o);
    o->token_embd = get_tensor(l, "token_embd.weight", o->vocab * o->embd, false);
    o->positions = get_size(l, "context_length", 0);
    o->position_embd = get_tensor(l, "position_embd.weight", o->positions * o->embd, o->rotates);
    o->output_norm = get_tensor(l, "output_norm.weight", o->embd, false);
    o->output_norm_bias = get_tensor(l, "output_norm.bias", o->embd, true);
    o->output = get_tensor(l, "output.weight", o->vocab * o->embd, true);
    o->tied = !o->output;
    if (o->tied)
        o->output = o->token_embd;
    o->layers = oracle_alloc(o->n_layers, sizeof(*o->layers));
    for (size_t i = 0; i < o->n_layers && !l->failed; i++)
        load_layer(l, o, i, &o->layers[i]);
}

struct oracle *oracle_open(const char *path)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct loader l = {0};
    if (gguf_open(&l.g, path, &err) != 0) {
        fprintf(stderr, "oracle: %s\n", err.msg);
        return NULL;
    }
    struct oracle *o = oracle_alloc(1, sizeof(*o));
    load(&l, o);
    gguf_close(l.g);
    if (l.failed) {
        oracle_close(o);
        return NULL;
    }
    return o;
}

void oracle_close(struct oracle *o)
{
    if (!o)
        return;
    for (size_t i = 0; o->layers && i < o->n_layers; i++) {
        struct layer *y = &o->layers[i];
        float *all[] = {y->attn_norm, y->attn_norm_bias, y->q, y->q_bias, y->k, y->k_bias, y->v, y->v_bias,
            y->q_norm, y->k_norm, y->out, y->out_bias, y->sinks, y->ffn_norm, y->ffn_norm_bias, y->gate,
            y->gate_bias, y->up, y->up_bias, y->down, y->down_bias, y->router, y->router_bias,
            y->attn_post_norm, y->ffn_post_norm, y->shared_router, y->shared_gate, y->shared_up,
            y->shared_down};
        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
            free(all[k]);
    }
    if (!o->tied)
        free(o->output);
    free(o->token_embd);
    free(o->output_norm);
    free(o->output_norm_bias);
    free(o->position_embd);
    free(o->rope_freqs);
    free(o->rope_long);
    free(o->rope_short);
    free(o->layers);
    free(o);
}

void oracle_set_context(struct oracle *o, size_t n_ctx)
{
    o->context = n_ctx;
}

size_t oracle_n_vocab(const struct oracle *o)
{
    return o->vocab;
}
