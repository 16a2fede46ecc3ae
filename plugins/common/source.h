/*
 * The host's view of a model, copied field by field within the sizes and strides that it states, and checked
 * again where a wrong value could crash us.
 *
 * Life cycle: source_init() first; the others read what it checked. A struct source owns nothing: it borrows
 * from the host, until model_free at most. The plugins drop theirs when model_load returns.
 *
 * Threads: it does not change after source_init(), so all threads of a load may read it at once.
 */
#ifndef ORCD_COMMON_SOURCE_H
#define ORCD_COMMON_SOURCE_H

#include "plugins/common/util.h"

#define SOURCE_MAX_EXPERTS 1024u /* of a layer */

struct source {
    struct orcd_model_source s; /* unknown fields zero */
    struct orcd_hparams hp;     /* checked; unknown fields zero */
};

/* INVALID; UNSUPPORTED names the feature. */
int source_init(struct source *v, const struct orcd_model_source *source, struct orcd_error *err);

/* Layer i; roles that the host does not know are -1. INVALID. */
int source_layer(const struct source *v, uint32_t i, struct orcd_layer *out, struct orcd_error *err);

/* The tensor of a global role; -1: none. */
int32_t source_global(const struct source *v, uint32_t role);

/* Tensor i, its place in its file checked. name is never NULL. INVALID. */
int source_tensor(const struct source *v, int32_t i, struct orcd_tensor *out, struct orcd_error *err);

/* File i. INVALID. */
int source_file(const struct source *v, uint32_t i, struct orcd_file *out, struct orcd_error *err);

#endif
