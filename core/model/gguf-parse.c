/* Parses the bytes of a file into kvs and tensors. Nothing here recurses, and before each loop over n items
 * it is checked that the remaining bytes can hold n of them. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/util.h"
#include "model/gguf-internal.h"
#include "model/quant-types.h"

/* The smallest kv (length, key, type, value) and tensor (length, name, dims, type, offset). */
#define MIN_KV_BYTES (8 + 1 + 4 + 1)
#define MIN_TENSOR_BYTES (8 + 1 + 4 + 8 + 4 + 8)

struct reader {
    const unsigned char *p;
    uint64_t ready;  /* bytes from p on that are in memory */
    uint64_t beyond; /* bytes of the file after those */
    bool more;       /* a failure, because fewer were ready than were left */
};

static uint64_t left(const struct reader *r)
{
    return r->ready + r->beyond;
}

static int take(struct reader *r, uint64_t n, const unsigned char **at)
{
    if (n > r->ready) {
        r->more = n - r->ready <= r->beyond;
        return -1;
    }
    *at = r->p;
    r->p += n;
    r->ready -= n;
    return 0;
}

static int take_u32(struct reader *r, uint32_t *v)
{
    const unsigned char *at;
    if (take(r, 4, &at) != 0)
        return -1;
    *v = gguf_load_u32(at);
    return 0;
}

static int take_u64(struct reader *r, uint64_t *v)
{
    const unsigned char *at;
    if (take(r, 8, &at) != 0)
        return -1;
    *v = gguf_load_u64(at);
    return 0;
}

static inline __attribute__((always_inline)) int take_str(struct reader *r, struct gguf_str *s)
{
    uint64_t n;
    const unsigned char *at;
    if (take_u64(r, &n) != 0 || take(r, n, &at) != 0)
        return -1;
    *s = (struct gguf_str){(const char *)at, n};
    return 0;
}

static int cut(struct orcd_error *err, const char *what, uint64_t i, uint64_t n)
{
    return error_set(err, ORCD_E_INVALID, "the file ends inside %s %" PRIu64 " of %" PRIu64, what, i + 1, n);
}

static int parse_header(struct gguf *g, struct reader *r, struct orcd_error *err)
{
    const unsigned char *magic;
    if (take(r, 4, &magic) != 0 || memcmp(magic, "GGUF", 4) != 0)
        return error_set(err, ORCD_E_INVALID, "not a GGUF file");
    if (take_u32(r, &g->version) != 0)
        return error_set(err, ORCD_E_INVALID, "the file ends inside its header");
    if (g->version != 0 && (g->version & 0xffff) == 0)
        return error_set(err, ORCD_E_UNSUPPORTED, "big-endian GGUF files are not supported");
    if (g->version == 1)
        return error_set(err, ORCD_E_UNSUPPORTED, "GGUF version 1 is not supported; versions 2 and 3 are");
    if (g->version != 2 && g->version != 3)
        return error_set(err, ORCD_E_INVALID,
            "unknown GGUF version %" PRIu32 "; versions 2 and 3 are supported", g->version);
    if (take_u64(r, &g->n_tensors) != 0 || take_u64(r, &g->n_kv) != 0)
        return error_set(err, ORCD_E_INVALID, "the file ends inside its header");
    if (g->n_kv > left(r) / MIN_KV_BYTES || g->n_kv > INT32_MAX)
        return error_set(err, ORCD_E_INVALID, "%" PRIu64 " keys cannot fit in the file", g->n_kv);
    if (g->n_tensors > left(r) / MIN_TENSOR_BYTES || g->n_tensors > INT32_MAX)
        return error_set(err, ORCD_E_INVALID, "%" PRIu64 " tensors cannot fit in the file", g->n_tensors);
    return 0;
}

static int skip_array(struct reader *r, struct gguf_label key, struct orcd_error *err)
{
    uint32_t type;
    uint64_t n, bytes;
    const unsigned char *at;
    if (take_u32(r, &type) != 0 || take_u64(r, &n) != 0)
        return error_set(err, ORCD_E_INVALID, "key '%s': the file ends inside its array", key.text);
    if (type == GGUF_ARRAY)
        return error_set(err, ORCD_E_INVALID, "key '%s': an array of arrays is not allowed", key.text);
    if (type == GGUF_STRING) {
        if (n > left(r) / 8)
            return error_set(
                err, ORCD_E_INVALID, "key '%s': %" PRIu64 " strings cannot fit in the file", key.text, n);
        for (uint64_t i = 0; i < n; i++) {
            struct gguf_str s;
            if (take_str(r, &s) != 0)
                return error_set(err, ORCD_E_INVALID,
                    "key '%s': string %" PRIu64 " of %" PRIu64 " ends beyond the file", key.text, i + 1, n);
        }
        return 0;
    }
    uint32_t width = gguf_scalar_bytes(type);
    if (width == 0)
        return error_set(err, ORCD_E_INVALID, "key '%s': an array of unknown type %" PRIu32, key.text, type);
    if (__builtin_mul_overflow(n, (uint64_t)width, &bytes) || take(r, bytes, &at) != 0)
        return error_set(err, ORCD_E_INVALID,
            "key '%s': an array of %" PRIu64 " elements ends beyond the file", key.text, n);
    return 0;
}

static int parse_kv(struct gguf *g, uint64_t i, struct reader *r, struct orcd_error *err)
{
    struct gguf_kv *kv = &g->kvs[i];
    uint32_t type;
    if (take_str(r, &kv->key) != 0)
        return cut(err, "key", i, g->n_kv);
    struct gguf_label key = gguf_label(kv->key);
    if (kv->key.n == 0 || kv->key.n > GGUF_MAX_KEY_BYTES)
        return error_set(err, ORCD_E_INVALID, "key %" PRIu64 " has %zu bytes; 1 to %d are allowed", i + 1,
            kv->key.n, GGUF_MAX_KEY_BYTES);
    if (memchr(kv->key.p, 0, kv->key.n))
        return error_set(err, ORCD_E_INVALID, "key '%s' has a NUL byte", key.text);
    if (gguf_index_add(&g->kv_index, g, gguf_key_at, i) >= 0)
        return error_set(err, ORCD_E_INVALID, "key '%s' appears twice", key.text);
    if (take_u32(r, &type) != 0)
        return cut(err, "key", i, g->n_kv);
    if (type >= GGUF_TYPE_COUNT)
        return error_set(err, ORCD_E_INVALID, "key '%s' has unknown type %" PRIu32, key.text, type);
    kv->type = (enum gguf_type)type;
    kv->value = r->p;
    if (type == GGUF_ARRAY) {
        int rc = skip_array(r, key, err);
        if (rc != 0)
            return rc;
    } else if (type == GGUF_STRING) {
        struct gguf_str s;
        if (take_str(r, &s) != 0)
            return error_set(err, ORCD_E_INVALID, "key '%s': its string ends beyond the file", key.text);
    } else {
        const unsigned char *at;
        if (take(r, gguf_scalar_bytes(type), &at) != 0)
            return cut(err, "key", i, g->n_kv);
    }
    kv->bytes = (uint64_t)(r->p - kv->value);
    return 0;
}

static int parse_kvs(struct gguf *g, struct reader *r, struct orcd_error *err)
{
    g->kvs = calloc(g->n_kv ? g->n_kv : 1, sizeof(*g->kvs));
    if (!g->kvs)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %" PRIu64 " keys", g->n_kv);
    int rc = gguf_index_init(&g->kv_index, g->n_kv, err);
    for (uint64_t i = 0; i < g->n_kv && rc == 0; i++)
        rc = parse_kv(g, i, r, err);
    return rc;
}

static int parse_general(struct gguf *g, struct orcd_error *err)
{
    g->alignment = GGUF_DEFAULT_ALIGNMENT;
    const struct gguf_kv *kv = gguf_find(g, "general.alignment");
    if (kv) {
        if (kv->type != GGUF_U32)
            return error_set(
                err, ORCD_E_INVALID, "general.alignment is a %s, not a u32", gguf_type_name(kv->type));
        uint32_t a = gguf_load_u32(kv->value);
        if (a < 8 || a > GGUF_MAX_ALIGNMENT || (a & (a - 1)) != 0)
            return error_set(err, ORCD_E_INVALID,
                "general.alignment is %" PRIu32 "; a power of two from 8 to %u is allowed", a,
                GGUF_MAX_ALIGNMENT);
        g->alignment = a;
    }
    g->split_count = 1;
    int rc = gguf_get_u64(g, "split.count", &g->split_count, err);
    if (rc != 0 && rc != ORCD_E_NOT_FOUND)
        return rc;
    if (g->split_count <= 1)
        return 0;
    if (g->split_count > GGUF_MAX_PARTS)
        return error_set(err, ORCD_E_INVALID, "a model split into %" PRIu64 " files; at most %u are allowed",
            g->split_count, GGUF_MAX_PARTS);
    rc = gguf_get_u64(g, "split.no", &g->split_no, err);
    if (rc == ORCD_E_NOT_FOUND)
        rc = error_set(err, ORCD_E_INVALID, "key 'split.no' is missing");
    if (rc == 0 && g->split_no >= g->split_count)
        rc = error_set(err, ORCD_E_INVALID,
            "split.no is %" PRIu64 "; it must be less than split.count, %" PRIu64, g->split_no,
            g->split_count);
    return rc;
}

static int parse_dims(struct gguf_tensor *t, struct reader *r, struct gguf_label name, struct orcd_error *err)
{
    if (t->n_dims < 1 || t->n_dims > ORCD_MAX_DIMS)
        return error_set(err, ORCD_E_INVALID, "tensor '%s' has %" PRIu32 " dimensions; 1 to %d are allowed",
            name.text, t->n_dims, ORCD_MAX_DIMS);
    t->n_elements = 1;
    for (uint32_t d = 0; d < ORCD_MAX_DIMS; d++) {
        t->dims[d] = 1;
        if (d >= t->n_dims)
            continue;
        if (take_u64(r, &t->dims[d]) != 0)
            return error_set(err, ORCD_E_INVALID, "the file ends inside tensor '%s'", name.text);
        if (t->dims[d] == 0 || t->dims[d] > INT64_MAX)
            return error_set(err, ORCD_E_INVALID, "tensor '%s': dimension %" PRIu32 " is %" PRId64, name.text,
                d, (int64_t)t->dims[d]);
        if (__builtin_mul_overflow(t->n_elements, t->dims[d], &t->n_elements) || t->n_elements > INT64_MAX)
            return error_set(
                err, ORCD_E_INVALID, "tensor '%s' has more elements than a file can hold", name.text);
    }
    return 0;
}

static int parse_tensor(struct gguf *g, uint64_t i, struct reader *r, struct orcd_error *err)
{
    struct gguf_tensor *t = &g->tensors[i];
    if (take_str(r, &t->name) != 0)
        return cut(err, "tensor", i, g->n_tensors);
    struct gguf_label name = gguf_label(t->name);
    if (t->name.n == 0 || t->name.n > GGUF_MAX_NAME_BYTES)
        return error_set(err, ORCD_E_INVALID,
            "the name of tensor %" PRIu64 " has %zu bytes; 1 to %d are allowed", i + 1, t->name.n,
            GGUF_MAX_NAME_BYTES);
    if (memchr(t->name.p, 0, t->name.n))
        return error_set(err, ORCD_E_INVALID, "tensor '%s' has a NUL byte in its name", name.text);
    if (gguf_index_add(&g->tensor_index, g, gguf_tensor_name_at, i) >= 0)
        return error_set(err, ORCD_E_INVALID, "tensor '%s' appears twice", name.text);
    if (take_u32(r, &t->n_dims) != 0)
        return cut(err, "tensor", i, g->n_tensors);
    int rc = parse_dims(t, r, name, err);
    if (rc != 0)
        return rc;
    if (take_u32(r, &t->type) != 0 || take_u64(r, &t->offset) != 0)
        return cut(err, "tensor", i, g->n_tensors);
    const struct quant_type *q = quant_type_find(t->type);
    if (!q)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "tensor '%s' has unknown block type %" PRIu32, name.text, t->type);
    if (t->dims[0] % q->block_elems != 0)
        return error_set(err, ORCD_E_INVALID,
            "tensor '%s': the row length %" PRIu64 " is not a multiple of the block size of %s, %" PRIu32,
            name.text, t->dims[0], q->name, q->block_elems);
    t->bytes = quant_type_bytes(q, t->n_elements);
    if (t->bytes == UINT64_MAX)
        return error_set(err, ORCD_E_INVALID, "tensor '%s' has more bytes than a file can hold", name.text);
    return 0;
}

/* Rounds v up to the alignment. -1: overflow. */
static int align_up(const struct gguf *g, uint64_t v, uint64_t *out)
{
    uint64_t up;
    if (__builtin_add_overflow(v, (uint64_t)g->alignment - 1, &up))
        return -1;
    *out = up & ~((uint64_t)g->alignment - 1);
    return 0;
}

/* Each tensor must begin where the one before it ends with its padding: without gaps or overlaps, and in
 * the order of the list. The padding after the last one may be missing. */
static int place_tensors(struct gguf *g, struct orcd_error *err)
{
    uint64_t at = 0; /* from data_offset */
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        struct gguf_label name = gguf_label(t->name);
        uint64_t end;
        if (t->offset != at)
            return error_set(err, ORCD_E_INVALID,
                "tensor '%s' is at offset %" PRIu64 "; the tensors before it end at %" PRIu64, name.text,
                t->offset, at);
        if (__builtin_add_overflow(g->data_offset, at, &t->offset) ||
            __builtin_add_overflow(t->offset, t->bytes, &end) || end > g->bytes)
            return error_set(err, ORCD_E_INVALID,
                "tensor '%s' ends beyond the file: it needs %" PRIu64 " bytes; the file is cut or damaged",
                name.text, t->bytes);
        if (align_up(g, at + t->bytes, &at) != 0)
            return error_set(err, ORCD_E_INVALID, "tensor '%s' ends beyond the file", name.text);
    }
    return 0;
}

static int parse_tensors(struct gguf *g, struct reader *r, struct orcd_error *err)
{
    if (g->n_tensors > left(r) / MIN_TENSOR_BYTES)
        return error_set(err, ORCD_E_INVALID, "%" PRIu64 " tensors cannot fit in the file", g->n_tensors);
    g->tensors = calloc(g->n_tensors ? g->n_tensors : 1, sizeof(*g->tensors));
    if (!g->tensors)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %" PRIu64 " tensors", g->n_tensors);
    int rc = gguf_index_init(&g->tensor_index, g->n_tensors, err);
    for (uint64_t i = 0; i < g->n_tensors && rc == 0; i++)
        rc = parse_tensor(g, i, r, err);
    if (rc != 0)
        return rc;
    if (align_up(g, g->bytes - left(r), &g->data_offset) != 0)
        return error_set(err, ORCD_E_INVALID, "the header ends beyond the file");
    return place_tensors(g, err);
}

int gguf_parse(struct gguf *g, bool *more, struct orcd_error *err)
{
    struct reader r = {g->head, g->head_bytes, g->bytes - g->head_bytes, false};
    int rc = parse_header(g, &r, err);
    if (rc == 0)
        rc = parse_kvs(g, &r, err);
    if (rc == 0)
        rc = parse_general(g, err);
    if (rc == 0)
        rc = parse_tensors(g, &r, err);
    *more = r.more;
    return rc;
}

void gguf_forget(struct gguf *g)
{
    gguf_index_free(&g->kv_index);
    gguf_index_free(&g->tensor_index);
    free(g->kvs);
    free(g->tensors);
    g->kvs = NULL;
    g->tensors = NULL;
}
