/* Sliding windows: how far back the attention of each layer reaches, and the rope of layers with a window. */
#include <inttypes.h>

#include "model/gguf-internal.h"
#include "model/model-internal.h"

/* Reads which layers have a window. A number p means that the last of every p layers has none (0: all
 * layers have one); an array has one truth value per layer. */
static int read_pattern(struct model *m, struct gguf_array *a, uint64_t *period, struct orcd_error *err)
{
    struct model_key key = model_key(m, "attention.sliding_window_pattern");
    const struct gguf_kv *kv = gguf_find(m->g, key.text);
    *period = m->family->window_period;
    if (!kv)
        return 0;
    if (kv->type != GGUF_ARRAY)
        return gguf_get_u64(m->g, key.text, period, err);
    int rc = gguf_get_array(m->g, key.text, a, err);
    if (rc == 0 && a->n != m->hp.n_layers)
        rc = error_set(err, ORCD_E_INVALID, "key '%s' has %" PRIu64 " elements for %" PRIu32 " layers",
            key.text, a->n, m->hp.n_layers);
    if (rc == 0 && (a->type == GGUF_STRING || a->type == GGUF_F32 || a->type == GGUF_F64))
        rc = error_set(err, ORCD_E_INVALID, "key '%s' is an array of %s, not of integers or bools", key.text,
            gguf_type_name(a->type));
    return rc;
}

/* Reads the rope base of layers with a window, if it is not that of all layers. */
static int read_local_rope(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    float usual = m->family->local_rope_base, base = 0;
    int rc = 0;
    if (usual != 0)
        rc = model_get_float(m, "rope.local.freq_base", 1e-3, 1e15, (double)usual, &usual, err);
    if (rc == 0)
        rc = model_get_float(
            m, "rope.freq_base_swa", 1e-3, 1e15, (double)(usual != 0 ? usual : hp->rope_base), &base, err);
    /* A family with its own base for these layers does not scale their rope either. */
    if (rc != 0 || (usual == 0 && base == hp->rope_base))
        return rc;
    if (usual == 0 && (hp->rope_scaling != ORCD_SCALING_NONE ||
                          gguf_tensor_find(m->g, model_global_roles[ORCD_G_ROPE_FREQS].name)))
        return error_set(err, ORCD_E_UNSUPPORTED,
            "layers with a sliding window have a rope base of their own (%g), which is not supported "
            "together with rope scaling",
            (double)base);
    hp->rope_base_local = base;
    return 0;
}

int model_read_windows(struct model *m, struct orcd_error *err)
{
    struct model_key key = model_key(m, "attention.sliding_window");
    struct gguf_array a = {0};
    uint64_t window = m->family->window, period = 0;
    int rc = gguf_get_u64(m->g, key.text, &window, err);
    if (rc != 0 && rc != ORCD_E_NOT_FOUND)
        return rc;
    if (window > INT32_MAX)
        window = INT32_MAX;
    if (window != 0 && m->hp.rope != ORCD_ROPE_NONE)
        rc = read_local_rope(m, err);
    else
        rc = 0;
    if (rc != 0)
        return rc;
    /* A window that is as long as the context changes only the rope base. */
    if (window == 0 || (window >= m->hp.n_ctx_train && m->hp.rope_base_local == 0))
        return 0;
    rc = read_pattern(m, &a, &period, err);
    for (uint32_t i = 0; i < m->hp.n_layers && rc == 0; i++) {
        bool slides = a.data ? gguf_array_u64(&a, i) != 0 : period == 0 || i % period != period - 1;
        if (!slides)
            continue;
        m->layers[i].window = (uint32_t)window;
        m->source.required_features |= ORCD_F_WINDOW;
        if (m->hp.rope_base_local != 0)
            m->source.required_features |= ORCD_F_LOCAL_ROPE;
    }
    return rc;
}
