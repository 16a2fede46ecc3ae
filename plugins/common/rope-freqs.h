/*
 * Frequencies of the rotary positions: their scaling, worked out once a model.
 *
 * Pure functions into the caller's array of hp->rope_dims / 2; the loader's thread calls them, after
 * source_init() checked hp and when freqs and factors have been read.
 */
#ifndef ORCD_COMMON_ROPE_FREQS_H
#define ORCD_COMMON_ROPE_FREQS_H

#include "plugins/common/util.h"

/* Radians a position of each of the hp->rope_dims / 2 pairs, divided by freqs and by factors
 * (each NULL: none). INVALID: one is not a number. */
int rope_freqs(const struct orcd_hparams *hp, const float *freqs, const float *factors, double *out,
    struct orcd_error *err);

/* Of layers with a window: a base of their own, and no scaling. */
int rope_freqs_local(const struct orcd_hparams *hp, double *out, struct orcd_error *err);

/* What cosines and sines are multiplied by. INVALID: not a number. */
int rope_magnitude(const struct orcd_hparams *hp, double *out, struct orcd_error *err);

#endif
