/*
 * Families as data. A new one is a row of families[] with the roles its files have; what
 * it computes beyond the plain transformer is said in features (plugin.h), which a plugin
 * either knows or refuses.
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
};

/* token_embd stands in for an absent output (tied weights). */
static const struct model_use plain_global[] = {
    {ORCD_G_TOKEN_EMBD, 1, 0}, {ORCD_G_OUTPUT_NORM, 1, 0}, {ORCD_G_OUTPUT, 0, 0},
};

static const struct model_use llama_global[] = {
    {ORCD_G_TOKEN_EMBD, 1, 0}, {ORCD_G_OUTPUT_NORM, 1, 0}, {ORCD_G_OUTPUT, 0, 0},
    {ORCD_G_ROPE_FREQS, 0, ORCD_F_ROPE_FREQS},
};

#define PLAIN_LAYER \
    {ORCD_L_ATTN_NORM, 1, 0}, {ORCD_L_Q, 1, 0}, {ORCD_L_K, 1, 0}, {ORCD_L_V, 1, 0}, {ORCD_L_ATTN_OUT, 1, 0}, \
    {ORCD_L_FFN_NORM, 1, 0}, {ORCD_L_GATE, 1, 0}, {ORCD_L_UP, 1, 0}, {ORCD_L_DOWN, 1, 0}

static const struct model_use llama_layer[] = {
    PLAIN_LAYER,
    {ORCD_L_Q_B, 0, ORCD_F_QKV_BIAS}, {ORCD_L_K_B, 0, ORCD_F_QKV_BIAS}, {ORCD_L_V_B, 0, ORCD_F_QKV_BIAS},
    {ORCD_L_ATTN_OUT_B, 0, ORCD_F_BIASES}, {ORCD_L_GATE_B, 0, ORCD_F_BIASES},
    {ORCD_L_UP_B, 0, ORCD_F_BIASES}, {ORCD_L_DOWN_B, 0, ORCD_F_BIASES},
};

static const struct model_use qwen2_layer[] = {
    PLAIN_LAYER,
    {ORCD_L_Q_B, 1, ORCD_F_QKV_BIAS}, {ORCD_L_K_B, 1, ORCD_F_QKV_BIAS}, {ORCD_L_V_B, 1, ORCD_F_QKV_BIAS},
};

static const struct model_use qwen3_layer[] = {
    PLAIN_LAYER,
    {ORCD_L_Q_NORM, 1, ORCD_F_QK_NORM}, {ORCD_L_K_NORM, 1, ORCD_F_QK_NORM},
};

#define SCALINGS (1u << ORCD_SCALING_NONE | 1u << ORCD_SCALING_LINEAR | 1u << ORCD_SCALING_YARN)
#define USES(g, l) .global = (g), .n_global = ARRAY_LEN(g), .layer = (l), .n_layer = ARRAY_LEN(l)

static const struct model_family families[] = {
    {.arch = "llama", .rope = ORCD_ROPE_NORM, .scalings = SCALINGS, USES(llama_global, llama_layer)},
    {.arch = "qwen2", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, USES(plain_global, qwen2_layer)},
    {.arch = "qwen3", .rope = ORCD_ROPE_NEOX, .scalings = SCALINGS, USES(plain_global, qwen3_layer)},
};
/* clang-format on */

const struct model_family *model_family_find(struct gguf_str arch)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (strlen(families[i].arch) == arch.n && memcmp(families[i].arch, arch.p, arch.n) == 0)
            return &families[i];
    return NULL;
}

const char *const *model_supported_archs(void)
{
    /* In the order of families[]; the test of model_supported_archs holds them together. */
    static const char *const names[] = {"llama", "qwen2", "qwen3", NULL};
    _Static_assert(ARRAY_LEN(names) == ARRAY_LEN(families) + 1, "one name a family");
    return names;
}
