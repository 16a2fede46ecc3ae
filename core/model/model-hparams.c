/* Reads the hyper-parameters from the metadata, and checks required keys, ranges and divisibility. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "model/model-internal.h"

int model_get_count(const struct model *m, const char *suffix, uint32_t min, uint32_t max, uint32_t fallback,
    uint32_t *out, struct orcd_error *err)
{
    struct model_key key = model_key(m, suffix);
    uint64_t v;
    int rc = gguf_get_u64(m->g, key.text, &v, err);
    if (rc == ORCD_E_NOT_FOUND) {
        if (fallback == 0)
            return error_set(err, ORCD_E_INVALID, "key '%s' is missing", key.text);
        *out = fallback;
        return 0;
    }
    if (rc != 0)
        return rc;
    if (v < min || v > max)
        return error_set(err, ORCD_E_INVALID,
            "key '%s' is %" PRIu64 "; %" PRIu32 " to %" PRIu32 " are allowed", key.text, v, min, max);
    *out = (uint32_t)v;
    return 0;
}

int model_get_float(const struct model *m, const char *suffix, double min, double max, double fallback,
    float *out, struct orcd_error *err)
{
    struct model_key key = model_key(m, suffix);
    double v;
    int rc = gguf_get_f64(m->g, key.text, &v, err);
    if (rc == ORCD_E_NOT_FOUND) {
        if (isnan(fallback))
            return error_set(err, ORCD_E_INVALID, "key '%s' is missing", key.text);
        *out = (float)fallback;
        return 0;
    }
    if (rc != 0)
        return rc;
    if (!(v >= min && v <= max)) /* NaN too */
        return error_set(err, ORCD_E_INVALID, "key '%s' is %g; %g to %g are allowed", key.text, v, min, max);
    *out = (float)v;
    return 0;
}

/* Reads a count that is one number for all layers, or an array with one number per layer. `at` points into
 * the first layer. If the key is missing, the counts are copied from fallback_at, which points into the
 * first layer, too; if that is NULL, the error is INVALID. */
static int read_per_layer(
    struct model *m, const char *suffix, uint32_t *at, const uint32_t *fallback_at, struct orcd_error *err)
{
    const size_t stride = sizeof(struct orcd_layer);
    struct model_key key = model_key(m, suffix);
    const struct gguf_kv *kv = gguf_find(m->g, key.text);
    struct gguf_array a = {0};
    uint32_t one = 0;
    int rc = 0;
    if (kv && kv->type == GGUF_ARRAY) {
        rc = gguf_get_array(m->g, key.text, &a, err);
        if (rc == 0 && a.n != m->hp.n_layers)
            rc = error_set(err, ORCD_E_INVALID, "key '%s' has %" PRIu64 " elements for %" PRIu32 " layers",
                key.text, a.n, m->hp.n_layers);
        if (rc == 0 &&
            (a.type == GGUF_STRING || a.type == GGUF_F32 || a.type == GGUF_F64 || a.type == GGUF_BOOL))
            rc = error_set(err, ORCD_E_INVALID, "key '%s' is an array of %s, not of integers", key.text,
                gguf_type_name(a.type));
    } else if (kv || !fallback_at) {
        rc = model_get_count(m, suffix, 1, MODEL_MAX_COUNT, 0, &one, err);
    }
    for (uint32_t i = 0; i < m->hp.n_layers && rc == 0; i++) {
        uint64_t v = a.data ? gguf_array_u64(&a, i) : one;
        if (!kv && fallback_at)
            v = *(const uint32_t *)(const void *)((const char *)fallback_at + i * stride);
        if (v < 1 || v > MODEL_MAX_COUNT)
            rc = error_set(err, ORCD_E_INVALID, "key '%s': element %" PRIu32 " is out of range", key.text, i);
        *(uint32_t *)(void *)((char *)at + i * stride) = (uint32_t)v;
    }
    return rc;
}

static int check_heads(const struct model *m, struct orcd_error *err)
{
    for (uint32_t i = 0; i < m->hp.n_layers; i++) {
        const struct orcd_layer *l = &m->layers[i];
        uint64_t widest = (uint64_t)l->n_heads *
                          (m->hp.head_dim_k > m->hp.head_dim_v ? m->hp.head_dim_k : m->hp.head_dim_v);
        if (l->n_heads % l->n_kv_heads != 0)
            return error_set(err, ORCD_E_INVALID,
                "layer %" PRIu32 ": %" PRIu32 " heads are not a multiple of %" PRIu32 " key-value heads", i,
                l->n_heads, l->n_kv_heads);
        if (widest > MODEL_MAX_COUNT)
            return error_set(
                err, ORCD_E_INVALID, "layer %" PRIu32 ": %" PRIu32 " heads are too many", i, l->n_heads);
    }
    return 0;
}

static int read_head_sizes(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    uint32_t heads = m->layers[0].n_heads, usual = 0;
    struct model_key key = model_key(m, "attention.key_length");
    bool explicit_k = gguf_find(m->g, key.text) != NULL;
    if (hp->n_embd % heads == 0)
        usual = hp->n_embd / heads;
    else if (!explicit_k)
        return error_set(err, ORCD_E_INVALID,
            "embedding_length %" PRIu32 " is not a multiple of %" PRIu32 " heads, and key_length is missing",
            hp->n_embd, heads);
    int rc = model_get_count(m, "attention.key_length", 1, MODEL_MAX_HEAD, usual, &hp->head_dim_k, err);
    if (rc == 0)
        rc = model_get_count(m, "attention.value_length", 1, MODEL_MAX_HEAD, usual ? usual : hp->head_dim_k,
            &hp->head_dim_v, err);
    if (rc != 0)
        return rc;
    if (hp->head_dim_k % 2 != 0 || hp->head_dim_v % 2 != 0 || hp->head_dim_k > MODEL_MAX_HEAD ||
        hp->head_dim_v > MODEL_MAX_HEAD)
        return error_set(err, ORCD_E_INVALID,
            "the head sizes are %" PRIu32 " (keys) and %" PRIu32 " (values); even sizes of at most %u are "
            "allowed",
            hp->head_dim_k, hp->head_dim_v, MODEL_MAX_HEAD);
    hp->attn_scale = (float)(1.0 / sqrt((double)hp->head_dim_k));
    return check_heads(m, err);
}

/* The vocabulary has as many tokens as token_embd has rows; the metadata must agree. */
static int read_vocab(struct model *m, struct orcd_error *err)
{
    const struct gguf_tensor *t = gguf_tensor_find(m->g, model_global_roles[ORCD_G_TOKEN_EMBD].name);
    struct gguf_array tokens;
    uint64_t said = 0;
    if (!t)
        return error_set(
            err, ORCD_E_INVALID, "tensor '%s' is missing", model_global_roles[ORCD_G_TOKEN_EMBD].name);
    if (t->dims[1] > MODEL_MAX_VOCAB)
        return error_set(err, ORCD_E_INVALID, "a vocabulary of %" PRIu64 " tokens; at most %u are allowed",
            t->dims[1], MODEL_MAX_VOCAB);
    m->hp.n_vocab = (uint32_t)t->dims[1];
    int rc = gguf_get_array(m->g, "tokenizer.ggml.tokens", &tokens, err);
    if (rc == 0) {
        said = tokens.n;
    } else if (rc == ORCD_E_NOT_FOUND) {
        struct model_key key = model_key(m, "vocab_size");
        rc = gguf_get_u64(m->g, key.text, &said, err);
        if (rc == ORCD_E_NOT_FOUND) {
            said = t->dims[1];
            rc = 0;
        }
    }
    if (rc == 0 && said != t->dims[1])
        rc = error_set(err, ORCD_E_INVALID,
            "token_embd.weight has %" PRIu64 " rows for a vocabulary of %" PRIu64 " tokens", t->dims[1],
            said);
    return rc;
}

int model_read_hparams(struct model *m, struct orcd_error *err)
{
    struct orcd_hparams *hp = &m->hp;
    hp->size = sizeof(*hp);
    hp->norm = m->family->norm;
    hp->rope = m->family->rope;
    hp->activation = m->family->activation;
    int rc = model_get_count(m, "block_count", 1, MODEL_MAX_COUNT, 0, &hp->n_layers, err);
    if (rc == 0)
        rc = model_get_count(m, "embedding_length", 1, MODEL_MAX_COUNT, 0, &hp->n_embd, err);
    if (rc == 0)
        rc = model_get_count(m, "context_length", 1, INT32_MAX, 0, &hp->n_ctx_train, err);
    if (rc == 0)
        rc = model_get_float(m,
            hp->norm == ORCD_NORM_LAYER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
            0, 1, (double)NAN, &hp->norm_eps, err);
    if (rc == 0)
        rc = read_vocab(m, err);
    if (rc != 0)
        return rc;
    if (hp->n_layers > gguf_n_tensors(m->g))
        return error_set(err, ORCD_E_INVALID, "%" PRIu32 " layers, but only %" PRIu64 " tensors",
            hp->n_layers, gguf_n_tensors(m->g));
    m->layers = calloc(hp->n_layers, sizeof(*m->layers));
    if (!m->layers)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %" PRIu32 " layers", hp->n_layers);
    struct orcd_layer *l = m->layers;
    rc = read_per_layer(m, "attention.head_count", &l->n_heads, NULL, err);
    if (rc == 0)
        rc = read_per_layer(m, "attention.head_count_kv", &l->n_kv_heads, &l->n_heads, err);
    if (rc == 0)
        rc = model_read_experts(m, err);
    /* In a model with experts the width of dense layers may be missing. */
    if (rc == 0)
        rc = read_per_layer(m, "feed_forward_length", &l->n_ff, hp->n_experts ? &l->n_ff : NULL, err);
    if (rc == 0)
        rc = read_head_sizes(m, err);
    if (rc == 0 && hp->rope != ORCD_ROPE_NONE)
        rc = model_read_rope(m, err);
    if (rc == 0)
        rc = model_read_windows(m, err);
    return rc == 0 ? model_read_scales(m, err) : rc;
}
