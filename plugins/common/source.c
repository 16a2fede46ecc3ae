#include <math.h>
#include <string.h>

#include "plugins/common/source.h"

#define KNOWN_FEATURES                                                                                       \
    (ORCD_F_LAYER_NORM | ORCD_F_QKV_BIAS | ORCD_F_QK_NORM | ORCD_F_FUSED_QKV | ORCD_F_FUSED_GATE |           \
        ORCD_F_GELU | ORCD_F_POSITION_EMBD | ORCD_F_BIASES | ORCD_F_ROPE_FREQS | ORCD_F_YARN |               \
        ORCD_F_LONGROPE | ORCD_F_WINDOW | ORCD_F_LINEAR_ROPE | ORCD_F_SINKS | ORCD_F_MOE |                   \
        ORCD_F_SWIGLU_OAI | ORCD_F_EMBD_SCALE | ORCD_F_GELU_GATED | ORCD_F_POST_NORMS | ORCD_F_SOFTCAP |     \
        ORCD_F_LOCAL_ROPE | ORCD_F_SHARED_EXPERT)

static const char *const feature_names[64] = {"layer norm", "q/k/v biases", "q/k norm", "fused q/k/v",
    "fused gate", "GELU", "learned positions", "biases", "rope frequencies", "YaRN", "long rope",
    "sliding window", "attention sinks", "mixture of experts", "SwiGLU-OAI", "linear rope scaling",
    "scaled embeddings", "gated GELU", "norms behind each block", "capped logits", "local rope",
    "shared experts"};

/* Copies what both sides know of a struct that starts with its size. */
static void copy_sized(void *to, size_t to_size, const void *from)
{
    uint32_t size;
    memcpy(&size, from, sizeof(size));
    memset(to, 0, to_size);
    memcpy(to, from, size < to_size ? size : to_size);
}

static int unsupported_features(uint64_t bits, struct orcd_error *err)
{
    for (int i = 0; i < 64; i++)
        if (bits & (UINT64_C(1) << i)) {
            if (feature_names[i])
                return plugin_error(
                    err, ORCD_E_UNSUPPORTED, "this plugin does not do %s yet", feature_names[i]);
            return plugin_error(
                err, ORCD_E_UNSUPPORTED, "the model needs feature bit %d, which is unknown", i);
        }
    return 0;
}

static int check_hparams(const struct orcd_hparams *hp, struct orcd_error *err)
{
    const uint32_t most = UINT32_C(1) << 20;
    if (hp->n_layers < 1 || hp->n_layers > most || hp->n_embd < 1 || hp->n_embd > most || hp->n_vocab < 1 ||
        hp->n_vocab > UINT32_C(1) << 24)
        return plugin_error(err, ORCD_E_INVALID, "%u layers, width %u, vocabulary %u", (unsigned)hp->n_layers,
            (unsigned)hp->n_embd, (unsigned)hp->n_vocab);
    if (hp->head_dim_k < 2 || hp->head_dim_k > 1024 || hp->head_dim_k % 2 || hp->head_dim_v < 2 ||
        hp->head_dim_v > 1024 || hp->head_dim_v % 2)
        return plugin_error(err, ORCD_E_INVALID, "heads of %u and %u elements", (unsigned)hp->head_dim_k,
            (unsigned)hp->head_dim_v);
    if (hp->norm > ORCD_NORM_LAYER)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "norm %u", (unsigned)hp->norm);
    if (hp->activation > ORCD_ACT_GELU_GATED)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "activation %u", (unsigned)hp->activation);
    if (hp->rope > ORCD_ROPE_NEOX)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "rope kind %u", (unsigned)hp->rope);
    if (hp->rope_scaling > ORCD_SCALING_LONGROPE)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "rope scaling %u", (unsigned)hp->rope_scaling);
    if (hp->n_experts > SOURCE_MAX_EXPERTS || hp->n_experts_used > hp->n_experts ||
        (hp->n_experts && (hp->n_experts_used < 1 || hp->n_ff_expert < 1 || hp->n_ff_expert > most)))
        return plugin_error(err, ORCD_E_INVALID, "%u of %u experts, %u wide; at most %u are done",
            (unsigned)hp->n_experts_used, (unsigned)hp->n_experts, (unsigned)hp->n_ff_expert,
            SOURCE_MAX_EXPERTS);
    if (hp->n_experts && hp->activation == ORCD_ACT_GELU)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "experts without a gate");
    if (!isfinite(hp->yarn_ext_factor) || !isfinite(hp->yarn_attn_factor) || !isfinite(hp->yarn_beta_fast) ||
        !isfinite(hp->yarn_beta_slow) || !isfinite(hp->expert_weights_scale))
        return plugin_error(err, ORCD_E_INVALID, "a factor is not a number");
    if (hp->rope != ORCD_ROPE_NONE &&
        (hp->rope_dims % 2 || hp->rope_dims > hp->head_dim_k || !(hp->rope_base > 0) ||
            !isfinite(hp->rope_base) || !isfinite(hp->rope_scale)))
        return plugin_error(err, ORCD_E_INVALID, "rope over %u of %u elements, base %g, scale %g",
            (unsigned)hp->rope_dims, (unsigned)hp->head_dim_k, (double)hp->rope_base, (double)hp->rope_scale);
    if (hp->n_ff_shared > most)
        return plugin_error(err, ORCD_E_INVALID, "a shared expert %u wide", (unsigned)hp->n_ff_shared);
    if (!isfinite(hp->embd_scale) || !isfinite(hp->attn_softcap) || hp->attn_softcap < 0 ||
        !isfinite(hp->logit_softcap) || hp->logit_softcap < 0 || !isfinite(hp->rope_base_local) ||
        hp->rope_base_local < 0)
        return plugin_error(err, ORCD_E_INVALID, "embedding scale %g, caps %g and %g, local rope base %g",
            (double)hp->embd_scale, (double)hp->attn_softcap, (double)hp->logit_softcap,
            (double)hp->rope_base_local);
    if (!isfinite(hp->attn_scale) || !isfinite(hp->norm_eps) || hp->norm_eps < 0)
        return plugin_error(err, ORCD_E_INVALID, "attention scale %g, norm epsilon %g",
            (double)hp->attn_scale, (double)hp->norm_eps);
    return 0;
}

int source_init(struct source *v, const struct orcd_model_source *source, struct orcd_error *err)
{
    if (!source || source->size < offsetof(struct orcd_model_source, global) + sizeof(source->global))
        return plugin_error(err, ORCD_E_INVALID, "no model source");
    copy_sized(&v->s, sizeof(v->s), source);
    const struct orcd_model_source *s = &v->s;
    if (!s->hparams || !s->tensors || !s->layers || !s->files || !s->global)
        return plugin_error(err, ORCD_E_INVALID, "the model source is incomplete");
    if (s->tensor_stride < offsetof(struct orcd_tensor, name) + sizeof(char *) ||
        s->layer_stride < offsetof(struct orcd_layer, tensor) ||
        s->file_stride < offsetof(struct orcd_file, bytes) + sizeof(uint64_t))
        return plugin_error(err, ORCD_E_INVALID, "the model source's strides are too small");
    int rc = unsupported_features(s->required_features & ~KNOWN_FEATURES, err);
    if (rc)
        return rc;
    copy_sized(&v->hp, sizeof(v->hp), s->hparams);
    if (v->hp.rope == ORCD_ROPE_NONE)
        v->hp.rope_dims = 0;
    /* What no feature asks for is not there, whatever the fields hold. */
    if (!(s->required_features & ORCD_F_EMBD_SCALE))
        v->hp.embd_scale = 1;
    if (!(s->required_features & ORCD_F_SOFTCAP))
        v->hp.attn_softcap = v->hp.logit_softcap = 0;
    if (!(s->required_features & ORCD_F_LOCAL_ROPE) || v->hp.rope == ORCD_ROPE_NONE)
        v->hp.rope_base_local = 0;
    if (!(s->required_features & ORCD_F_SHARED_EXPERT))
        v->hp.n_ff_shared = 0;
    else if (v->hp.n_ff_shared == 0 || v->hp.n_experts == 0)
        return plugin_error(err, ORCD_E_INVALID, "a shared expert of no width, or without others");
    rc = check_hparams(&v->hp, err);
    if (rc)
        return rc;
    if (v->hp.n_layers != s->n_layers)
        return plugin_error(err, ORCD_E_INVALID, "%u layers described, %u listed", (unsigned)v->hp.n_layers,
            (unsigned)s->n_layers);
    return 0;
}

int source_layer(const struct source *v, uint32_t i, struct orcd_layer *out, struct orcd_error *err)
{
    const char *at = (const char *)v->s.layers + (uint64_t)i * v->s.layer_stride;
    uint32_t size;
    memcpy(&size, at, sizeof(size));
    if (size > v->s.layer_stride || size < offsetof(struct orcd_layer, tensor))
        return plugin_error(
            err, ORCD_E_INVALID, "layer %u is described in %u bytes", (unsigned)i, (unsigned)size);
    copy_sized(out, sizeof(*out), at);
    for (uint32_t r = 0; r < ORCD_L_COUNT; r++)
        if (offsetof(struct orcd_layer, tensor) + (r + 1) * sizeof(int32_t) > size)
            out->tensor[r] = -1;
    const uint32_t most = UINT32_C(1) << 20;
    if (out->n_heads < 1 || out->n_heads > most || out->n_kv_heads < 1 || out->n_kv_heads > out->n_heads ||
        out->n_heads % out->n_kv_heads || out->n_ff < 1 || out->n_ff > most)
        return plugin_error(err, ORCD_E_INVALID, "layer %u: %u heads, %u of keys, feed-forward %u",
            (unsigned)i, (unsigned)out->n_heads, (unsigned)out->n_kv_heads, (unsigned)out->n_ff);
    return 0;
}

int32_t source_global(const struct source *v, uint32_t role)
{
    return role < v->s.n_global ? v->s.global[role] : -1;
}

int source_file(const struct source *v, uint32_t i, struct orcd_file *out, struct orcd_error *err)
{
    if (i >= v->s.n_files)
        return plugin_error(err, ORCD_E_INVALID, "file %u of %u", (unsigned)i, (unsigned)v->s.n_files);
    copy_sized(out, sizeof(*out), (const char *)v->s.files + (uint64_t)i * v->s.file_stride);
    return 0;
}

int source_tensor(const struct source *v, int32_t i, struct orcd_tensor *out, struct orcd_error *err)
{
    if (i < 0 || (uint32_t)i >= v->s.n_tensors)
        return plugin_error(err, ORCD_E_INVALID, "tensor %d of %u", (int)i, (unsigned)v->s.n_tensors);
    const char *at = (const char *)v->s.tensors + (uint64_t)i * v->s.tensor_stride;
    struct orcd_tensor t;
    copy_sized(&t, sizeof(t), at);
    if (!t.name)
        t.name = "?";
    struct orcd_file file;
    int rc = source_file(v, t.file, &file, err);
    if (rc)
        return rc;
    if (t.offset > file.bytes || t.bytes > file.bytes - t.offset)
        return plugin_error(err, ORCD_E_INVALID, "tensor %s lies outside its file", t.name);
    *out = t;
    return 0;
}
