/* What some families have: scales of embeddings and queries, and caps of scores and logits. */
#include <math.h>

#include "model/model-internal.h"

#define LEAST_CAP 1e-3f /* with a smaller cap c, c tanh(x / c) is always c or -c */

static int read_cap(
    const struct model *m, const char *suffix, float usual, float *cap, struct orcd_error *err)
{
    int rc = model_get_float(m, suffix, 0, 1e6, (double)usual, cap, err);
    if (rc == 0 && *cap != 0 && *cap < LEAST_CAP)
        rc = error_set(err, ORCD_E_INVALID, "key '%s' is %g; it must be 0 or at least %g",
            model_key(m, suffix).text, (double)*cap, (double)LEAST_CAP);
    return rc;
}

int model_read_scales(struct model *m, struct orcd_error *err)
{
    const struct model_family *f = m->family;
    struct orcd_hparams *hp = &m->hp;
    if (f->features & ORCD_F_EMBD_SCALE)
        hp->embd_scale = (float)sqrt((double)hp->n_embd);
    if (f->scaled_by_width && hp->n_layers == f->scaled_by_width)
        hp->attn_scale = (float)(1 / sqrt((double)hp->n_embd / m->layers[0].n_heads));
    if (!f->caps)
        return 0;
    int rc = read_cap(m, "attn_logit_softcapping", f->attn_softcap, &hp->attn_softcap, err);
    if (rc == 0)
        rc = read_cap(m, "final_logit_softcapping", f->logit_softcap, &hp->logit_softcap, err);
    if (f->no_windowed_cap && m->source.required_features & ORCD_F_WINDOW)
        hp->logit_softcap = 0;
    if (rc == 0 && (hp->attn_softcap != 0 || hp->logit_softcap != 0))
        m->source.required_features |= ORCD_F_SOFTCAP;
    return rc;
}
