/*
 * A model file as the rest of orcd sees it: the checked GGUF, the family's
 * description as data (orcd_model_source), and sizes. The one place that knows
 * architecture names; plugins share this interpretation.
 *
 * Immutable after model_open; any thread may read.
 */
#ifndef ORCD_MODEL_MODEL_H
#define ORCD_MODEL_MODEL_H

#include "base/error.h"
#include "model/gguf.h"

struct model;

/* Errors: those of gguf_open; UNSUPPORTED names the architecture and lists what is
 * supported; INVALID names the key or tensor (absent, wrong type, shape against
 * metadata, out of range). Their messages begin with the path, as those of gguf_open do. */
int model_open(struct model **out, const char *path, struct orcd_error *err);
/* From an already open reader, which the model then owns (freed on failure too). */
int model_from_gguf(struct model **out, struct gguf *g, struct orcd_error *err);
void model_close(struct model *m);

const struct gguf *model_gguf(const struct model *m);
const struct orcd_model_source *model_source(const struct model *m);

const char *model_name(const struct model *m); /* general.name, or the file's base name */
const char *model_arch(const struct model *m); /* "llama" */
/* Name of the quantization that most weight bytes have, as users say it ("Q4_K_M"
 * from general.file_type when it fits the tensors, else the type's name). */
const char *model_quant_kind(const struct model *m);
uint64_t model_tensor_bytes(const struct model *m);
uint64_t model_n_parameters(const struct model *m);
/* K and V in FP16 for one token, all layers. */
uint64_t model_kv_bytes_per_token(const struct model *m);

/* Architectures that model_open takes, NULL-terminated. */
const char *const *model_supported_archs(void);

#endif
