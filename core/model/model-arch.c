/*
 * The families as data. A new family is a row of families[] with the roles of its files. What it computes
 * beyond the plain transformer is expressed by features (plugin.h); a plugin refuses a model with a feature
 * that it does not support.
 */
#include <string.h>

#include "base/util.h"
#include "model/model-internal.h"

/* clang-format off */
const struct model_role model_global_roles[ORCD_G_COUNT] = {
    [ORCD_G_TOKEN_EMBD]    = {"token_embd.weight", {DIM_EMBD, DIM_VOCAB}},
    [ORCD_G_OUTPUT_NORM]   = {"output_norm.weight", {DIM_EMBD}},
    [ORCD_G_OUTPUT_NORM_B] = {"output_norm.bias", {DIM_EMBD}},
    [ORCD_G_OUTPUT]        = {"output.weight", {DIM_EMBD, DIM_VOCAB}},
    [ORCD_G_POSITION_EMBD] = {"position_embd.weight", {DIM_EMBD, DIM_CTX}},
    [ORCD_G_ROPE_FREQS]    = {"rope_freqs.weight", {DIM_ROPE_HALF}},
    [ORCD_G_ROPE_LONG]     = {"rope_factors_long.weight", {DIM_ROPE_HALF}},
    [ORCD_G_ROPE_SHORT]    = {"rope_factors_short.weight", {DIM_ROPE_HALF}},
};

const struct model_role model_layer_roles[ORCD_L_COUNT] = {
    [ORCD_L_ATTN_NORM]   = {"attn_norm.weight", {DIM_EMBD}},
    [ORCD_L_ATTN_NORM_B] = {"attn_norm.bias", {DIM_EMBD}},
    [ORCD_L_Q]           = {"attn_q.weight", {DIM_EMBD, DIM_Q}},
    [ORCD_L_Q_B]         = {"attn_q.bias", {DIM_Q}},
    [ORCD_L_K]           = {"attn_k.weight", {DIM_EMBD, DIM_K}},
    [ORCD_L_K_B]         = {"attn_k.bias", {DIM_K}},
    [ORCD_L_V]           = {"attn_v.weight", {DIM_EMBD, DIM_V}},
    [ORCD_L_V_B]         = {"attn_v.bias", {DIM_V}},
    [ORCD_L_QKV]         = {"attn_qkv.weight", {DIM_EMBD, DIM_QKV}},
    [ORCD_L_QKV_B]       = {"attn_qkv.bias", {DIM_QKV}},
    [ORCD_L_Q_NORM]      = {"attn_q_norm.weight", {DIM_HEAD}},
    [ORCD_L_K_NORM]      = {"attn_k_norm.weight", {DIM_HEAD}},
    [ORCD_L_ATTN_OUT]    = {"attn_output.weight", {DIM_ATTN, DIM_EMBD}},
    [ORCD_L_ATTN_OUT_B]  = {"attn_output.bias", {DIM_EMBD}},
    [ORCD_L_SINKS]       = {"attn_sinks.weight", {DIM_HEADS}},
    [ORCD_L_FFN_NORM]    = {"ffn_norm.weight", {DIM_EMBD}},
    [ORCD_L_FFN_NORM_B]  = {"ffn_norm.bias", {DIM_EMBD}},
    [ORCD_L_GATE]        = {"ffn_gate.weight", {DIM_EMBD, DIM_FF}},
    [ORCD_L_GATE_B]      = {"ffn_gate.bias", {DIM_FF}},
    [ORCD_L_UP]          = {"ffn_up.weight", {DIM_EMBD, DIM_UP}},
    [ORCD_L_UP_B]        = {"ffn_up.bias", {DIM_UP}},
    [ORCD_L_DOWN]        = {"ffn_down.weight", {DIM_FF, DIM_EMBD}},
    [ORCD_L_DOWN_B]      = {"ffn_down.bias", {DIM_EMBD}},
    [ORCD_L_ROUTER]      = {"ffn_gate_inp.weight", {DIM_EMBD, DIM_EXPERTS}},
    [ORCD_L_ROUTER_B]    = {"ffn_gate_inp.bias", {DIM_EXPERTS}},
    [ORCD_L_GATE_EXPS]   = {"ffn_gate_exps.weight", {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERTS}},
    [ORCD_L_GATE_EXPS_B] = {"ffn_gate_exps.bias", {DIM_FF_EXPERT, DIM_EXPERTS}},
    [ORCD_L_UP_EXPS]     = {"ffn_up_exps.weight", {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERTS}},
    [ORCD_L_UP_EXPS_B]   = {"ffn_up_exps.bias", {DIM_FF_EXPERT, DIM_EXPERTS}},
    [ORCD_L_DOWN_EXPS]   = {"ffn_down_exps.weight", {DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERTS}},
    [ORCD_L_DOWN_EXPS_B] = {"ffn_down_exps.bias", {DIM_EMBD, DIM_EXPERTS}},
    [ORCD_L_ATTN_POST_NORM] = {"post_attention_norm.weight", {DIM_EMBD}},
    [ORCD_L_FFN_POST_NORM]  = {"post_ffw_norm.weight", {DIM_EMBD}},
    [ORCD_L_SHARED_ROUTER]  = {"ffn_gate_inp_shexp.weight", {DIM_EMBD}},
    [ORCD_L_SHARED_GATE]    = {"ffn_gate_shexp.weight", {DIM_EMBD, DIM_FF_SHARED}},
    [ORCD_L_SHARED_UP]      = {"ffn_up_shexp.weight", {DIM_EMBD, DIM_FF_SHARED}},
    [ORCD_L_SHARED_DOWN]    = {"ffn_down_shexp.weight", {DIM_FF_SHARED, DIM_EMBD}},
};

#define USE(role, required, feature) {role, required, feature, NULL, NULL}

/* If output is missing, token_embd is used in its place (tied weights). */
#define PLAIN_GLOBAL USE(ORCD_G_TOKEN_EMBD, 1, 0), USE(ORCD_G_OUTPUT_NORM, 1, 0), USE(ORCD_G_OUTPUT, 0, 0)
#define LONG_ROPE USE(ORCD_G_ROPE_LONG, 0, ORCD_F_LONGROPE), USE(ORCD_G_ROPE_SHORT, 0, ORCD_F_LONGROPE)

static const struct model_use plain_global[] = {
    PLAIN_GLOBAL,
};

static const struct model_use llama_global[] = {
    PLAIN_GLOBAL, LONG_ROPE, USE(ORCD_G_ROPE_FREQS, 0, ORCD_F_ROPE_FREQS),
};

static const struct model_use phi3_global[] = {
    PLAIN_GLOBAL, LONG_ROPE,
};

static const struct model_use gpt2_global[] = {
    PLAIN_GLOBAL, USE(ORCD_G_OUTPUT_NORM_B, 1, 0), USE(ORCD_G_POSITION_EMBD, 1, ORCD_F_POSITION_EMBD),
};

#define SPLIT_QKV \
    USE(ORCD_L_ATTN_NORM, 1, 0), USE(ORCD_L_Q, 1, 0), USE(ORCD_L_K, 1, 0), USE(ORCD_L_V, 1, 0)
/* One matrix or three: see check_qkv(). */
#define ANY_QKV \
    USE(ORCD_L_ATTN_NORM, 1, 0), USE(ORCD_L_QKV, 0, ORCD_F_FUSED_QKV), \
    USE(ORCD_L_Q, 0, 0), USE(ORCD_L_K, 0, 0), USE(ORCD_L_V, 0, 0)
#define MAY_BIAS_QKV \
    USE(ORCD_L_Q_B, 0, ORCD_F_QKV_BIAS), USE(ORCD_L_K_B, 0, ORCD_F_QKV_BIAS), USE(ORCD_L_V_B, 0, ORCD_F_QKV_BIAS)
#define QK_NORM USE(ORCD_L_Q_NORM, 1, ORCD_F_QK_NORM), USE(ORCD_L_K_NORM, 1, ORCD_F_QK_NORM)
#define PLAIN_FFN \
    USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_FFN_NORM, 1, 0), USE(ORCD_L_GATE, 1, 0), USE(ORCD_L_UP, 1, 0), USE(ORCD_L_DOWN, 1, 0)
#define EXPERTS \
    USE(ORCD_L_ROUTER, 1, 0), USE(ORCD_L_GATE_EXPS, 1, 0), USE(ORCD_L_UP_EXPS, 1, 0), USE(ORCD_L_DOWN_EXPS, 1, 0)

static const struct model_use llama_layer[] = {
    SPLIT_QKV, PLAIN_FFN, MAY_BIAS_QKV,
    USE(ORCD_L_ATTN_OUT_B, 0, ORCD_F_BIASES), USE(ORCD_L_GATE_B, 0, ORCD_F_BIASES),
    USE(ORCD_L_UP_B, 0, ORCD_F_BIASES), USE(ORCD_L_DOWN_B, 0, ORCD_F_BIASES),
};

static const struct model_use qwen2_layer[] = {
    SPLIT_QKV, PLAIN_FFN,
    USE(ORCD_L_Q_B, 1, ORCD_F_QKV_BIAS), USE(ORCD_L_K_B, 1, ORCD_F_QKV_BIAS), USE(ORCD_L_V_B, 1, ORCD_F_QKV_BIAS),
};

static const struct model_use qwen3_layer[] = {
    SPLIT_QKV, PLAIN_FFN, QK_NORM,
};

static const struct model_use phi3_layer[] = {
    ANY_QKV, USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_FFN_NORM, 1, 0), USE(ORCD_L_UP, 1, 0), USE(ORCD_L_DOWN, 1, 0),
};

static const struct model_use gpt2_layer[] = {
    ANY_QKV, MAY_BIAS_QKV, USE(ORCD_L_QKV_B, 0, ORCD_F_QKV_BIAS), USE(ORCD_L_ATTN_NORM_B, 1, 0),
    USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_ATTN_OUT_B, 1, ORCD_F_BIASES),
    USE(ORCD_L_FFN_NORM, 1, 0), USE(ORCD_L_FFN_NORM_B, 1, 0),
    USE(ORCD_L_UP, 1, 0), USE(ORCD_L_UP_B, 1, ORCD_F_BIASES),
    USE(ORCD_L_DOWN, 1, 0), USE(ORCD_L_DOWN_B, 1, ORCD_F_BIASES),
};

static const struct model_use llama_moe_layer[] = {
    SPLIT_QKV, MAY_BIAS_QKV, USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_ATTN_OUT_B, 0, ORCD_F_BIASES),
    USE(ORCD_L_FFN_NORM, 1, 0), EXPERTS,
};

static const struct model_use qwen3moe_layer[] = {
    SPLIT_QKV, QK_NORM, USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_FFN_NORM, 1, 0), EXPERTS,
};

static const struct model_use qwen2moe_layer[] = {
    SPLIT_QKV, MAY_BIAS_QKV, USE(ORCD_L_ATTN_OUT, 1, 0), USE(ORCD_L_FFN_NORM, 1, 0), EXPERTS,
    USE(ORCD_L_SHARED_ROUTER, 1, 0), USE(ORCD_L_SHARED_GATE, 1, 0),
    USE(ORCD_L_SHARED_UP, 1, 0), USE(ORCD_L_SHARED_DOWN, 1, 0),
};

#define POST_NORMS \
    USE(ORCD_L_ATTN_POST_NORM, 1, ORCD_F_POST_NORMS), USE(ORCD_L_FFN_POST_NORM, 1, ORCD_F_POST_NORMS)

static const struct model_use gemma_layer[] = {
    SPLIT_QKV, PLAIN_FFN,
};

static const struct model_use gemma2_layer[] = {
    SPLIT_QKV, PLAIN_FFN, POST_NORMS,
};

static const struct model_use gemma3_layer[] = {
    SPLIT_QKV, PLAIN_FFN, POST_NORMS, QK_NORM,
};

static const struct model_use oss_layer[] = {
    ANY_QKV, MAY_BIAS_QKV, USE(ORCD_L_QKV_B, 0, ORCD_F_QKV_BIAS),
    {ORCD_L_ATTN_OUT, 1, 0, NULL, "attn_out.weight"},
    {ORCD_L_ATTN_OUT_B, 1, ORCD_F_BIASES, NULL, "attn_out.bias"},
    {ORCD_L_SINKS, 1, ORCD_F_SINKS, NULL, "attn_sinks"},
    {ORCD_L_FFN_NORM, 1, 0, "post_attention_norm.weight", "ffn_norm.weight"}, EXPERTS,
    USE(ORCD_L_ROUTER_B, 1, ORCD_F_BIASES), USE(ORCD_L_GATE_EXPS_B, 1, ORCD_F_BIASES),
    USE(ORCD_L_UP_EXPS_B, 1, ORCD_F_BIASES), USE(ORCD_L_DOWN_EXPS_B, 1, ORCD_F_BIASES),
};

#define SCALINGS (1u << ORCD_SCALING_NONE | 1u << ORCD_SCALING_LINEAR | 1u << ORCD_SCALING_YARN)
#define LONG_SCALINGS (SCALINGS | 1u << ORCD_SCALING_LONGROPE)
#define OSS .rope = ORCD_ROPE_NEOX, .activation = ORCD_ACT_SWIGLU_OAI, .experts = true, .scalings = SCALINGS, \
    .default_scaling = ORCD_SCALING_YARN, .window = 128, .window_period = 2, \
    .features = ORCD_F_MOE | ORCD_F_SWIGLU_OAI, USES(plain_global, oss_layer)
#define GEMMA .rope = ORCD_ROPE_NEOX, .activation = ORCD_ACT_GELU_GATED, .scalings = SCALINGS, \
    .features = ORCD_F_EMBD_SCALE | ORCD_F_GELU_GATED
#define USES(g, l) .global = (g), .n_global = ARRAY_LEN(g), .layer = (l), .n_layer = ARRAY_LEN(l)

static const struct model_family families[] = {
    {.arch = "llama", .rope = ORCD_ROPE_NORM, .scalings = LONG_SCALINGS, USES(llama_global, llama_layer)},
    {.arch = "qwen2", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, USES(plain_global, qwen2_layer)},
    {.arch = "qwen3", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, USES(plain_global, qwen3_layer)},
    {.arch = "phi3", .rope = ORCD_ROPE_NEOX, .scalings = LONG_SCALINGS, .features = ORCD_F_FUSED_GATE,
        USES(phi3_global, phi3_layer)},
    {.arch = "gpt2", .rope = ORCD_ROPE_NONE, .norm = ORCD_NORM_LAYER, .activation = ORCD_ACT_GELU,
        .features = ORCD_F_LAYER_NORM | ORCD_F_GELU, USES(gpt2_global, gpt2_layer)},
    /* Mixtral */
    {.arch = "llama", .rope = ORCD_ROPE_NORM, .scalings = LONG_SCALINGS, .experts = true, .features = ORCD_F_MOE,
        USES(llama_global, llama_moe_layer)},
    {.arch = "qwen3moe", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, .experts = true, .features = ORCD_F_MOE,
        USES(plain_global, qwen3moe_layer)},
    {.arch = "gpt-oss", OSS},
    {.arch = "gptoss", .shown = "gpt-oss", OSS},
    {.arch = "qwen2moe", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, .experts = true, .softmax_over_all = true,
        .features = ORCD_F_MOE | ORCD_F_SHARED_EXPERT, USES(plain_global, qwen2moe_layer)},
    {.arch = "gemma", GEMMA, USES(plain_global, gemma_layer)},
    /* 46 and 62 layers: the models of 27 billion parameters. */
    {.arch = "gemma2", GEMMA, .window = 4096, .window_period = 2, .scaled_by_width = 46,
        .caps = true, .attn_softcap = 50, .logit_softcap = 30, USES(plain_global, gemma2_layer)},
    {.arch = "gemma3", GEMMA, .window_period = 6, .local_rope_base = 10000, .scaled_by_width = 62,
        .caps = true, .no_windowed_cap = true, USES(plain_global, gemma3_layer)},
};

/* Well-known families that need something that no plugin supports yet; it is named in the error. */
static const struct {
    const char *arch, *needs;
} missing[] = {
    {"gemma3n", "per-layer embeddings"},
    {"gemma4", "per-layer embeddings"},
    {"qwen2vl", "rope over sections of a head"},
    {"qwen3next", "linear attention"},
    {"deepseek2", "latent attention and shared experts"},
    {"llama4", "chunked attention and shared experts"},
    {"phi2", "parallel attention and feed-forward blocks"},
    {"gptneox", "parallel attention and feed-forward blocks"},
    {"falcon", "parallel attention and feed-forward blocks"},
    {"command-r", "parallel attention and feed-forward blocks"},
    {"stablelm", "layer norm with rope"},
    {"starcoder2", "layer norm with rope"},
    {"olmo2", "norms after each block"},
    {"glm4", "norms after each block"},
    {"bloom", "positions as attention biases (ALiBi)"},
    {"mpt", "positions as attention biases (ALiBi)"},
    {"mamba", "state-space layers"},
    {"mamba2", "state-space layers"},
    {"jamba", "state-space layers"},
    {"rwkv6", "recurrent layers"},
    {"rwkv7", "recurrent layers"},
    {"bert", "attention in both directions"},
    {"nomic-bert", "attention in both directions"},
    {"t5", "an encoder beside the decoder"},
    {"clip", "image input"},
};
/* clang-format on */

static bool is_name(const char *name, struct gguf_str s)
{
    return strlen(name) == s.n && memcmp(name, s.p, s.n) == 0;
}

const struct model_family *model_family_find(struct gguf_str arch, bool experts)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (families[i].experts == experts && is_name(families[i].arch, arch))
            return &families[i];
    return NULL;
}

const char *model_family_needs(struct gguf_str arch)
{
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (is_name(missing[i].arch, arch))
            return missing[i].needs;
    return NULL;
}

const char *const *model_supported_archs(void)
{
    /* In the order of families[], each once; the test of model_supported_archs() compares them. */
    static const char *const names[] = {"llama", "qwen2", "qwen3", "phi3", "gpt2", "qwen3moe", "gpt-oss",
        "qwen2moe", "gemma", "gemma2", "gemma3", NULL};
    _Static_assert(ARRAY_LEN(names) == ARRAY_LEN(families) - 1, "llama and gpt-oss have two rows");
    return names;
}
