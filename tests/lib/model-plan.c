#include "tests/lib/model-plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/quant-types.h"
#include "tests/lib/synth-vocab.h"

static const struct {
    const char *name;
    struct model_spec spec;
} presets[] = {
    {"tiny", {.family = "llama",
                 .layers = 2,
                 .embd = 256,
                 .heads = 4,
                 .kv_heads = 2,
                 .ff = 512,
                 .vocab = 1024,
                 .ctx = 512,
                 .rope_base = 1e4f,
                 .eps = 1e-5f,
                 .tokenizer = "llama-bpe"}},
    {"qwen2.5-0.5b", {.family = "qwen2",
                         .layers = 24,
                         .embd = 896,
                         .heads = 14,
                         .kv_heads = 2,
                         .ff = 4864,
                         .vocab = 151936,
                         .ctx = 32768,
                         .rope_base = 1e6f,
                         .eps = 1e-6f,
                         .tied = true,
                         .tokenizer = "qwen2"}},
    {"qwen3-0.6b", {.family = "qwen3",
                       .layers = 28,
                       .embd = 1024,
                       .heads = 16,
                       .kv_heads = 8,
                       .head_dim = 128,
                       .ff = 3072,
                       .vocab = 151936,
                       .ctx = 40960,
                       .rope_base = 1e6f,
                       .eps = 1e-6f,
                       .tied = true,
                       .tokenizer = "qwen2"}},
    {"tinyllama", {.family = "llama",
                      .layers = 22,
                      .embd = 2048,
                      .heads = 32,
                      .kv_heads = 4,
                      .ff = 5632,
                      .vocab = 32000,
                      .ctx = 2048,
                      .rope_base = 1e4f,
                      .eps = 1e-5f,
                      .tokenizer = "spm"}},
    {"phi-3-mini", {.family = "phi3",
                       .layers = 32,
                       .embd = 3072,
                       .heads = 32,
                       .kv_heads = 32,
                       .ff = 8192,
                       .vocab = 32064,
                       .ctx = 4096,
                       .window = 2047,
                       .rope_base = 1e4f,
                       .eps = 1e-5f,
                       .tokenizer = "phi3"}},
    {"gpt2", {.family = "gpt2",
                 .layers = 12,
                 .embd = 768,
                 .heads = 12,
                 .kv_heads = 12,
                 .ff = 3072,
                 .vocab = 50257,
                 .ctx = 1024,
                 .eps = 1e-5f,
                 .tokenizer = "qwen2"}},
    {"gpt-oss-20b", {.family = "gpt-oss",
                        .layers = 24,
                        .embd = 2880,
                        .heads = 64,
                        .kv_heads = 8,
                        .head_dim = 64,
                        .ff = 2880,
                        .experts = 32,
                        .experts_used = 4,
                        .vocab = 201088,
                        .ctx = 131072,
                        .window = 128,
                        .rope_base = 1.5e5f,
                        .rope_factor = 32,
                        .eps = 1e-5f,
                        .tokenizer = "qwen2"}},
    {"qwen1.5-moe-a2.7b", {.family = "qwen2moe",
                              .layers = 24,
                              .embd = 2048,
                              .heads = 16,
                              .kv_heads = 16,
                              .ff = 1408,
                              .experts = 60,
                              .experts_used = 4,
                              .shared_ff = 5632,
                              .vocab = 151936,
                              .ctx = 8192,
                              .rope_base = 1e6f,
                              .eps = 1e-6f,
                              .tokenizer = "qwen2"}},
    {"gemma-2b", {.family = "gemma",
                     .layers = 18,
                     .embd = 2048,
                     .heads = 8,
                     .kv_heads = 1,
                     .head_dim = 256,
                     .ff = 16384,
                     .vocab = 256000,
                     .ctx = 8192,
                     .rope_base = 1e4f,
                     .eps = 1e-6f,
                     .tied = true,
                     .tokenizer = "gemma"}},
    {"gemma-2-2b", {.family = "gemma2",
                       .layers = 26,
                       .embd = 2304,
                       .heads = 8,
                       .kv_heads = 4,
                       .head_dim = 256,
                       .ff = 9216,
                       .vocab = 256000,
                       .ctx = 8192,
                       .window = 4096,
                       .rope_base = 1e4f,
                       .eps = 1e-6f,
                       .tied = true,
                       .tokenizer = "gemma"}},
    {"gemma-3-1b", {.family = "gemma3",
                       .layers = 26,
                       .embd = 1152,
                       .heads = 4,
                       .kv_heads = 1,
                       .head_dim = 256,
                       .ff = 6912,
                       .vocab = 262144,
                       .ctx = 32768,
                       .window = 512,
                       .rope_base = 1e6f,
                       .eps = 1e-6f,
                       .tied = true,
                       .tokenizer = "gemma"}},
    {"llama-3.2-1b", {.family = "llama",
                         .layers = 16,
                         .embd = 2048,
                         .heads = 32,
                         .kv_heads = 8,
                         .ff = 8192,
                         .vocab = 128256,
                         .ctx = 131072,
                         .rope_base = 5e5f,
                         .eps = 1e-5f,
                         .rope_freqs = 32,
                         .tied = true,
                         .tokenizer = "llama-bpe"}},
    {"llama-3.1-8b", {.family = "llama",
                         .layers = 32,
                         .embd = 4096,
                         .heads = 32,
                         .kv_heads = 8,
                         .ff = 14336,
                         .vocab = 128256,
                         .ctx = 131072,
                         .rope_base = 5e5f,
                         .eps = 1e-5f,
                         .rope_freqs = 8,
                         .tokenizer = "llama-bpe"}},
};

const struct model_spec *model_preset_at(size_t i, const char **name)
{
    if (i >= sizeof(presets) / sizeof(presets[0]))
        return NULL;
    if (name)
        *name = presets[i].name;
    return &presets[i].spec;
}

const struct model_spec *model_preset(const char *name)
{
    const char *known;
    const struct model_spec *spec;
    for (size_t i = 0; (spec = model_preset_at(i, &known)); i++)
        if (strcmp(known, name) == 0)
            return spec;
    return NULL;
}

/* Which parts quantizers give more bits: attn_v and ffn_down of some layers, or as
 * part_type() has it. */
enum recipe { RECIPE_SOME_LAYERS, RECIPE_Q2_K, RECIPE_Q3_K_M, RECIPE_IQ4 };

/* Mixes and types that a file may be named after, with their general.file_type. */
static const struct mix {
    const char *name;
    uint32_t base, more; /* more: by RECIPE_SOME_LAYERS, and the output */
    uint32_t file_type;
    uint32_t fused;   /* attn_qkv; 0: base */
    uint32_t experts; /* 0: base, and more for the down matrices */
    enum recipe recipe;
} mixes[] = {
    {"Q2_K", ORCD_TYPE_Q2_K, ORCD_TYPE_Q6_K, 10, 0, 0, RECIPE_Q2_K},
    {"Q3_K_M", ORCD_TYPE_Q3_K, ORCD_TYPE_Q6_K, 12, ORCD_TYPE_Q4_K, 0, RECIPE_Q3_K_M},
    {"IQ4_NL", ORCD_TYPE_IQ4_NL, ORCD_TYPE_Q6_K, 25, 0, 0, RECIPE_IQ4},
    {"IQ4_XS", ORCD_TYPE_IQ4_XS, ORCD_TYPE_Q6_K, 30, 0, 0, RECIPE_IQ4},
    {"Q4_K_M", ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, 15, ORCD_TYPE_Q5_K, 0, RECIPE_SOME_LAYERS},
    {"Q5_K_M", ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K, 17, ORCD_TYPE_Q6_K, 0, RECIPE_SOME_LAYERS},
    {"MXFP4_MOE", ORCD_TYPE_Q8_0, ORCD_TYPE_Q8_0, 38, 0, ORCD_TYPE_MXFP4, RECIPE_SOME_LAYERS},
    {"F32", ORCD_TYPE_F32, ORCD_TYPE_F32, 0, 0, 0, RECIPE_SOME_LAYERS},
    {"F16", ORCD_TYPE_F16, ORCD_TYPE_F16, 1, 0, 0, RECIPE_SOME_LAYERS},
    {"BF16", ORCD_TYPE_BF16, ORCD_TYPE_BF16, 32, 0, 0, RECIPE_SOME_LAYERS},
    {"Q4_0", ORCD_TYPE_Q4_0, ORCD_TYPE_Q4_0, 2, 0, 0, RECIPE_SOME_LAYERS},
    {"Q4_1", ORCD_TYPE_Q4_1, ORCD_TYPE_Q4_1, 3, 0, 0, RECIPE_SOME_LAYERS},
    {"Q5_0", ORCD_TYPE_Q5_0, ORCD_TYPE_Q5_0, 8, 0, 0, RECIPE_SOME_LAYERS},
    {"Q5_1", ORCD_TYPE_Q5_1, ORCD_TYPE_Q5_1, 9, 0, 0, RECIPE_SOME_LAYERS},
    {"Q8_0", ORCD_TYPE_Q8_0, ORCD_TYPE_Q8_0, 7, 0, 0, RECIPE_SOME_LAYERS},
    {"Q3_K", ORCD_TYPE_Q3_K, ORCD_TYPE_Q3_K, 11, 0, 0, RECIPE_SOME_LAYERS},
    {"Q4_K", ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, 14, 0, 0, RECIPE_SOME_LAYERS},
    {"Q5_K", ORCD_TYPE_Q5_K, ORCD_TYPE_Q5_K, 16, 0, 0, RECIPE_SOME_LAYERS},
    {"Q6_K", ORCD_TYPE_Q6_K, ORCD_TYPE_Q6_K, 18, 0, 0, RECIPE_SOME_LAYERS},
    {"MXFP4", ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, 38, 0, 0, RECIPE_SOME_LAYERS},
};

static const struct mix *find_mix(const char *name)
{
    for (size_t i = 0; name && i < sizeof(mixes) / sizeof(mixes[0]); i++)
        if (strcmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

/* The layers in which quantizers of the _M mixes spend more bits. */
static bool more_bits(uint32_t i, uint32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

enum part { PART_V, PART_ATTN_OUT, PART_DOWN };

/* The type of that part of layer i. */
static uint32_t part_type(const struct model_spec *s, const struct mix *mix, enum part part, int i)
{
    const int n = (int)s->layers;
    const bool shared = s->heads / s->kv_heads >= 4; /* keys and values by four heads and more */
    switch (mix->recipe) {
    case RECIPE_Q2_K:
        return part == PART_V && shared ? ORCD_TYPE_Q4_K : ORCD_TYPE_Q3_K;
    case RECIPE_Q3_K_M:
        if (part == PART_V && i < 2)
            return ORCD_TYPE_Q5_K;
        return part == PART_DOWN && i < n / 16 ? ORCD_TYPE_Q5_K : ORCD_TYPE_Q4_K;
    case RECIPE_IQ4:
        if (part == PART_V)
            return shared ? ORCD_TYPE_Q5_K : mix->base;
        return part == PART_DOWN && i < n / 8 ? ORCD_TYPE_Q5_K : mix->base;
    default:
        return part != PART_ATTN_OUT && more_bits((uint32_t)i, s->layers) ? mix->more : mix->base;
    }
}

/* What quantizers fall back to for rows that the block doesn't divide. */
static uint32_t fit_row(uint32_t type, uint64_t row)
{
    if (row % 256 != 0)
        switch (type) {
        case ORCD_TYPE_Q4_K:
            type = ORCD_TYPE_Q5_0;
            break;
        case ORCD_TYPE_Q5_K:
            type = ORCD_TYPE_Q5_1;
            break;
        case ORCD_TYPE_Q6_K:
            type = ORCD_TYPE_Q8_0;
            break;
        case ORCD_TYPE_Q2_K:
        case ORCD_TYPE_Q3_K:
            type = ORCD_TYPE_Q4_0;
            break;
        case ORCD_TYPE_IQ4_XS:
            type = ORCD_TYPE_IQ4_NL;
            break;
        default:
            break;
        }
    return row % quant_type_find(type)->block_elems == 0 ? type : ORCD_TYPE_F16;
}

static void add_many(struct model_plan *p, const char *name, int layer, uint32_t type, uint64_t cols,
    uint64_t rows, uint64_t n, enum plan_fill fill, double std)
{
    struct plan_tensor *t = &p->tensors[p->n++];
    char layer_name[16] = "";
    if (layer >= 0)
        snprintf(layer_name, sizeof(layer_name), "blk.%d.", layer);
    snprintf(t->name, sizeof(t->name), "%s%s", layer_name, name);
    t->type = rows ? fit_row(type, cols) : ORCD_TYPE_F32;
    t->n_dims = n > 1 ? 3 : rows ? 2 : 1;
    t->dims[0] = cols;
    t->dims[1] = rows ? rows : 1;
    t->dims[2] = n;
    t->fill = fill;
    t->std = (float)std;
    t->bytes = quant_type_bytes(quant_type_find(t->type), cols * t->dims[1] * n);
    t->offset = gw_tensor(&p->writer, t->name, t->type, t->n_dims, t->dims, NULL);
    p->data_bytes = t->offset + t->bytes;
}

static void add(struct model_plan *p, const char *name, int layer, uint32_t type, uint64_t cols,
    uint64_t rows, enum plan_fill fill, double std)
{
    add_many(p, name, layer, type, cols, rows, 1, fill, std);
}

static void add_bias(struct model_plan *p, const char *name, int layer, uint64_t n)
{
    add(p, name, layer, ORCD_TYPE_F32, n, 0, PLAN_BIAS, 0.2);
}

static bool is(const struct model_plan *p, const char *family)
{
    return strcmp(p->spec.family, family) == 0;
}

static void add_norm(struct model_plan *p, const char *name, int layer, uint64_t n)
{
    char full[64];
    snprintf(full, sizeof(full), "%s.weight", name);
    add(p, full, layer, 0, n, 0, PLAN_NORM, 0.1);
    snprintf(full, sizeof(full), "%s.bias", name);
    if (is(p, "gpt2"))
        add_bias(p, full, layer, n);
}

static bool post_norms(const struct model_plan *p)
{
    return is(p, "gemma2") || is(p, "gemma3");
}

static void add_attention(struct model_plan *p, const struct mix *mix, int i)
{
    const struct model_spec *s = &p->spec;
    const uint64_t e = s->embd, q = (uint64_t)s->heads * s->head_dim,
                   kv = (uint64_t)s->kv_heads * s->head_dim;
    const bool oss = is(p, "gpt-oss"), bias = s->biases || oss || is(p, "qwen2") || is(p, "qwen2moe"),
               fused = is(p, "phi3") || is(p, "gpt2");
    const double in = 1 / sqrt((double)e), depth = 1 / sqrt(2.0 * s->layers);
    add_norm(p, "attn_norm", i, e);
    if (fused) {
        add(p, "attn_qkv.weight", i, mix->fused ? mix->fused : mix->base, e, q + 2 * kv, PLAN_WEIGHTS,
            1.2 * in);
    } else {
        add(p, "attn_q.weight", i, mix->base, e, q, PLAN_WEIGHTS, 1.4 * in);
        add(p, "attn_k.weight", i, mix->base, e, kv, PLAN_WEIGHTS, 1.4 * in);
        add(p, "attn_v.weight", i, part_type(s, mix, PART_V, i), e, kv, PLAN_WEIGHTS, in);
    }
    add(p, "attn_output.weight", i, part_type(s, mix, PART_ATTN_OUT, i), q, e, PLAN_WEIGHTS,
        2 * depth / sqrt((double)q));
    if (is(p, "gpt2")) {
        add_bias(p, "attn_qkv.bias", i, q + 2 * kv);
    } else if (bias) {
        add_bias(p, "attn_q.bias", i, q);
        add_bias(p, "attn_k.bias", i, kv);
        add_bias(p, "attn_v.bias", i, kv);
    }
    if (oss)
        add_bias(p, "attn_sinks.weight", i, s->heads);
    if (is(p, "qwen3") || is(p, "qwen3moe") || is(p, "gemma3")) {
        add(p, "attn_q_norm.weight", i, 0, s->head_dim, 0, PLAN_NORM, 0.1);
        add(p, "attn_k_norm.weight", i, 0, s->head_dim, 0, PLAN_NORM, 0.1);
    }
    if (post_norms(p))
        add_norm(p, "post_attention_norm", i, e);
}

static void add_experts(struct model_plan *p, const struct mix *mix, int i)
{
    const struct model_spec *s = &p->spec;
    const uint64_t e = s->embd, n = s->experts;
    const double in = 1 / sqrt((double)e), depth = 1 / sqrt(2.0 * s->layers);
    const uint32_t type = mix->experts ? mix->experts : mix->base;
    add(p, "ffn_gate_inp.weight", i, ORCD_TYPE_F32, e, n, PLAN_WEIGHTS, in);
    add_many(p, "ffn_gate_exps.weight", i, type, e, s->ff, n, PLAN_WEIGHTS, in);
    add_many(p, "ffn_up_exps.weight", i, type, e, s->ff, n, PLAN_WEIGHTS, in);
    add_many(p, "ffn_down_exps.weight", i, mix->experts ? type : part_type(s, mix, PART_DOWN, i), s->ff, e, n,
        PLAN_WEIGHTS, 2 * depth / sqrt((double)s->ff));
    if (is(p, "qwen2moe")) {
        add(p, "ffn_gate_inp_shexp.weight", i, 0, e, 0, PLAN_BIAS, in);
        add(p, "ffn_gate_shexp.weight", i, mix->base, e, s->shared_ff, PLAN_WEIGHTS, in);
        add(p, "ffn_up_shexp.weight", i, mix->base, e, s->shared_ff, PLAN_WEIGHTS, in);
        add(p, "ffn_down_shexp.weight", i, mix->base, s->shared_ff, e, PLAN_WEIGHTS,
            2 * depth / sqrt((double)s->shared_ff));
    }
    if (!is(p, "gpt-oss"))
        return;
    add_bias(p, "attn_output.bias", i, e);
    add_bias(p, "ffn_gate_inp.bias", i, n);
    add(p, "ffn_gate_exps.bias", i, ORCD_TYPE_F32, s->ff, n, PLAN_BIAS, 0.2);
    add(p, "ffn_up_exps.bias", i, ORCD_TYPE_F32, s->ff, n, PLAN_BIAS, 0.2);
    add(p, "ffn_down_exps.bias", i, ORCD_TYPE_F32, e, n, PLAN_BIAS, 0.2);
}

/* Deviations keep activations near 1 through any number of layers. */
static void add_layer(struct model_plan *p, const struct mix *mix, int i)
{
    const struct model_spec *s = &p->spec;
    const uint64_t e = s->embd;
    const double in = 1 / sqrt((double)e), depth = 1 / sqrt(2.0 * s->layers);
    const bool gated = !is(p, "gpt2"), fused = is(p, "phi3"), bias = s->biases || is(p, "gpt2");
    add_attention(p, mix, i);
    add_norm(p, is(p, "gpt-oss") ? "post_attention_norm" : "ffn_norm", i, e);
    if (s->experts) {
        add_experts(p, mix, i);
        return;
    }
    if (gated && !fused)
        add(p, "ffn_gate.weight", i, mix->base, e, s->ff, PLAN_WEIGHTS, in);
    add(p, "ffn_up.weight", i, mix->base, e, fused ? 2 * (uint64_t)s->ff : s->ff, PLAN_WEIGHTS, in);
    add(p, "ffn_down.weight", i, part_type(s, mix, PART_DOWN, i), s->ff, e, PLAN_WEIGHTS,
        2 * depth / sqrt((double)s->ff));
    if (post_norms(p))
        add_norm(p, "post_ffw_norm", i, e);
    if (!bias)
        return;
    add_bias(p, "attn_output.bias", i, e);
    if (gated)
        add_bias(p, "ffn_gate.bias", i, s->ff);
    add_bias(p, "ffn_up.bias", i, s->ff);
    add_bias(p, "ffn_down.bias", i, e);
}

static void add_metadata(struct gguf_writer *w, const struct model_spec *s, const struct mix *mix)
{
    char key[96];
#define KEY(suffix) (snprintf(key, sizeof(key), "%s." suffix, s->family), key)
    gw_str(w, "general.architecture", s->family);
    gw_str(w, "general.name", s->name ? s->name : "random weights");
    gw_u32(w, "general.quantization_version", 2);
    gw_u32(w, "general.file_type", mix->file_type);
    gw_u32(w, KEY("block_count"), s->layers);
    gw_u32(w, KEY("context_length"), s->ctx);
    gw_u32(w, KEY("embedding_length"), s->embd);
    gw_u32(w, KEY("feed_forward_length"), s->ff);
    gw_u32(w, KEY("attention.head_count"), s->heads);
    gw_u32(w, KEY("attention.head_count_kv"), s->kv_heads);
    if (strcmp(s->family, "gpt2") == 0) {
        gw_f32(w, KEY("attention.layer_norm_epsilon"), s->eps);
    } else {
        gw_f32(w, KEY("attention.layer_norm_rms_epsilon"), s->eps);
        gw_f32(w, KEY("rope.freq_base"), s->rope_base);
        gw_u32(w, KEY("rope.dimension_count"), s->head_dim);
    }
    /* Some readers of phi3 want to be told of a window; one that no context fills is none. */
    if (s->window || strcmp(s->family, "phi3") == 0)
        gw_u32(w, KEY("attention.sliding_window"), s->window ? s->window : s->ctx);
    gw_u32(w, KEY("vocab_size"), s->vocab);
    if ((uint64_t)s->head_dim * s->heads != s->embd) {
        gw_u32(w, KEY("attention.key_length"), s->head_dim);
        gw_u32(w, KEY("attention.value_length"), s->head_dim);
    }
    if (s->rope_factor > 0) {
        const bool yarn = strcmp(s->family, "gpt-oss") == 0;
        gw_str(w, KEY("rope.scaling.type"), yarn ? "yarn" : "linear");
        gw_f32(w, KEY("rope.scaling.factor"), s->rope_factor);
        if (yarn)
            gw_u32(
                w, KEY("rope.scaling.original_context_length"), (uint32_t)((float)s->ctx / s->rope_factor));
    }
    if (s->experts) {
        gw_u32(w, KEY("expert_count"), s->experts);
        gw_u32(w, KEY("expert_used_count"), s->experts_used);
        gw_u32(w, KEY("expert_feed_forward_length"), s->ff);
    }
    if (s->shared_ff)
        gw_u32(w, KEY("expert_shared_feed_forward_length"), s->shared_ff);
    if (strcmp(s->family, "gemma2") == 0) {
        gw_f32(w, KEY("attn_logit_softcapping"), 50);
        gw_f32(w, KEY("final_logit_softcapping"), 30);
    }
#undef KEY
    synth_vocab_write(w, s->tokenizer, s->vocab);
}

bool model_has_experts(const char *family)
{
    return strcmp(family, "qwen2moe") == 0 || strcmp(family, "qwen3moe") == 0 ||
           strcmp(family, "gpt-oss") == 0;
}

static const char *check(const struct model_spec *s)
{
    static const char *const families[] = {"llama", "qwen2", "qwen3", "phi3", "gpt2", "qwen3moe", "gpt-oss",
        "qwen2moe", "gemma", "gemma2", "gemma3"};
    bool known = false;
    for (size_t i = 0; s->family && i < sizeof(families) / sizeof(families[0]); i++)
        known |= strcmp(s->family, families[i]) == 0;
    if (!known)
        return "unknown family";
    if (!find_mix(s->quant))
        return "unknown quantization";
    if (!s->layers || !s->embd || !s->heads || !s->kv_heads || !s->ff || !s->vocab || !s->ctx)
        return "a size is 0";
    if (s->heads % s->kv_heads != 0)
        return "heads must be a multiple of kv-heads";
    if (!s->head_dim && s->embd % s->heads != 0)
        return "embd must be a multiple of heads unless head-dim is given";
    if ((s->head_dim ? s->head_dim : s->embd / s->heads) % 2 != 0)
        return "the head size must be even";
    if (s->layers > 1000000 || s->embd > 1 << 20 || s->ff > 1 << 20 || s->vocab > 1 << 24 ||
        s->heads > 1 << 16)
        return "a size is too large";
    const bool must = model_has_experts(s->family);
    if (must ? !s->experts : s->experts && strcmp(s->family, "llama") != 0)
        return "qwen2moe, qwen3moe and gpt-oss have experts, llama may have some";
    if (s->shared_ff && strcmp(s->family, "qwen2moe") != 0)
        return "only qwen2moe has an expert that all tokens share";
    if (s->experts > 1024 || s->experts_used > s->experts || (s->experts && !s->experts_used))
        return "at most 1024 experts, of which some are used";
    if (s->rope_freqs > 0 && strcmp(s->family, "llama") != 0)
        return "only llama has rope_freqs";
    return synth_vocab_check(s->tokenizer, s->vocab);
}

const char *model_plan_init(struct model_plan *p, const struct model_spec *spec)
{
    const char *wrong = check(spec);
    if (wrong)
        return wrong;
    *p = (struct model_plan){.spec = *spec};
    struct model_spec *s = &p->spec;
    const struct mix *mix = find_mix(s->quant);
    if (!s->head_dim)
        s->head_dim = s->embd / s->heads;
    if (is(p, "qwen2moe") && !s->shared_ff)
        s->shared_ff = 4 * s->ff;
    gw_init(&p->writer);
    p->tensors = calloc(8 + 24 * (size_t)s->layers, sizeof(*p->tensors));
    if (!p->tensors)
        abort();
    add_metadata(&p->writer, s, mix);
    /* The sharper of the two ends makes logits of deviation about 3. */
    double end = 3 / sqrt((double)s->embd);
    /* Gemma's embedding is multiplied by the root of its width, and then no more than what layers add. */
    const bool scaled = strncmp(s->family, "gemma", 5) == 0;
    add(p, "token_embd.weight", -1, s->tied ? mix->more : mix->base, s->embd, s->vocab, PLAN_WEIGHTS,
        scaled    ? end / 3
        : s->tied ? end
                  : 0.5);
    if (is(p, "gpt2"))
        add(p, "position_embd.weight", -1, mix->base == ORCD_TYPE_F32 ? ORCD_TYPE_F32 : ORCD_TYPE_F16,
            s->embd, s->ctx, PLAN_WEIGHTS, 0.2);
    if (s->rope_freqs > 0)
        add(p, "rope_freqs.weight", -1, 0, s->head_dim / 2, 0, PLAN_ROPE_FREQS, 0);
    for (uint32_t i = 0; i < s->layers; i++)
        add_layer(p, mix, (int)i);
    add_norm(p, "output_norm", -1, s->embd);
    if (!s->tied)
        add(p, "output.weight", -1, mix->more, s->embd, s->vocab, PLAN_WEIGHTS, end);
    return NULL;
}

void model_plan_free(struct model_plan *p)
{
    gw_free(&p->writer);
    free(p->tensors);
    p->tensors = NULL;
}

struct gw_buf model_plan_finish(const struct model_plan *p, uint64_t seed)
{
    struct gw_buf b = gw_header(&p->writer);
    size_t data = b.n;
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_tensor *t = &p->tensors[i];
        size_t unit = model_plan_unit(p, i);
        gw_pad(&b, p->writer.alignment);
        if (b.n != data + t->offset)
            abort();
        unsigned char *chunk = malloc(unit);
        for (uint64_t at = 0; at < t->bytes; at += unit) {
            size_t n = t->bytes - at < unit ? t->bytes - at : unit;
            model_plan_fill(p, i, seed, at, chunk, n);
            gw_put(&b, chunk, n);
        }
        free(chunk);
    }
    return b;
}

const char *model_spec_write(const struct model_spec *spec, uint64_t seed, const char *path)
{
    struct model_plan p;
    const char *wrong = model_plan_init(&p, spec);
    if (wrong)
        return wrong;
    struct gw_buf b = model_plan_finish(&p, seed);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b.p, 1, b.n, f) != b.n)
        wrong = strerror(errno);
    if (f && fclose(f) != 0 && !wrong)
        wrong = strerror(errno);
    gw_buf_free(&b);
    model_plan_free(&p);
    return wrong;
}
