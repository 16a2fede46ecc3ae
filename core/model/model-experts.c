/* Experts: their number, their width, and how their weights are computed from the router's output. */
#include <inttypes.h>

#include "model/model-internal.h"

enum gating { GATING_SOFTMAX = 1, GATING_SIGMOID = 2, GATING_SOFTMAX_CHOSEN = 3 };

static int check_gating(const struct model *m, struct orcd_error *err)
{
    uint64_t gating = GATING_SOFTMAX, shared = 0;
    struct model_key key = model_key(m, "expert_gating_func");
    int rc = gguf_get_u64(m->g, key.text, &gating, err);
    if (rc != 0 && rc != ORCD_E_NOT_FOUND)
        return rc;
    if (gating != 0 && gating != GATING_SOFTMAX && gating != GATING_SOFTMAX_CHOSEN)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "key '%s' is %" PRIu64 "%s; only a softmax over the router's output is supported", key.text,
            gating, gating == GATING_SIGMOID ? " (sigmoid)" : "");
    key = model_key(m, "expert_shared_count");
    rc = gguf_get_u64(m->g, key.text, &shared, err);
    if (rc != 0 && rc != ORCD_E_NOT_FOUND)
        return rc;
    /* Families with this feature have one shared expert. */
    if (shared > (m->family->features & ORCD_F_SHARED_EXPERT ? 1u : 0u))
        return error_set(err, ORCD_E_UNSUPPORTED, "%" PRIu64 " shared experts are not supported for %s",
            shared, m->family->arch);
    return 0;
}

/* The width of the experts, from the shape of their tensor, for files without a key for it. 0: the tensor is
 * missing, too. */
static uint32_t width_of(const struct model *m, const char *gates)
{
    const struct gguf_tensor *t = gguf_tensor_find(m->g, gates);
    return t && t->dims[1] <= MODEL_MAX_COUNT ? (uint32_t)t->dims[1] : 0;
}

int model_read_experts(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    if (!m->family->experts)
        return 0;
    int rc = model_get_count(m, "expert_count", 1, MODEL_MAX_EXPERTS, 0, &hp->n_experts, err);
    if (rc == 0)
        rc = model_get_count(m, "expert_used_count", 1, hp->n_experts, 0, &hp->n_experts_used, err);
    if (rc == 0)
        rc = model_get_count(m, "expert_feed_forward_length", 1, MODEL_MAX_COUNT,
            width_of(m, "blk.0.ffn_gate_exps.weight"), &hp->n_ff_expert, err);
    if (rc == 0 && m->family->features & ORCD_F_SHARED_EXPERT)
        rc = model_get_count(m, "expert_shared_feed_forward_length", 1, MODEL_MAX_COUNT,
            width_of(m, "blk.0.ffn_gate_shexp.weight"), &hp->n_ff_shared, err);
    if (rc == 0)
        rc = model_get_float(m, "expert_weights_scale", 0, 1e6, 1, &hp->expert_weights_scale, err);
    if (rc == 0)
        rc = check_gating(m, err);
    if (rc != 0)
        return rc;
    if (hp->expert_weights_scale == 0)
        hp->expert_weights_scale = 1;
    hp->expert_weights_norm = !m->family->softmax_over_all;
    for (uint32_t i = 0; i < hp->n_layers; i++)
        m->layers[i].n_ff = hp->n_ff_expert;
    return 0;
}
