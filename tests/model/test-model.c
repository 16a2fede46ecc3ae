/* Families: how valid files are interpreted, and which files are refused. */
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
#include "tests/lib/gguf-edit.h"
#include "tests/lib/model-plan.h"

static struct model_spec spec_of(const char *family)
{
    return (struct model_spec){.family = family,
        .layers = 3,
        .embd = 64,
        .heads = 4,
        .kv_heads = 2,
        .ff = 96,
        .vocab = 300,
        .ctx = 128,
        .rope_base = 1e4f,
        .eps = 1e-5f,
        .experts = model_has_experts(family) ? 8 : 0,
        .experts_used = model_has_experts(family) ? 3 : 0,
        .quant = "Q8_0",
        .tokenizer = strcmp(family, "llama") == 0 ? "llama-bpe" : "qwen2"};
}

static struct gw_buf make(const struct model_spec *spec)
{
    struct model_plan p;
    assert_null(model_plan_init(&p, spec));
    struct gw_buf b = model_plan_finish(&p, 1);
    model_plan_free(&p);
    return b;
}

/* Copies the bytes, so that the caller may free its own. *bytes must be freed after the model. */
static int open_copy(struct model **m, const struct gw_buf *b, void **bytes, struct orcd_error *err)
{
    struct gguf *g;
    *bytes = exact_copy(b->p, b->n);
    int rc = gguf_open_memory(&g, *bytes, b->n, err);
    if (rc == 0)
        rc = model_from_gguf(m, g, err);
    return rc;
}

static void expect_code(const struct gw_buf *b, int code, const char *text)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m = NULL;
    void *bytes;
    int rc = open_copy(&m, b, &bytes, &err);
    if (rc != code || (code && text && !strstr(err.msg, text)))
        print_error("got %d '%s', want %d '%s'\n", rc, rc ? err.msg : "", code, text ? text : "");
    assert_int_equal(rc, code);
    if (code && text)
        assert_non_null(strstr(err.msg, text));
    if (rc == 0)
        model_close(m);
    else
        assert_null(m);
    free(bytes);
}

static void expect_edit(const struct gw_buf *base, const struct gguf_edit *e, int code, const char *text)
{
    struct gw_buf b = gguf_edited(base, e);
    expect_code(&b, code, text);
    gw_buf_free(&b);
}

static struct gw_buf edit_away(struct gw_buf b, const struct gguf_edit *e)
{
    struct gw_buf edited = gguf_edited(&b, e);
    gw_buf_free(&b);
    return edited;
}

static void set_u32(const struct gw_buf *base, const char *key, uint32_t v, int code, const char *text)
{
    expect_edit(base, &(struct gguf_edit){.key = key, .type = GGUF_U32, .value = &v, .bytes = 4}, code, text);
}

static void set_f32(const struct gw_buf *base, const char *key, float v, int code, const char *text)
{
    expect_edit(base, &(struct gguf_edit){.key = key, .type = GGUF_F32, .value = &v, .bytes = 4}, code, text);
}

static void set_str(const struct gw_buf *base, const char *key, const char *v, int code, const char *text)
{
    struct gw_buf value = {0};
    gw_put_str(&value, v);
    expect_edit(base,
        &(struct gguf_edit){.key = key, .type = GGUF_STRING, .value = value.p, .bytes = value.n}, code, text);
    gw_buf_free(&value);
}

static const char *role_name(const struct orcd_model_source *s, uint32_t layer, enum orcd_layer_role role)
{
    int32_t i = s->layers[layer].tensor[role];
    return i < 0 ? NULL : s->tensors[i].name;
}

static void test_families(void **state)
{
    (void)state;
    static const struct {
        uint64_t features;
        uint32_t rope, scaling, norm, activation;
        bool qkv, q_bias, qk_norm;
    } want[] = {
        {0, ORCD_ROPE_NORM, 0, 0, 0, false, false, false},
        {ORCD_F_QKV_BIAS, ORCD_ROPE_NEOX, 0, 0, 0, false, true, false},
        {ORCD_F_QK_NORM, ORCD_ROPE_NEOX, 0, 0, 0, false, false, true},
        {ORCD_F_FUSED_QKV | ORCD_F_FUSED_GATE, ORCD_ROPE_NEOX, 0, 0, 0, true, false, false},
        {ORCD_F_LAYER_NORM | ORCD_F_GELU | ORCD_F_FUSED_QKV | ORCD_F_QKV_BIAS | ORCD_F_POSITION_EMBD |
                ORCD_F_BIASES,
            ORCD_ROPE_NONE, 0, ORCD_NORM_LAYER, ORCD_ACT_GELU, true, false, false},
        {ORCD_F_MOE | ORCD_F_QK_NORM, ORCD_ROPE_NEOX, 0, 0, 0, false, false, true},
        {ORCD_F_MOE | ORCD_F_SWIGLU_OAI | ORCD_F_SINKS | ORCD_F_QKV_BIAS | ORCD_F_BIASES | ORCD_F_YARN,
            ORCD_ROPE_NEOX, ORCD_SCALING_YARN, 0, ORCD_ACT_SWIGLU_OAI, false, true, false},
        {ORCD_F_MOE | ORCD_F_SHARED_EXPERT | ORCD_F_QKV_BIAS, ORCD_ROPE_NEOX, 0, 0, 0, false, true, false},
        {ORCD_F_EMBD_SCALE | ORCD_F_GELU_GATED, ORCD_ROPE_NEOX, 0, 0, ORCD_ACT_GELU_GATED, false, false,
            false},
        {ORCD_F_EMBD_SCALE | ORCD_F_GELU_GATED | ORCD_F_POST_NORMS | ORCD_F_SOFTCAP, ORCD_ROPE_NEOX, 0, 0,
            ORCD_ACT_GELU_GATED, false, false, false},
        {ORCD_F_EMBD_SCALE | ORCD_F_GELU_GATED | ORCD_F_POST_NORMS | ORCD_F_QK_NORM, ORCD_ROPE_NEOX, 0, 0,
            ORCD_ACT_GELU_GATED, false, false, true},
    };
    for (int f = 0; model_supported_archs()[f]; f++) {
        struct model_spec spec = spec_of(model_supported_archs()[f]);
        struct orcd_error err = ORCD_ERROR_INIT;
        struct model *m = NULL;
        void *bytes;
        spec.tied = f == 1;
        struct gw_buf b = make(&spec);
        assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
        const struct orcd_model_source *s = model_source(m);
        const struct orcd_hparams *hp = s->hparams;
        assert_true(s->required_features == want[f].features);
        assert_string_equal(s->architecture, spec.family);
        assert_string_equal(s->name, "random weights");
        assert_string_equal(model_quant_kind(m), "Q8_0");
        assert_int_equal(hp->n_layers, 3);
        assert_int_equal(hp->n_vocab, 300);
        assert_int_equal(hp->head_dim_k, 16);
        assert_int_equal(hp->rope_dims, want[f].rope == ORCD_ROPE_NONE ? 0 : 16);
        assert_int_equal(hp->rope, want[f].rope);
        assert_int_equal(hp->norm, want[f].norm);
        assert_int_equal(hp->activation, want[f].activation);
        assert_int_equal(hp->rope_scaling, want[f].scaling);
        assert_true(want[f].rope == ORCD_ROPE_NONE || hp->rope_scale == 1);
        assert_int_equal(hp->n_experts, spec.experts);
        assert_true(hp->attn_scale == 0.25f);
        assert_int_equal(s->layers[2].n_kv_heads, 2);
        assert_int_equal(s->layers[2].n_ff, 96);
        assert_string_equal(role_name(s, 2, spec.experts ? ORCD_L_DOWN_EXPS : ORCD_L_DOWN),
            spec.experts ? "blk.2.ffn_down_exps.weight" : "blk.2.ffn_down.weight");
        assert_string_equal(role_name(s, 1, ORCD_L_ATTN_OUT), "blk.1.attn_output.weight");
        assert_true((role_name(s, 1, ORCD_L_Q_B) != NULL) == want[f].q_bias);
        assert_true((role_name(s, 1, ORCD_L_K_NORM) != NULL) == want[f].qk_norm);
        assert_true((role_name(s, 1, ORCD_L_QKV) != NULL) == want[f].qkv);
        assert_string_equal(
            s->tensors[s->global[ORCD_G_OUTPUT]].name, spec.tied ? "token_embd.weight" : "output.weight");
        assert_int_equal(model_kv_bytes_per_token(m), 3 * 2 * (16 + 16) * 2);
        uint64_t u = 0, n = 0;
        double d = 0;
        const char *text;
        assert_int_equal(s->meta_u64(s->meta, "general.quantization_version", &u), 0);
        assert_int_equal(u, 2);
        assert_int_equal(s->meta_u64(s->meta, "general.name", &u), ORCD_E_NOT_FOUND);
        assert_int_equal(s->meta_f64(s->meta, "general.quantization_version", &d), 0);
        assert_int_equal(s->meta_str(s->meta, "general.architecture", &text, &n), 0);
        assert_int_equal(n, strlen(spec.family));
        model_close(m);
        gw_buf_free(&b);
        free(bytes);
    }
    model_close(NULL);
}

static void test_variants(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m = NULL;
    void *bytes;
    struct model_spec spec = spec_of("llama");
    spec.biases = true;
    spec.rope_freqs = 8;
    spec.rope_factor = 4;
    spec.head_dim = 24;
    struct gw_buf b = make(&spec);
    assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
    const struct orcd_model_source *s = model_source(m);
    assert_true(
        s->required_features == (ORCD_F_QKV_BIAS | ORCD_F_BIASES | ORCD_F_ROPE_FREQS | ORCD_F_LINEAR_ROPE));
    assert_int_equal(s->hparams->rope_scaling, ORCD_SCALING_LINEAR);
    assert_true(s->hparams->rope_scale == 0.25f);
    assert_int_equal(s->hparams->head_dim_k, 24);
    assert_true(s->global[ORCD_G_ROPE_FREQS] >= 0);
    model_close(m);
    free(bytes);

    set_f32(&b, "llama.rope.scaling.factor", 1, 0, NULL);
    set_f32(&b, "llama.rope.scaling.factor", 0, 0, NULL);
    set_f32(&b, "llama.rope.scaling.factor", -1, ORCD_E_INVALID, "rope.scaling.factor");
    set_f32(&b, "llama.rope.scaling.factor", NAN, ORCD_E_INVALID, "rope.scaling.factor");
    set_f32(&b, "llama.rope.scaling.attn_factor", 2, ORCD_E_UNSUPPORTED, "attn_factor");
    set_str(&b, "llama.rope.scaling.type", "none", 0, NULL);
    set_str(&b, "llama.rope.scaling.type", "longrope", ORCD_E_INVALID, "rope_factors_long.weight");
    set_str(&b, "llama.rope.scaling.type", "spiral", ORCD_E_UNSUPPORTED, "spiral");
    gw_buf_free(&b);

    spec = spec_of("qwen2");
    spec.rope_factor = 4;
    b = make(&spec);
    struct gw_buf value = {0};
    gw_put_str(&value, "yarn");
    struct gw_buf yarn = gguf_edited(
        &b, &(struct gguf_edit){
                .key = "qwen2.rope.scaling.type", .type = GGUF_STRING, .value = value.p, .bytes = value.n});
    assert_int_equal(open_copy(&m, &yarn, &bytes, &err), 0);
    s = model_source(m);
    assert_true(s->required_features == (ORCD_F_QKV_BIAS | ORCD_F_YARN));
    assert_int_equal(s->hparams->rope_scaling, ORCD_SCALING_YARN);
    assert_true(s->hparams->yarn_ext_factor == 1 && s->hparams->yarn_beta_fast == 32);
    assert_int_equal(s->hparams->rope_orig_ctx, 128);
    model_close(m);
    free(bytes);
    set_f32(&yarn, "qwen2.rope.scaling.yarn_log_multiplier", 0.1f, ORCD_E_UNSUPPORTED, "log multiplier");
    gw_buf_free(&value);
    gw_buf_free(&yarn);
    gw_buf_free(&b);
}

/* The windows of spec's layers after one edit; e->key NULL: none. */
static void expect_windows(
    const struct model_spec *spec, const struct gguf_edit *e, uint64_t feature, const uint32_t want[3])
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gw_buf b = make(spec), edited = e->key ? gguf_edited(&b, e) : b;
    struct model *m;
    void *bytes;
    assert_int_equal(open_copy(&m, &edited, &bytes, &err), 0);
    const struct orcd_model_source *s = model_source(m);
    for (int i = 0; i < 3; i++)
        assert_int_equal(s->layers[i].window, want[i]);
    assert_true((s->required_features & ORCD_F_WINDOW) == feature);
    model_close(m);
    free(bytes);
    if (e->key)
        gw_buf_free(&edited);
    gw_buf_free(&b);
}

static void test_windows(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("phi3");
    const struct gguf_edit none = {0};
    const uint32_t period = 2, no_period = 0, one = 1;
    const unsigned char flags[15] = {GGUF_BOOL, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    struct gguf_edit e = {.key = "phi3.attention.sliding_window_pattern", .type = GGUF_U32, .bytes = 4};
    expect_windows(&spec, &none, 0, (const uint32_t[]){0, 0, 0});
    spec.window = 128; /* as long as the context */
    expect_windows(&spec, &none, 0, (const uint32_t[]){0, 0, 0});
    spec.window = 100;
    expect_windows(&spec, &none, ORCD_F_WINDOW, (const uint32_t[]){100, 100, 100});
    e.value = &period;
    expect_windows(&spec, &e, ORCD_F_WINDOW, (const uint32_t[]){100, 0, 100});
    e.value = &no_period;
    expect_windows(&spec, &e, ORCD_F_WINDOW, (const uint32_t[]){100, 100, 100});
    e.value = &one;
    expect_windows(&spec, &e, 0, (const uint32_t[]){0, 0, 0});
    e = (struct gguf_edit){.key = e.key, .type = GGUF_ARRAY, .value = flags, .bytes = sizeof(flags)};
    expect_windows(&spec, &e, ORCD_F_WINDOW, (const uint32_t[]){0, 100, 0});
    struct gw_buf b = make(&spec);
    e.bytes = 14; /* one flag too few, with a header that agrees */
    unsigned char two[14];
    memcpy(two, flags, sizeof(two));
    two[4] = 2;
    e.value = two;
    expect_edit(&b, &e, ORCD_E_INVALID, "2 elements for 3 layers");
    set_str(&b, "phi3.attention.sliding_window", "wide", ORCD_E_INVALID, "sliding_window");
    set_f32(&b, "phi3.rope.freq_base_swa", 1e4f, 0, NULL);
    set_f32(&b, "phi3.rope.freq_base_swa", 5e5f, 0, NULL);
    gw_buf_free(&b);
    spec.rope_factor = 4;
    b = make(&spec);
    set_f32(&b, "phi3.rope.freq_base_swa", 5e5f, ORCD_E_UNSUPPORTED, "rope base of their own");
    gw_buf_free(&b);
    spec = spec_of("llama");
    spec.window = 100;
    spec.rope_freqs = 8;
    b = make(&spec);
    set_f32(&b, "llama.rope.freq_base_swa", 1e4f, 0, NULL);
    set_f32(&b, "llama.rope.freq_base_swa", 5e5f, ORCD_E_UNSUPPORTED, "rope base of their own");
    gw_buf_free(&b);
}

/* The model of spec after one edit (e->key NULL: none); free *bytes after it. */
static struct model *opened(const struct model_spec *spec, const struct gguf_edit *e, void **bytes)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gw_buf b = make(spec), edited = e->key ? gguf_edited(&b, e) : b;
    struct model *m;
    int rc = open_copy(&m, &edited, bytes, &err);
    if (rc)
        print_error("%s\n", err.msg);
    assert_int_equal(rc, 0);
    if (e->key)
        gw_buf_free(&edited);
    gw_buf_free(&b);
    return m;
}

static void expect_near(double got, double want)
{
    assert_true(fabs(got - want) <= 1e-6 * fabs(want));
}

static void test_gemma(void **state)
{
    (void)state;
    const struct gguf_edit none = {0};
    const float cap = 20, tiny_cap = 1e-4f, base = 5e5f;
    void *bytes;
    struct model_spec spec = spec_of("gemma2");
    spec.ctx = 8192;
    struct model *m = opened(&spec, &none, &bytes);
    const struct orcd_model_source *s = model_source(m);
    expect_near((double)s->hparams->embd_scale, 8);
    expect_near((double)s->hparams->attn_softcap, 50);
    expect_near((double)s->hparams->logit_softcap, 30);
    assert_true(s->hparams->rope_base_local == 0);
    assert_int_equal(s->layers[0].window, 4096); /* the default */
    assert_int_equal(s->layers[1].window, 0);
    assert_int_equal(s->layers[2].window, 4096);
    assert_string_equal(role_name(s, 1, ORCD_L_ATTN_POST_NORM), "blk.1.post_attention_norm.weight");
    assert_string_equal(role_name(s, 1, ORCD_L_FFN_POST_NORM), "blk.1.post_ffw_norm.weight");
    model_close(m);
    free(bytes);

    /* Caps that the file does not have, or has with other values. */
    m = opened(
        &spec, &(struct gguf_edit){.key = "gemma2.attn_logit_softcapping", .remove_key = true}, &bytes);
    expect_near((double)model_source(m)->hparams->attn_softcap, 50);
    model_close(m);
    free(bytes);
    m = opened(&spec,
        &(struct gguf_edit){
            .key = "gemma2.final_logit_softcapping", .type = GGUF_F32, .value = &cap, .bytes = 4},
        &bytes);
    expect_near((double)model_source(m)->hparams->logit_softcap, 20);
    model_close(m);
    free(bytes);
    struct gw_buf b = make(&spec);
    set_f32(&b, "gemma2.attn_logit_softcapping", tiny_cap, ORCD_E_INVALID, "attn_logit_softcapping");
    set_f32(&b, "gemma2.attn_logit_softcapping", NAN, ORCD_E_INVALID, "attn_logit_softcapping");
    set_f32(&b, "gemma2.attn_logit_softcapping", 0, 0, NULL);
    expect_edit(&b,
        &(struct gguf_edit){.tensor = "blk.1.post_ffw_norm.weight", .rename = "blk.1.ffn_norm.bias"},
        ORCD_E_INVALID, "blk.1.post_ffw_norm.weight");
    gw_buf_free(&b);

    /* In one model size the queries are scaled by its width. */
    spec.layers = 46;
    spec.head_dim = 32;
    m = opened(&spec, &none, &bytes);
    expect_near((double)model_source(m)->hparams->attn_scale, 1 / sqrt(64.0 / 4));
    model_close(m);
    free(bytes);

    spec = spec_of("gemma3");
    spec.layers = 7;
    spec.rope_base = 1e6f;
    spec.rope_factor = 8;
    spec.window = 128; /* as long as the context: it still selects the rope base of each layer */
    m = opened(&spec, &none, &bytes);
    s = model_source(m);
    assert_true(s->required_features & ORCD_F_LOCAL_ROPE);
    assert_true(!(s->required_features & ORCD_F_SOFTCAP));
    expect_near((double)s->hparams->rope_base_local, 1e4);
    expect_near((double)s->hparams->rope_base, 1e6);
    expect_near((double)s->hparams->rope_scale, 0.125);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(s->layers[i].window, i == 5 ? 0 : 128);
    model_close(m);
    free(bytes);
    m = opened(&spec,
        &(struct gguf_edit){.key = "gemma3.rope.freq_base_swa", .type = GGUF_F32, .value = &base, .bytes = 4},
        &bytes);
    expect_near((double)model_source(m)->hparams->rope_base_local, 5e5);
    model_close(m);
    free(bytes);

    /* These files have a key for a cap that the models have only without windows. */
    const struct gguf_edit with_cap = {
        .key = "gemma3.final_logit_softcapping", .type = GGUF_F32, .value = &cap, .bytes = 4};
    m = opened(&spec, &with_cap, &bytes);
    assert_true(model_source(m)->hparams->logit_softcap == 0);
    model_close(m);
    free(bytes);
    spec.window = 0;
    m = opened(&spec, &with_cap, &bytes);
    expect_near((double)model_source(m)->hparams->logit_softcap, 20);
    assert_true(model_source(m)->required_features & ORCD_F_SOFTCAP);
    assert_true(model_source(m)->hparams->rope_base_local == 0);
    model_close(m);
    free(bytes);

    /* The other spelling of both bases. */
    spec.window = 128;
    b = make(&spec);
    b = edit_away(b, &(struct gguf_edit){.key = "gemma3.rope.freq_base", .remove_key = true});
    b = edit_away(
        b, &(struct gguf_edit){
               .key = "gemma3.rope.global.freq_base", .type = GGUF_F32, .value = &base, .bytes = 4});
    b = edit_away(b, &(struct gguf_edit){
                         .key = "gemma3.rope.local.freq_base", .type = GGUF_F32, .value = &cap, .bytes = 4});
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
    expect_near((double)model_source(m)->hparams->rope_base, 5e5);
    expect_near((double)model_source(m)->hparams->rope_base_local, 20);
    model_close(m);
    free(bytes);
    gw_buf_free(&b);
}

static void test_shared_expert(void **state)
{
    (void)state;
    const struct gguf_edit none = {0};
    void *bytes;
    struct model_spec spec = spec_of("qwen2moe");
    spec.shared_ff = 160;
    struct model *m = opened(&spec, &none, &bytes);
    const struct orcd_hparams *hp = model_source(m)->hparams;
    assert_int_equal(hp->n_ff_shared, 160);
    assert_int_equal(hp->n_ff_expert, 96);
    assert_int_equal(hp->expert_weights_norm, 0);
    assert_string_equal(
        role_name(model_source(m), 2, ORCD_L_SHARED_ROUTER), "blk.2.ffn_gate_inp_shexp.weight");
    model_close(m);
    free(bytes);
    m = opened(&spec,
        &(struct gguf_edit){.key = "qwen2moe.expert_shared_feed_forward_length", .remove_key = true}, &bytes);
    assert_int_equal(model_source(m)->hparams->n_ff_shared, 160); /* from the shape of its matrix */
    model_close(m);
    free(bytes);
    struct gw_buf b = make(&spec);
    set_u32(&b, "qwen2moe.expert_shared_feed_forward_length", 96, ORCD_E_INVALID, "shexp.weight");
    set_u32(&b, "qwen2moe.expert_shared_count", 1, 0, NULL);
    set_u32(&b, "qwen2moe.expert_shared_count", 2, ORCD_E_UNSUPPORTED, "2 shared experts");
    set_u32(&b, "qwen2moe.expert_count", 0, ORCD_E_INVALID, "qwen2moe.expert_count");
    expect_edit(&b,
        &(struct gguf_edit){.tensor = "blk.1.ffn_gate_inp_shexp.weight", .rename = "blk.1.ffn_x.weight"},
        ORCD_E_INVALID, "blk.1.ffn_gate_inp_shexp.weight");
    gw_buf_free(&b);
}

/* One matrix for queries, keys and values, or three; never some of both. */
static void test_fused(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("phi3");
    struct gw_buf b = make(&spec);
    expect_edit(&b, &(struct gguf_edit){.tensor = "blk.1.attn_qkv.weight", .rename = "blk.1.attn_q.weight"},
        ORCD_E_INVALID, "blk.1.attn_q.weight");
    expect_edit(&b, &(struct gguf_edit){.tensor = "blk.1.attn_qkv.weight", .remove_tensor = true},
        ORCD_E_INVALID, "blk.1.attn_qkv.weight");
    expect_edit(&b, &(struct gguf_edit){.tensor = "blk.1.ffn_up.weight", .rename = "blk.1.ffn_gate.weight"},
        ORCD_E_INVALID, "blk.1.ffn_up.weight");
    set_u32(&b, "phi3.feed_forward_length", 192, ORCD_E_INVALID, "ffn_up.weight");
    set_u32(&b, "phi3.attention.head_count_kv", 4, ORCD_E_INVALID, "attn_qkv.weight");
    gw_buf_free(&b);
}

static void test_experts(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model_spec spec = spec_of("llama");
    struct model *m;
    void *bytes;
    spec.experts = 8;
    spec.experts_used = 3;
    struct gw_buf b = make(&spec);
    assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
    const struct orcd_hparams *hp = model_source(m)->hparams;
    assert_true(model_source(m)->required_features == ORCD_F_MOE);
    assert_string_equal(model_arch(m), "llama");
    assert_int_equal(hp->n_experts, 8);
    assert_int_equal(hp->n_experts_used, 3);
    assert_int_equal(hp->n_ff_expert, 96);
    assert_int_equal(hp->expert_weights_norm, 1);
    assert_true(hp->expert_weights_scale == 1);
    model_close(m);
    free(bytes);
    set_u32(&b, "llama.expert_used_count", 9, ORCD_E_INVALID, "expert_used_count");
    set_u32(&b, "llama.expert_used_count", 0, ORCD_E_INVALID, "expert_used_count");
    set_u32(&b, "llama.expert_count", 7, ORCD_E_INVALID, "ffn_gate_inp.weight");
    set_u32(&b, "llama.expert_count", 1025, ORCD_E_INVALID, "expert_count");
    set_u32(&b, "llama.expert_feed_forward_length", 48, ORCD_E_INVALID, "ffn_gate_exps.weight");
    set_u32(&b, "llama.expert_gating_func", 2, ORCD_E_UNSUPPORTED, "sigmoid");
    set_u32(&b, "llama.expert_gating_func", 1, 0, NULL);
    set_u32(&b, "llama.expert_shared_count", 1, ORCD_E_UNSUPPORTED, "1 shared experts");
    /* The width comes from the shapes of the tensors. */
    expect_edit(
        &b, &(struct gguf_edit){.key = "llama.expert_feed_forward_length", .remove_key = true}, 0, NULL);
    expect_edit(&b, &(struct gguf_edit){.key = "llama.feed_forward_length", .remove_key = true}, 0, NULL);
    gw_buf_free(&b);
    spec = spec_of("qwen2");
    b = make(&spec);
    set_u32(&b, "qwen2.expert_count", 8, ORCD_E_UNSUPPORTED, "dense qwen2 models only");
    gw_buf_free(&b);
    spec = spec_of("qwen3moe");
    b = make(&spec);
    set_u32(&b, "qwen3moe.expert_count", 0, ORCD_E_INVALID, "qwen3moe.expert_count");
    gw_buf_free(&b);
}

/* The other spelling of gpt-oss files, key by key and tensor by tensor. */
static void test_spellings(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model_spec spec = spec_of("gpt-oss");
    spec.layers = 2;
    spec.ctx = 512;
    spec.window = 100;
    struct gw_buf b = make(&spec), value = {0};
    static const char *const names[][2] = {{"attn_output.weight", "attn_out.weight"},
        {"attn_output.bias", "attn_out.bias"}, {"attn_sinks.weight", "attn_sinks"},
        {"post_attention_norm.weight", "ffn_norm.weight"}};
    static const char *const counts[] = {"block_count", "context_length", "embedding_length",
        "attention.head_count", "attention.head_count_kv", "expert_count", "expert_used_count",
        "attention.sliding_window"};
    const uint32_t values[] = {2, 512, 64, 4, 2, 8, 3, 100};
    const float factor = 32, eps = 1e-5f;
    char key[64], from[64], to[64];
    gw_put_str(&value, "gptoss");
    b = edit_away(
        b, &(struct gguf_edit){
               .key = "general.architecture", .type = GGUF_STRING, .value = value.p, .bytes = value.n});
    gw_buf_free(&value);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        snprintf(key, sizeof(key), "gptoss.%s", counts[i]);
        b = edit_away(b, &(struct gguf_edit){.key = key, .type = GGUF_U32, .value = &values[i], .bytes = 4});
    }
    b = edit_away(
        b, &(struct gguf_edit){
               .key = "gptoss.rope.scaling.factor", .type = GGUF_F32, .value = &factor, .bytes = 4});
    b = edit_away(b,
        &(struct gguf_edit){
            .key = "gptoss.attention.layer_norm_rms_epsilon", .type = GGUF_F32, .value = &eps, .bytes = 4});
    for (int l = 0; l < 2; l++)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            snprintf(from, sizeof(from), "blk.%d.%s", l, names[i][0]);
            snprintf(to, sizeof(to), "blk.%d.%s", l, names[i][1]);
            b = edit_away(b, &(struct gguf_edit){.tensor = from, .rename = to});
        }
    struct model *m;
    void *bytes;
    int rc = open_copy(&m, &b, &bytes, &err);
    if (rc)
        print_error("%s\n", err.msg);
    assert_int_equal(rc, 0);
    const struct orcd_model_source *s = model_source(m);
    assert_string_equal(model_arch(m), "gpt-oss");
    assert_string_equal(s->architecture, "gpt-oss");
    assert_int_equal(s->hparams->rope_scaling, ORCD_SCALING_YARN);
    assert_true(s->hparams->rope_scale == 1.0f / 32);
    assert_int_equal(s->hparams->n_ff_expert, 96);
    assert_int_equal(s->layers[0].window, 100);
    assert_int_equal(s->layers[1].window, 0);
    assert_string_equal(role_name(s, 1, ORCD_L_SINKS), "blk.1.attn_sinks");
    assert_string_equal(role_name(s, 1, ORCD_L_ATTN_OUT), "blk.1.attn_out.weight");
    assert_string_equal(role_name(s, 1, ORCD_L_FFN_NORM), "blk.1.ffn_norm.weight");
    model_close(m);
    free(bytes);
    expect_edit(&b, &(struct gguf_edit){.tensor = "blk.1.attn_sinks", .rename = "blk.1.sinks"},
        ORCD_E_INVALID, "blk.1.attn_sinks.weight");
    gw_buf_free(&b);
}

static void test_per_layer(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec), value = {0};
    const int32_t same[3] = {96, 96, 96}, other[3] = {96, 64, 96}, zero[3] = {96, 0, 96},
                  minus[3] = {96, -1, 96};
    const struct {
        const int32_t *v;
        uint64_t n;
        uint32_t type;
        int code;
    } cases[] = {{same, 3, GGUF_I32, 0}, {same, 2, GGUF_I32, ORCD_E_INVALID},
        {other, 3, GGUF_I32, ORCD_E_INVALID}, {zero, 3, GGUF_I32, ORCD_E_INVALID},
        {minus, 3, GGUF_I32, ORCD_E_INVALID}, {same, 3, GGUF_F32, ORCD_E_INVALID}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        value.n = 0;
        gw_put_u32(&value, cases[i].type);
        gw_put_u64(&value, cases[i].n);
        gw_put(&value, cases[i].v, cases[i].n * 4);
        expect_edit(&b,
            &(struct gguf_edit){
                .key = "llama.feed_forward_length", .type = GGUF_ARRAY, .value = value.p, .bytes = value.n},
            cases[i].code, NULL);
    }
    gw_buf_free(&value);
    gw_buf_free(&b);
}

static const char *const required[] = {"general.architecture", "llama.block_count", "llama.context_length",
    "llama.embedding_length", "llama.feed_forward_length", "llama.attention.head_count",
    "llama.attention.layer_norm_rms_epsilon"};

/* Each required key: removed, and with every wrong type. */
static void test_required_keys(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec);
    unsigned char junk[16] = {0};
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        expect_edit(
            &b, &(struct gguf_edit){.key = required[i], .remove_key = true}, ORCD_E_INVALID, required[i]);
        for (uint32_t type = 0; type < GGUF_TYPE_COUNT; type++) {
            bool floats = type == GGUF_F32 || type == GGUF_F64;
            bool ok_type = i == 0 ? type == GGUF_STRING : i == 6 ? floats : !floats;
            size_t bytes = type == GGUF_STRING ? 8 : type == GGUF_ARRAY ? 12 : 8;
            if (type < GGUF_STRING)
                bytes = type <= GGUF_I8 || type == GGUF_BOOL ? 1 : type <= GGUF_I16 ? 2 : 4;
            /* The value is zero: an empty string or array, and a count must not be 0. An epsilon may be 0. */
            int code = i == 0 && ok_type ? ORCD_E_UNSUPPORTED
                       : i == 6 && type != GGUF_BOOL && type != GGUF_STRING && type != GGUF_ARRAY
                           ? 0
                           : ORCD_E_INVALID;
            expect_edit(&b,
                &(struct gguf_edit){.key = required[i], .type = type, .value = junk, .bytes = bytes}, code,
                NULL);
        }
    }
    gw_buf_free(&b);
}

static void test_ranges(void **state)
{
    (void)state;
    static const char *const counts[] = {"block_count", "context_length", "embedding_length",
        "feed_forward_length", "attention.head_count", "attention.head_count_kv", "attention.key_length",
        "attention.value_length", "rope.dimension_count"};
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char key[64];
        snprintf(key, sizeof(key), "llama.%s", counts[i]);
        set_u32(&b, key, 0, ORCD_E_INVALID, NULL);
        set_u32(&b, key, UINT32_C(1) << 31, ORCD_E_INVALID, NULL);
        set_u32(&b, key, UINT32_MAX, ORCD_E_INVALID, NULL);
        const int64_t minus = -1;
        const uint64_t huge = UINT64_C(0x100000040); /* 64 in its low word */
        expect_edit(&b, &(struct gguf_edit){.key = key, .type = GGUF_I64, .value = &minus, .bytes = 8},
            ORCD_E_INVALID, "negative");
        expect_edit(&b, &(struct gguf_edit){.key = key, .type = GGUF_U64, .value = &huge, .bytes = 8},
            ORCD_E_INVALID, NULL);
    }
    set_u32(&b, "llama.block_count", 2, ORCD_E_UNSUPPORTED, "blk.2.");
    set_u32(&b, "llama.block_count", 4, ORCD_E_INVALID, "blk.3.");
    set_u32(&b, "llama.block_count", 1 << 20, ORCD_E_INVALID, NULL);
    set_u32(&b, "llama.embedding_length", 128, ORCD_E_INVALID, "token_embd.weight");
    set_u32(&b, "llama.feed_forward_length", 95, ORCD_E_INVALID, "ffn_gate.weight");
    set_u32(&b, "llama.attention.head_count_kv", 3, ORCD_E_INVALID, "multiple");
    set_u32(&b, "llama.attention.head_count_kv", 4, ORCD_E_INVALID, "attn_k.weight");
    set_u32(&b, "llama.attention.head_count", 8, ORCD_E_INVALID, "rotated");
    set_u32(&b, "llama.attention.head_count", 6, ORCD_E_INVALID, "key_length");
    set_u32(&b, "llama.attention.key_length", 15, ORCD_E_INVALID, "even");
    set_u32(&b, "llama.rope.dimension_count", 8, 0, NULL);
    set_u32(&b, "llama.rope.dimension_count", 7, ORCD_E_INVALID, "rotated");
    set_u32(&b, "llama.rope.dimension_count", 18, ORCD_E_INVALID, "rotated");
    set_u32(&b, "llama.expert_count", 8, ORCD_E_INVALID, "expert_used_count");
    set_u32(&b, "llama.expert_count", 0, 0, NULL);
    set_f32(&b, "llama.rope.freq_base", 0, ORCD_E_INVALID, "freq_base");
    set_f32(&b, "llama.rope.freq_base", INFINITY, ORCD_E_INVALID, "freq_base");
    set_f32(&b, "llama.rope.freq_base", NAN, ORCD_E_INVALID, "freq_base");
    set_f32(&b, "llama.attention.layer_norm_rms_epsilon", -1, ORCD_E_INVALID, "epsilon");
    gw_buf_free(&b);
}

static void test_tensors(void **state)
{
    (void)state;
    static const char *const names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
        "blk.1.attn_q.weight", "blk.2.attn_v.weight", "blk.0.attn_output.weight", "blk.2.ffn_norm.weight",
        "blk.1.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.2.ffn_down.weight"};
    struct model_spec spec = spec_of("llama");
    spec.rope_freqs = 8;
    struct gw_buf b = make(&spec);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect_edit(
            &b, &(struct gguf_edit){.tensor = names[i], .remove_tensor = true}, ORCD_E_INVALID, names[i]);
        expect_edit(&b, &(struct gguf_edit){.tensor = names[i], .rename = "stray"}, ORCD_E_INVALID, names[i]);
        expect_edit(&b, &(struct gguf_edit){.tensor = names[i], .n_dims = 2, .dims = {32, 2, 1, 1}},
            ORCD_E_INVALID, NULL);
        expect_edit(&b, &(struct gguf_edit){.tensor = names[i], .n_dims = 3, .dims = {64, 300, 2, 1}},
            ORCD_E_INVALID, NULL);
        expect_edit(&b, &(struct gguf_edit){.tensor = names[i], .retype = true, .tensor_type = ORCD_TYPE_I8},
            ORCD_E_UNSUPPORTED, names[i]);
        expect_edit(&b,
            &(struct gguf_edit){.tensor = names[i], .retype = true, .tensor_type = ORCD_TYPE_Q8_1},
            ORCD_E_UNSUPPORTED, NULL);
    }
    expect_edit(&b, &(struct gguf_edit){.tensor = "output.weight", .remove_tensor = true}, 0, NULL);
    expect_edit(&b, &(struct gguf_edit){.tensor = "output.weight", .rename = "blk.0.attn_sinks.weight"},
        ORCD_E_UNSUPPORTED, "blk.0.attn_sinks.weight");
    expect_edit(&b,
        &(struct gguf_edit){.tensor = "output.weight", .retype = true, .tensor_type = ORCD_TYPE_BF16}, 0,
        NULL);
    /* rope_freqs of zeros: angles would be divided by 0. */
    expect_edit(&b, &(struct gguf_edit){.tensor = "rope_freqs.weight", .n_dims = 1, .dims = {8, 1, 1, 1}},
        ORCD_E_INVALID, "rope_freqs.weight");
    expect_edit(&b,
        &(struct gguf_edit){.tensor = "output_norm.weight", .retype = true, .tensor_type = ORCD_TYPE_F16},
        ORCD_E_UNSUPPORTED, "vector");
    gw_buf_free(&b);
}

static void test_vocabulary(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec), value = {0};
    gw_put_u32(&value, GGUF_STRING);
    gw_put_u64(&value, 1);
    gw_put_str(&value, "one");
    expect_edit(&b,
        &(struct gguf_edit){
            .key = "tokenizer.ggml.tokens", .type = GGUF_ARRAY, .value = value.p, .bytes = value.n},
        ORCD_E_INVALID, "300 rows for a vocabulary of 1 tokens");
    expect_edit(&b, &(struct gguf_edit){.key = "tokenizer.ggml.tokens", .remove_key = true}, 0, NULL);
    gw_buf_free(&b);
    spec.tokenizer = "none";
    b = make(&spec);
    expect_code(&b, 0, NULL);
    set_u32(&b, "llama.vocab_size", 301, ORCD_E_INVALID, "vocabulary");
    gw_buf_free(&b);
    gw_buf_free(&value);
}

static void test_arch(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec);
    set_str(&b, "general.architecture", "nobody", ORCD_E_UNSUPPORTED,
        "architecture 'nobody' is not supported; this version runs llama, qwen2, qwen3, phi3, gpt2, "
        "qwen3moe, gpt-oss, qwen2moe, gemma, gemma2, gemma3");
    set_str(&b, "general.architecture", "gemma3n", ORCD_E_UNSUPPORTED,
        "architecture 'gemma3n' is not supported, it needs per-layer embeddings");
    set_str(&b, "general.architecture", "mamba", ORCD_E_UNSUPPORTED, "it needs state-space layers");
    set_str(&b, "general.architecture", "t5", ORCD_E_UNSUPPORTED, "it needs an encoder");
    set_str(&b, "general.architecture", "bert", ORCD_E_UNSUPPORTED, "it needs attention in both directions");
    set_str(&b, "general.architecture", "deepseek2", ORCD_E_UNSUPPORTED, "it needs latent attention");
    set_str(&b, "general.architecture", "", ORCD_E_UNSUPPORTED, "''");
    set_str(&b, "general.architecture", "llam", ORCD_E_UNSUPPORTED, "'llam'");
    set_str(&b, "general.architecture", "llama\n\xff", ORCD_E_UNSUPPORTED,
        "'llama?"
        "?'");
    set_str(&b, "general.architecture", "qwen2", ORCD_E_INVALID, "qwen2.");
    gw_buf_free(&b);
}

static void expect_name(const struct gw_buf *base, const char *name, const char *want)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m;
    struct gw_buf value = {0};
    void *bytes;
    gw_put_str(&value, name);
    struct gw_buf b = gguf_edited(base,
        &(struct gguf_edit){.key = "general.name", .type = GGUF_STRING, .value = value.p, .bytes = value.n});
    assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
    assert_string_equal(model_name(m), want);
    model_close(m);
    gw_buf_free(&b);
    gw_buf_free(&value);
    free(bytes);
}

static void test_names(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    struct gw_buf b = make(&spec);
    char longest[400];
    memset(longest, 'x', sizeof(longest));
    longest[399] = 0;
    expect_name(&b, "a b", "a b");
    expect_name(&b, "a\nb\033", "a b ");
    expect_name(&b, "a\xff", "");
    expect_name(&b, "\xc3\xa9", "\xc3\xa9");
    char cut[128];
    memcpy(cut, longest, 127);
    cut[127] = 0;
    expect_name(&b, longest, cut);
    gw_buf_free(&b);

    char path[] = "/tmp/orcd-test-model-XXXXXX";
    struct orcd_error err = ORCD_ERROR_INIT;
    struct model *m;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    spec.name = "";
    assert_null(model_spec_write(&spec, 1, path));
    assert_int_equal(model_open(&m, path, &err), 0);
    assert_string_equal(model_name(m), path + 5);
    assert_string_equal(model_source(m)->name, "");
    model_close(m);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(model_open(&m, path, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, path));
    close(fd);
    unlink(path);
}

static void test_kinds(void **state)
{
    (void)state;
    struct model_spec spec = spec_of("llama");
    static const char *const kinds[] = {
        "Q4_K_M", "Q5_K_M", "F32", "BF16", "Q4_0", "Q6_K", "IQ4_NL", "Q2_K", "Q3_K_M", "IQ4_XS", "MXFP4"};
    for (size_t i = 0; i < 2 * (sizeof(kinds) / sizeof(kinds[0])); i++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        struct model *m;
        void *bytes;
        /* With rows that are not a multiple of 256: other types, the same name. */
        const char *kind = kinds[i % (sizeof(kinds) / sizeof(kinds[0]))];
        spec.embd = i < sizeof(kinds) / sizeof(kinds[0]) ? 256 : 224;
        spec.ff = 2 * spec.embd;
        spec.quant = kind;
        struct gw_buf b = make(&spec);
        assert_int_equal(open_copy(&m, &b, &bytes, &err), 0);
        assert_string_equal(model_quant_kind(m), kind);
        model_close(m);
        free(bytes);
        /* A file_type that no tensor agrees with is ignored; Q8_0 is the fallback of Q6_K. */
        if (spec.embd % 256 == 0) {
            const uint32_t lie = strcmp(kind, "Q8_0") ? 7 : 2;
            struct gw_buf edited = gguf_edited(&b,
                &(struct gguf_edit){.key = "general.file_type", .type = GGUF_U32, .value = &lie, .bytes = 4});
            assert_int_equal(open_copy(&m, &edited, &bytes, &err), 0);
            assert_true(strcmp(model_quant_kind(m), "Q8_0") != 0);
            model_close(m);
            free(bytes);
            gw_buf_free(&edited);
        }
        gw_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_gemma),
        cmocka_unit_test(test_shared_expert),
        cmocka_unit_test(test_fused),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_per_layer),
        cmocka_unit_test(test_required_keys),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_arch),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
