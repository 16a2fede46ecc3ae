/* What the files of the model share. */
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

/* Sizes that shapes of tensors are made of. */
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
    DIM_UP, /* DIM_FF, doubled where gate and up are fused */
    DIM_EXPERTS,
    DIM_FF_EXPERT,
    DIM_FF_SHARED,
    DIM_COUNT
};

/* A tensor that a role names: "NAME" or "blk.N.NAME", and its shape. Vectors (one
 * dimension) are F32 in every file that is written; matrices have any weight type. */
struct model_role {
    const char *name;
    unsigned char dims[3]; /* model_dim */
};
extern const struct model_role model_global_roles[ORCD_G_COUNT];
extern const struct model_role model_layer_roles[ORCD_L_COUNT];

/* A row of a family: a role that its files have. */
struct model_use {
    int role;
    int required;     /* 1: every file has it */
    uint64_t feature; /* ORCD_F_ bit set where it is there */
    /* The family's own names for it, the second being another spelling; NULL: the role's. */
    const char *name, *other;
};

struct model_family {
    const char *arch;  /* general.architecture, and the prefix of its keys */
    const char *shown; /* how we call it; NULL: arch */
    bool experts;      /* a row of its own for models with experts */
    enum orcd_rope rope;
    enum orcd_norm norm;
    enum orcd_activation activation;
    uint64_t features;                      /* always needed */
    enum orcd_rope_scaling default_scaling; /* of files that name none; NONE: linear */
    unsigned scalings;                      /* 1 << orcd_rope_scaling of those it may have */
    /* Of files that do not say it: keys that a sliding window has (0: none), and the number of
     * layers of which the last has no window (0: all have one). */
    uint32_t window, window_period;
    /* Likewise: the rope base of layers with a window (0: that of all), and the caps of scores
     * and logits (0: none). */
    float local_rope_base, attn_softcap, logit_softcap;
    bool caps;            /* files may have those */
    bool no_windowed_cap; /* with windows logits have no cap, whatever the file says */
    /* Of so many layers is the size whose queries are scaled by width / heads, not by the
     * size of a head; no key says it. 0: none. */
    uint32_t scaled_by_width;
    bool softmax_over_all; /* the weights of experts are parts of a softmax over all of them */
    const struct model_use *global, *layer;
    size_t n_global, n_layer;
};

/* NULL: unknown. */
const struct model_family *model_family_find(struct gguf_str arch, bool experts);
/* What an architecture that we know of needs and we lack; NULL: never heard of it. */
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
    unsigned char *used; /* a byte a tensor: some role has it */
    char name[128];
    char general_name[128];
    const char *kind;
};

/* hp and layers (counts only) from metadata. */
int model_read_hparams(struct model *m, struct orcd_error *err);
/* The part of hp about experts; the family has some. */
int model_read_experts(struct model *m, struct orcd_error *err);
/* The rotary part of hp; head_dim_k and n_ctx_train are set. */
int model_read_rope(struct model *m, struct orcd_error *err);
/* Scale of embeddings and queries, caps; head sizes and windows are set. */
int model_read_scales(struct model *m, struct orcd_error *err);
/* The layers' sliding windows; n_ctx_train is set. */
int model_read_windows(struct model *m, struct orcd_error *err);
/* Fills in roles, checks shapes and types, sets features. */
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

/* A count of the family's metadata in min..max; absent: fallback, or INVALID when that is 0. */
int model_get_count(const struct model *m, const char *suffix, uint32_t min, uint32_t max, uint32_t fallback,
    uint32_t *out, struct orcd_error *err);
/* A finite number; absent: fallback, or INVALID when that is NaN. */
int model_get_float(const struct model *m, const char *suffix, double min, double max, double fallback,
    float *out, struct orcd_error *err);

#endif
