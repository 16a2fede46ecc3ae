/*
 * What the files of the model share; all other code includes model.h.
 *
 * Life cycle: model_from_gguf() allocates a struct model and fills it in; model_close() frees it, also
 * after a failure of the functions below.
 * Threads: the thread that opens the model calls these functions; afterwards the model is immutable.
 * Order of calls: model_read_hparams(), which calls model_read_experts(), model_read_rope(),
 * model_read_windows() and model_read_scales() in this order; model_bind_tensors(); model_find_kind().
 */
#ifndef ORCD_MODEL_MODEL_INTERNAL_H
#define ORCD_MODEL_MODEL_INTERNAL_H

#include <stdio.h>

#include "model/gguf.h"
#include "model/model.h"

#define MODEL_MAX_COUNT (1u << 20)
#define MODEL_MAX_VOCAB (1u << 24)
#define MODEL_MAX_HEAD 1024u
#define MODEL_MAX_EXPERTS 1024u
#define MODEL_NAME_ROOM 80

/* The sizes that the shapes of tensors consist of. */
enum model_dim {
    DIM_NONE, /* this dimension is 1 */
    DIM_EMBD,
    DIM_VOCAB,
    DIM_CTX,
    DIM_Q,         /* heads * key size */
    DIM_K,         /* kv heads * key size */
    DIM_V,         /* kv heads * value size */
    DIM_QKV,       /* DIM_Q + DIM_K + DIM_V */
    DIM_ATTN,      /* heads * value size */
    DIM_HEAD,      /* key size */
    DIM_HEADS,     /* heads */
    DIM_ROPE_HALF, /* rotated pairs */
    DIM_FF,
    DIM_UP, /* DIM_FF, doubled if gate and up are fused */
    DIM_EXPERTS,
    DIM_FF_EXPERT,
    DIM_FF_SHARED,
    DIM_COUNT
};

/* The tensor of a role: its name ("NAME" or "blk.N.NAME") and its shape. Vectors (one dimension) are F32 in
 * all files; matrices may have any weight type. */
struct model_role {
    const char *name;
    unsigned char dims[3]; /* model_dim */
};
extern const struct model_role model_global_roles[ORCD_G_COUNT];
extern const struct model_role model_layer_roles[ORCD_L_COUNT];

/* A role that the files of a family have. */
struct model_use {
    int role;
    int required;     /* 1: all files have it */
    uint64_t feature; /* the ORCD_F_ bit that is set if the tensor exists */
    /* The family's own name for it, and another spelling of that; NULL: the role's name. */
    const char *name, *other;
};

struct model_family {
    const char *arch;  /* general.architecture, and the prefix of its keys */
    const char *shown; /* the name that users see; NULL: arch */
    bool experts;      /* this row is for models with experts */
    enum orcd_rope rope;
    enum orcd_norm norm;
    enum orcd_activation activation;
    uint64_t features;                      /* always needed */
    enum orcd_rope_scaling default_scaling; /* if the file names none; NONE: linear */
    unsigned scalings;                      /* 1 << orcd_rope_scaling for each supported one */
    /* Defaults if the file has no key for them: the keys in a sliding window (0: no window), and the
     * period of layers of which the last one has no window (0: all have one). */
    uint32_t window, window_period;
    /* Defaults as well: the rope base of layers with a window (0: that of all layers), and the caps of
     * scores and logits (0: none). */
    float local_rope_base, attn_softcap, logit_softcap;
    bool caps;            /* files may have caps */
    bool no_windowed_cap; /* with windows, logits have no cap, whatever the file has */
    /* In the model size with this many layers, queries are scaled by width / heads in place of the size
     * of a head. No key has this fact. 0: in no size. */
    uint32_t scaled_by_width;
    bool softmax_over_all; /* the weights of experts come from a softmax over all experts */
    const struct model_use *global, *layer;
    size_t n_global, n_layer;
};

/* The family of an architecture; NULL: not supported. */
const struct model_family *model_family_find(struct gguf_str arch, bool experts);
/* What an unsupported architecture needs that no plugin has; NULL: unknown architecture. */
const char *model_family_needs(struct gguf_str arch);

struct model {
    struct gguf *g;
    const struct model_family *family;
    struct orcd_hparams hp;
    struct orcd_model_source source;
    struct orcd_file *files;
    struct orcd_tensor *tensors;
    struct orcd_layer *layers;
    int32_t global[ORCD_G_COUNT];
    char *names;         /* the tensors' names, NUL-terminated */
    unsigned char *used; /* one byte per tensor: 1 if it has a role */
    char name[128];
    char general_name[128];
    const char *kind;
};

/* Reads hp and the counts in layers from the metadata. */
int model_read_hparams(struct model *m, struct orcd_error *err);
/* Reads the part of hp about experts, if the family has experts. */
int model_read_experts(struct model *m, struct orcd_error *err);
/* Reads the rotary part of hp. head_dim_k and n_ctx_train must be set. */
int model_read_rope(struct model *m, struct orcd_error *err);
/* Sets the scales of embeddings and queries, and the caps. Head sizes and windows must be set. */
int model_read_scales(struct model *m, struct orcd_error *err);
/* Reads the sliding windows of the layers. n_ctx_train must be set. */
int model_read_windows(struct model *m, struct orcd_error *err);
/* Binds tensors to roles, checks shapes and types, sets features. */
int model_bind_tensors(struct model *m, struct orcd_error *err);
const char *model_find_kind(const struct model *m);

/* A key with the family's prefix: "llama." + suffix. */
struct model_key {
    char text[96];
};
static inline struct model_key model_key(const struct model *m, const char *suffix)
{
    struct model_key k;
    snprintf(k.text, sizeof(k.text), "%s.%s", m->family->arch, suffix);
    return k;
}

/* Reads a count of the family's metadata, min to max. If the key is missing: fallback, or INVALID if
 * fallback is 0. */
int model_get_count(const struct model *m, const char *suffix, uint32_t min, uint32_t max, uint32_t fallback,
    uint32_t *out, struct orcd_error *err);
/* Reads a finite number. If the key is missing: fallback, or INVALID if fallback is NaN. */
int model_get_float(const struct model *m, const char *suffix, double min, double max, double fallback,
    float *out, struct orcd_error *err);

#endif
