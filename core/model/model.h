/*
 * A model file for the rest of orcd: the checked GGUF, the description of its family as data
 * (orcd_model_source), and sizes. Only this module knows the names of architectures; plugins get its
 * interpretation.
 *
 * Life cycle: model_open() or model_from_gguf(), then any other call, then model_close(). Pointers that
 * are returned are valid until model_close().
 * Threads: a model is immutable after model_open(), and any thread may read it.
 * Order of calls: open, read, close; nothing else.
 */
#ifndef ORCD_MODEL_MODEL_H
#define ORCD_MODEL_MODEL_H

#include "base/error.h"
#include "model/gguf.h"

struct model;

/* Errors: those of gguf_open(); UNSUPPORTED names the architecture and lists the supported ones; INVALID
 * names the key or tensor (missing, wrong type, a shape that contradicts the metadata, out of range). Their
 * messages begin with the path, like those of gguf_open(). */
int model_open(struct model **out, const char *path, struct orcd_error *err);
/* From an open reader, which the model then owns; after a failure it is closed, too. */
int model_from_gguf(struct model **out, struct gguf *g, struct orcd_error *err);
void model_close(struct model *m);

const struct gguf *model_gguf(const struct model *m);
const struct orcd_model_source *model_source(const struct model *m);

const char *model_name(const struct model *m); /* general.name, or the file's base name */
const char *model_arch(const struct model *m); /* "llama" */
/* The name of the quantization of most weight bytes, as users call it: "Q4_K_M" from general.file_type if
 * that agrees with the tensors, else the name of the block type. */
const char *model_quant_kind(const struct model *m);
uint64_t model_tensor_bytes(const struct model *m);
uint64_t model_n_parameters(const struct model *m);
/* The bytes of K and V in FP16 for one token, over all layers. */
uint64_t model_kv_bytes_per_token(const struct model *m);

/* The architectures that model_open() supports, NULL-terminated. */
const char *const *model_supported_archs(void);

#endif
