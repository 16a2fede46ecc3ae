/* Binds tensors to roles. Checks that required tensors exist, that shapes agree with the metadata, that
 * types are supported, and that each tensor has a role. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/gguf-internal.h"
#include "model/model-internal.h"
#include "model/quant-types.h"

static uint64_t dim_size(const struct model *m, const struct orcd_layer *l, unsigned dim)
{
    const struct orcd_hparams *hp = &m->hp;
    uint64_t heads = l ? l->n_heads : 0, kv = l ? l->n_kv_heads : 0, ff = l ? l->n_ff : 0;
    switch (dim) {
    case DIM_EMBD:
        return hp->n_embd;
    case DIM_VOCAB:
        return hp->n_vocab;
    case DIM_CTX:
        return hp->n_ctx_train;
    case DIM_Q:
        return heads * hp->head_dim_k;
    case DIM_K:
        return kv * hp->head_dim_k;
    case DIM_V:
        return kv * hp->head_dim_v;
    case DIM_QKV:
        return (heads + kv) * hp->head_dim_k + kv * hp->head_dim_v;
    case DIM_ATTN:
        return heads * hp->head_dim_v;
    case DIM_HEAD:
        return hp->head_dim_k;
    case DIM_HEADS:
        return heads;
    case DIM_ROPE_HALF:
        return hp->rope_dims / 2;
    case DIM_FF:
        return ff;
    case DIM_UP:
        return m->family->features & ORCD_F_FUSED_GATE ? 2 * ff : ff;
    case DIM_EXPERTS:
        return hp->n_experts;
    case DIM_FF_EXPERT:
        return hp->n_ff_expert;
    case DIM_FF_SHARED:
        return hp->n_ff_shared;
    default:
        return 1;
    }
}

static int check_shape(const struct model *m, const struct orcd_layer *l, const struct model_role *role,
    const struct orcd_tensor *t, struct orcd_error *err)
{
    uint64_t want[ORCD_MAX_DIMS] = {1, 1, 1, 1};
    for (int d = 0; d < 3; d++)
        want[d] = dim_size(m, l, role->dims[d]);
    if (memcmp(want, t->dims, sizeof(want)) == 0)
        return 0;
    return error_set(err, ORCD_E_INVALID,
        "tensor '%s' is %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
        "; by the metadata it must be %" PRIu64 " x %" PRIu64 " x %" PRIu64,
        t->name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], want[0], want[1], want[2]);
}

static int check_type(const struct model_role *role, const struct orcd_tensor *t, struct orcd_error *err)
{
    const struct quant_type *q = quant_type_find(t->type);
    if (role->dims[1] == DIM_NONE)
        return t->type == ORCD_TYPE_F32
                   ? 0
                   : error_set(err, ORCD_E_UNSUPPORTED,
                         "tensor '%s' is a vector of %s; only F32 is supported for vectors", t->name,
                         q->name);
    switch (t->type) {
    case ORCD_TYPE_Q8_1:
    case ORCD_TYPE_Q8_K:
    case ORCD_TYPE_I8:
    case ORCD_TYPE_I16:
    case ORCD_TYPE_I32:
    case ORCD_TYPE_I64:
    case ORCD_TYPE_F64:
        return error_set(err, ORCD_E_UNSUPPORTED,
            "tensor '%s' has type %s, which is not supported for weights", t->name, q->name);
    default:
        return 0;
    }
}

/* Binds one tensor. layer: "blk.N." or "". */
static int bind(struct model *m, const struct orcd_layer *l, const char *layer, const struct model_role *role,
    const struct model_use *use, int32_t *slot, struct orcd_error *err)
{
    char name[MODEL_NAME_ROOM], other[MODEL_NAME_ROOM];
    snprintf(name, sizeof(name), "%s%s", layer, use->name ? use->name : role->name);
    const struct gguf_tensor *found = gguf_tensor_find(m->g, name);
    if (!found && use->other) {
        snprintf(other, sizeof(other), "%s%s", layer, use->other);
        found = gguf_tensor_find(m->g, other);
    }
    *slot = -1;
    if (!found)
        return use->required ? error_set(err, ORCD_E_INVALID, "tensor '%s' is missing", name) : 0;
    int32_t i = (int32_t)(found - gguf_tensor_at(m->g, 0));
    int rc = check_shape(m, l, role, &m->tensors[i], err);
    if (rc == 0)
        rc = check_type(role, &m->tensors[i], err);
    if (rc != 0)
        return rc;
    *slot = i;
    m->used[i] = 1;
    m->source.required_features |= use->feature;
    return 0;
}

/* Queries, keys and values must be one matrix or three. */
static int check_qkv(const struct model *m, uint32_t n, struct orcd_error *err)
{
    static const int parts[] = {ORCD_L_Q, ORCD_L_K, ORCD_L_V};
    const int32_t *tensor = m->layers[n].tensor;
    const bool fused = tensor[ORCD_L_QKV] >= 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (fused && tensor[parts[i]] >= 0)
            return error_set(err, ORCD_E_INVALID,
                "tensor '%s' must not exist together with 'blk.%" PRIu32 ".%s'",
                m->tensors[tensor[parts[i]]].name, n, model_layer_roles[ORCD_L_QKV].name);
        if (!fused && tensor[parts[i]] < 0)
            return error_set(err, ORCD_E_INVALID, "tensor 'blk.%" PRIu32 ".%s' is missing", n,
                model_layer_roles[tensor[ORCD_L_Q] < 0 ? (int)ORCD_L_QKV : parts[i]].name);
    }
    return 0;
}

static int bind_layer(struct model *m, uint32_t n, struct orcd_error *err)
{
    struct orcd_layer *l = &m->layers[n];
    l->size = sizeof(*l);
    for (int r = 0; r < ORCD_L_COUNT; r++)
        l->tensor[r] = -1;
    int rc = 0;
    for (size_t i = 0; i < m->family->n_layer && rc == 0; i++) {
        const struct model_use *use = &m->family->layer[i];
        const struct model_role *role = &model_layer_roles[use->role];
        char layer[MODEL_NAME_ROOM];
        snprintf(layer, sizeof(layer), "blk.%" PRIu32 ".", n);
        rc = bind(m, l, layer, role, use, &l->tensor[use->role], err);
    }
    return rc == 0 ? check_qkv(m, n, err) : rc;
}

static int bind_global(struct model *m, struct orcd_error *err)
{
    for (int r = 0; r < ORCD_G_COUNT; r++)
        m->global[r] = -1;
    int rc = 0;
    for (size_t i = 0; i < m->family->n_global && rc == 0; i++) {
        const struct model_use *use = &m->family->global[i];
        const struct model_role *role = &model_global_roles[use->role];
        rc = bind(m, NULL, "", role, use, &m->global[use->role], err);
    }
    if (rc == 0 && m->global[ORCD_G_OUTPUT] < 0)
        m->global[ORCD_G_OUTPUT] = m->global[ORCD_G_TOKEN_EMBD];
    return rc;
}

/* Checks a tensor of factors. Angles are divided by them, so they must be positive. */
static int check_factors(const struct model *m, int32_t i, struct orcd_error *err)
{
    if (i < 0)
        return 0;
    const struct gguf_tensor *t = gguf_tensor_at(m->g, (uint64_t)i);
    for (uint64_t k = 0; k < m->tensors[i].dims[0]; k++) {
        float f;
        int rc = gguf_read(gguf_file(m->g, t->file), t->offset + k * sizeof(f), &f, sizeof(f), err);
        if (rc != 0)
            return rc;
        if (!(f > 0) || !isfinite(f))
            return error_set(err, ORCD_E_INVALID,
                "tensor '%s': element %" PRIu64 " is %g; it must be more than 0", m->tensors[i].name, k,
                (double)f);
    }
    return 0;
}

static int check_rope_factors(const struct model *m, struct orcd_error *err)
{
    int rc = check_factors(m, m->global[ORCD_G_ROPE_FREQS], err);
    if (rc == 0)
        rc = check_factors(m, m->global[ORCD_G_ROPE_LONG], err);
    return rc == 0 ? check_factors(m, m->global[ORCD_G_ROPE_SHORT], err) : rc;
}

/* Copies the list of tensors, with NUL-terminated names. */
static int copy_directory(struct model *m, struct orcd_error *err)
{
    uint64_t n = gguf_n_tensors(m->g), name_bytes = 1;
    for (uint64_t i = 0; i < n; i++)
        name_bytes += gguf_tensor_at(m->g, i)->name.n + 1;
    m->tensors = calloc(n, sizeof(*m->tensors));
    m->used = calloc(n, 1);
    m->names = malloc(name_bytes);
    if (!m->tensors || !m->used || !m->names)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %" PRIu64 " tensors", n);
    char *at = m->names;
    for (uint64_t i = 0; i < n; i++) {
        const struct gguf_tensor *from = gguf_tensor_at(m->g, i);
        struct orcd_tensor *t = &m->tensors[i];
        t->size = sizeof(*t);
        t->type = from->type;
        t->n_dims = from->n_dims;
        memcpy(t->dims, from->dims, sizeof(t->dims));
        t->file = from->file;
        t->offset = from->offset;
        t->bytes = from->bytes;
        t->name = at;
        memcpy(at, from->name.p, from->name.n);
        at[from->name.n] = 0;
        at += from->name.n + 1;
    }
    return 0;
}

int model_bind_tensors(struct model *m, struct orcd_error *err)
{
    m->source.required_features |= m->family->features;
    int rc = copy_directory(m, err);
    if (rc == 0)
        rc = bind_global(m, err);
    for (uint32_t i = 0; i < m->hp.n_layers && rc == 0; i++)
        rc = bind_layer(m, i, err);
    if (rc == 0)
        rc = check_rope_factors(m, err);
    /* A tensor without a role is refused: ignoring it would change the answers. */
    for (uint64_t i = 0; i < gguf_n_tensors(m->g) && rc == 0; i++)
        if (!m->used[i])
            rc = error_set(err, ORCD_E_UNSUPPORTED, "tensor '%s' is not supported in a %s model",
                gguf_label(gguf_tensor_at(m->g, i)->name).text, m->family->arch);
    return rc;
}
