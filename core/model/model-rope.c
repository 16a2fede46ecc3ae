/* Rotary positions: size, base and scaling. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/util.h"
#include "model/gguf-internal.h"
#include "model/model-internal.h"

#define MAX_FACTOR 1e9

static const char *const scaling_names[] = {[ORCD_SCALING_NONE] = "none",
    [ORCD_SCALING_LINEAR] = "linear",
    [ORCD_SCALING_YARN] = "yarn",
    [ORCD_SCALING_LONGROPE] = "longrope"};

/* Reads the scaling type; if the file names none, it is the family's default. */
static int read_type(const struct model *m, uint32_t *type, struct orcd_error *err)
{
    struct model_key key = model_key(m, "rope.scaling.type");
    struct gguf_str s;
    int rc = gguf_get_str(m->g, key.text, &s, err);
    if (rc == ORCD_E_NOT_FOUND) {
        *type = m->family->default_scaling ? m->family->default_scaling : ORCD_SCALING_LINEAR;
        return 0;
    }
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < ARRAY_LEN(scaling_names); i++)
        if (strlen(scaling_names[i]) == s.n && memcmp(scaling_names[i], s.p, s.n) == 0) {
            if (!(m->family->scalings >> i & 1))
                return error_set(err, ORCD_E_UNSUPPORTED, "rope scaling '%s' is not supported for %s",
                    scaling_names[i], m->family->arch);
            *type = i;
            return 0;
        }
    return error_set(err, ORCD_E_UNSUPPORTED,
        "key '%s' is '%s'; none, linear, yarn and longrope are supported", key.text, gguf_label(s).text);
}

static bool has_global(const struct model *m, enum orcd_global_role role)
{
    return gguf_tensor_find(m->g, model_global_roles[role].name) != NULL;
}

/* Finds the tensors of factors; files may have them without naming the scaling type. */
static int find_factors(struct model *m, struct orcd_error *err)
{
    uint32_t *type = &m->hp.rope_scaling;
    const bool with_long = has_global(m, ORCD_G_ROPE_LONG), with_short = has_global(m, ORCD_G_ROPE_SHORT);
    if (!(m->family->scalings >> ORCD_SCALING_LONGROPE & 1) ||
        (!with_long && !with_short && *type != ORCD_SCALING_LONGROPE))
        return 0;
    if (!with_long || !with_short)
        return error_set(err, ORCD_E_INVALID, "tensor '%s' is missing",
            model_global_roles[with_long ? ORCD_G_ROPE_SHORT : ORCD_G_ROPE_LONG].name);
    if (*type == ORCD_SCALING_YARN)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "yarn together with factors for each rope frequency is not supported");
    *type = ORCD_SCALING_LONGROPE;
    m->source.required_features |= ORCD_F_LONGROPE;
    return 0;
}

static int read_original_context(struct model *m, struct orcd_error *err)
{
    return model_get_count(m, "rope.scaling.original_context_length", 1, INT32_MAX, m->hp.n_ctx_train,
        &m->hp.rope_orig_ctx, err);
}

static int read_yarn(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    float attn = 1, log_mul = 0;
    int rc = read_original_context(m, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.yarn_ext_factor", -1, 1e3, 1, &hp->yarn_ext_factor, err);
    if (rc == 0 && hp->yarn_ext_factor < 0) /* negative: the default of the scaling type */
        hp->yarn_ext_factor = 1;
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.attn_factor", 0, 1e3, 1, &attn, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.yarn_attn_factor", 0, 1e3, 1, &hp->yarn_attn_factor, err);
    hp->yarn_attn_factor *= attn;
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.yarn_beta_fast", 0, 1e6, 32, &hp->yarn_beta_fast, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.yarn_beta_slow", 0, 1e6, 1, &hp->yarn_beta_slow, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.yarn_log_multiplier", -1e6, 1e6, 0, &log_mul, err);
    if (rc == 0 && log_mul != 0)
        rc = error_set(
            err, ORCD_E_UNSUPPORTED, "yarn with a log multiplier (%g) is not supported", (double)log_mul);
    return rc;
}

int model_read_rope(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    float factor = 0, old_factor = 0, attn = 1;
    int rc =
        model_get_count(m, "rope.dimension_count", 1, MODEL_MAX_HEAD, hp->head_dim_k, &hp->rope_dims, err);
    if (rc == 0 && (hp->rope_dims % 2 != 0 || hp->rope_dims > hp->head_dim_k))
        rc = error_set(err, ORCD_E_INVALID,
            "%" PRIu32 " rotated dimensions in a head of %" PRIu32
            "; an even number up to the size of the head is allowed",
            hp->rope_dims, hp->head_dim_k);
    /* If layers with a window have their own base, some files call this one global. */
    float usual = 10000;
    if (rc == 0 && m->family->local_rope_base != 0)
        rc = model_get_float(m, "rope.global.freq_base", 1e-3, 1e15, (double)usual, &usual, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.freq_base", 1e-3, 1e15, (double)usual, &hp->rope_base, err);
    if (rc == 0)
        rc = read_type(m, &hp->rope_scaling, err);
    if (rc == 0)
        rc = find_factors(m, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scale_linear", 0, MAX_FACTOR, 0, &old_factor, err);
    if (rc == 0)
        rc = model_get_float(m, "rope.scaling.factor", 0, MAX_FACTOR, (double)old_factor, &factor, err);
    if (rc != 0)
        return rc;
    hp->rope_orig_ctx = hp->n_ctx_train;
    hp->rope_scale = 1;
    hp->yarn_ext_factor = 0;
    hp->yarn_attn_factor = 1;
    hp->yarn_beta_fast = 32;
    hp->yarn_beta_slow = 1;
    /* 0 means that the factor is not given, as in other readers of the format. */
    if (factor != 0 && hp->rope_scaling != ORCD_SCALING_NONE)
        hp->rope_scale = 1 / factor;
    if (hp->rope_scaling == ORCD_SCALING_LINEAR && hp->rope_scale == 1)
        hp->rope_scaling = ORCD_SCALING_NONE;
    if (hp->rope_scaling == ORCD_SCALING_LINEAR)
        m->source.required_features |= ORCD_F_LINEAR_ROPE;
    if (hp->rope_scaling == ORCD_SCALING_YARN) {
        m->source.required_features |= ORCD_F_YARN;
        return read_yarn(m, err);
    }
    rc = model_get_float(m, "rope.scaling.attn_factor", 0, 1e3, 1, &attn, err);
    if (rc == 0 && hp->rope_scaling == ORCD_SCALING_LONGROPE) {
        hp->yarn_attn_factor = attn != 0 ? attn : 1;
        return read_original_context(m, err);
    }
    if (rc == 0 && attn != 1 && attn != 0)
        rc = error_set(err, ORCD_E_UNSUPPORTED, "rope.scaling.attn_factor %g without yarn is not supported",
            (double)attn);
    return rc;
}
