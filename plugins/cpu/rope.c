/* A model's rotary frequencies. */
#include "plugins/common/rope-freqs.h"
#include "plugins/cpu/cpu.h"

static int make(struct orcd_model *m, struct cpu_rope *out, const float *freqs, const float *factors,
    struct orcd_error *err)
{
    out->inv_freq = plugin_alloc(m->device->host, m->hp.rope_dims / 2, sizeof(double));
    if (!out->inv_freq)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    return rope_freqs(&m->hp, freqs, factors, out->inv_freq, err);
}

int cpu_rope_make(struct orcd_model *m, const float *freqs, const float *factors_long,
    const float *factors_short, struct orcd_error *err)
{
    m->rope_magnitude = 1;
    if (m->hp.rope == ORCD_ROPE_NONE)
        return 0;
    int rc = rope_magnitude(&m->hp, &m->rope_magnitude, err);
    if (rc == 0)
        rc = make(m, &m->rope, freqs, factors_short, err);
    if (rc == 0 && factors_long)
        rc = make(m, &m->rope_long, freqs, factors_long, err);
    if (rc || m->hp.rope_base_local <= 0)
        return rc;
    m->rope_local.inv_freq = plugin_alloc(m->device->host, m->hp.rope_dims / 2, sizeof(double));
    if (!m->rope_local.inv_freq)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    return rope_freqs_local(&m->hp, m->rope_local.inv_freq, err);
}
