#include <math.h>

#include "plugins/common/rope-freqs.h"

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

int rope_freqs(const struct orcd_hparams *hp, const float *freqs, const float *factors, double *out,
    struct orcd_error *err)
{
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
            return plugin_error(err, ORCD_E_INVALID, "rope frequency %u is not a number", (unsigned)i);
        out[i] = f;
    }
    return 0;
}

int rope_freqs_local(const struct orcd_hparams *hp, double *out, struct orcd_error *err)
{
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        out[i] = pow((double)hp->rope_base_local, -2.0 * i / hp->rope_dims);
        if (!isfinite(out[i]))
            return plugin_error(err, ORCD_E_INVALID, "rope frequency %u is not a number", (unsigned)i);
    }
    return 0;
}

int rope_magnitude(const struct orcd_hparams *hp, double *out, struct orcd_error *err)
{
    double m = 1;
    if (hp->rope_scaling == ORCD_SCALING_YARN || hp->rope_scaling == ORCD_SCALING_LONGROPE)
        m = (double)hp->yarn_attn_factor;
    if (hp->rope_scaling == ORCD_SCALING_YARN && hp->yarn_ext_factor != 0)
        m *= 1 + 0.1 * log(1 / (double)hp->rope_scale);
    if (!isfinite(m))
        return plugin_error(err, ORCD_E_INVALID, "the rope's magnitude is not a number");
    *out = m;
    return 0;
}
