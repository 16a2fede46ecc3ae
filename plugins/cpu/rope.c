/* Frequencies of the rotary positions: their scaling, worked out once a model. */
#include <math.h>

#include "plugins/cpu/cpu.h"

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* YaRN: the pair (counted from 0) that turns n_turns times over the original context. */
static double yarn_pair(const struct orcd_hparams *hp, double n_turns)
{
    return hp->rope_dims * log(hp->rope_orig_ctx / (n_turns * 2 * M_PI)) / (2 * log((double)hp->rope_base));
}

/* 1: pair i keeps its frequency, 0: it is interpolated. The borders are whole pairs, as in
 * other engines. */
static double yarn_keeps(const struct orcd_hparams *hp, uint32_t i)
{
    const double low = clamp(floor(yarn_pair(hp, (double)hp->yarn_beta_fast)), 0, hp->rope_dims - 1.0);
    const double high = clamp(ceil(yarn_pair(hp, (double)hp->yarn_beta_slow)), 0, hp->rope_dims - 1.0);
    const double width = high - low < 0.001 ? 0.001 : high - low;
    return (1 - clamp((i - low) / width, 0, 1)) * (double)hp->yarn_ext_factor;
}

static int make(struct orcd_model *m, struct cpu_rope *out, const float *freqs, const float *factors,
    struct orcd_error *err)
{
    const struct orcd_hparams *hp = &m->hp;
    out->inv_freq = cpu_new(m->device->host, hp->rope_dims / 2, sizeof(double));
    if (!out->inv_freq)
        return cpu_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        double f = pow((double)hp->rope_base, -2.0 * i / hp->rope_dims), scale = (double)hp->rope_scale;
        if (hp->rope_scaling == ORCD_SCALING_YARN) {
            const double kept = yarn_keeps(hp, i);
            scale = scale * (1 - kept) + kept;
        }
        f *= scale;
        if (freqs)
            f /= (double)freqs[i];
        if (factors)
            f /= (double)factors[i];
        if (!isfinite(f))
            return cpu_error(err, ORCD_E_INVALID, "rope frequency %u is not a number", (unsigned)i);
        out->inv_freq[i] = f;
    }
    return 0;
}

/* Of layers with a window: a base of their own, and no scaling. */
static int make_local(struct orcd_model *m, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &m->hp;
    m->rope_local.inv_freq = cpu_new(m->device->host, hp->rope_dims / 2, sizeof(double));
    if (!m->rope_local.inv_freq)
        return cpu_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        m->rope_local.inv_freq[i] = pow((double)hp->rope_base_local, -2.0 * i / hp->rope_dims);
        if (!isfinite(m->rope_local.inv_freq[i]))
            return cpu_error(err, ORCD_E_INVALID, "rope frequency %u is not a number", (unsigned)i);
    }
    return 0;
}

int cpu_rope_make(struct orcd_model *m, const float *freqs, const float *factors_long,
    const float *factors_short, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &m->hp;
    m->rope_magnitude = 1;
    if (hp->rope == ORCD_ROPE_NONE)
        return 0;
    if (hp->rope_scaling == ORCD_SCALING_YARN || hp->rope_scaling == ORCD_SCALING_LONGROPE)
        m->rope_magnitude = (double)hp->yarn_attn_factor;
    if (hp->rope_scaling == ORCD_SCALING_YARN && hp->yarn_ext_factor != 0)
        m->rope_magnitude *= 1 + 0.1 * log(1 / (double)hp->rope_scale);
    if (!isfinite(m->rope_magnitude))
        return cpu_error(err, ORCD_E_INVALID, "the rope's magnitude is not a number");
    int rc = make(m, &m->rope, freqs, factors_short, err);
    if (rc == 0 && factors_long)
        rc = make(m, &m->rope_long, freqs, factors_long, err);
    return rc == 0 && hp->rope_base_local > 0 ? make_local(m, err) : rc;
}
