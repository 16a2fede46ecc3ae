/* Typed access to metadata. */
#include "base/util.h"
#include "model/gguf-internal.h"

static const struct {
    const char *name;
    uint32_t bytes;
} scalars[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},
    [GGUF_I8] = {"i8", 1},
    [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},
    [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},
    [GGUF_BOOL] = {"bool", 1},
    [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0},
    [GGUF_U64] = {"u64", 8},
    [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

const char *gguf_type_name(enum gguf_type type)
{
    return (unsigned)type < GGUF_TYPE_COUNT ? scalars[type].name : "unknown";
}

uint32_t gguf_scalar_bytes(uint32_t type)
{
    return type < GGUF_TYPE_COUNT ? scalars[type].bytes : 0;
}

struct gguf_label gguf_label(struct gguf_str s)
{
    struct gguf_label l;
    size_t n = s.n < sizeof(l.text) - 1 ? s.n : sizeof(l.text) - 1;
    for (size_t i = 0; i < n; i++)
        l.text[i] = (char)(s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?');
    l.text[n] = 0;
    return l;
}

#define LOAD(type, p)                                                                                        \
    __extension__({                                                                                          \
        type v_;                                                                                             \
        memcpy(&v_, (p), sizeof(v_));                                                                        \
        v_;                                                                                                  \
    })

/* Loads an integer as its bits and sign. False: the type is not an integer. */
static bool load_int(enum gguf_type type, const unsigned char *p, bool *negative, uint64_t *bits)
{
    int64_t i;
    switch (type) {
    case GGUF_U8:
        *bits = *p;
        break;
    case GGUF_U16:
        *bits = LOAD(uint16_t, p);
        break;
    case GGUF_U32:
        *bits = LOAD(uint32_t, p);
        break;
    case GGUF_U64:
        *bits = LOAD(uint64_t, p);
        break;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        i = type == GGUF_I8    ? LOAD(int8_t, p)
            : type == GGUF_I16 ? LOAD(int16_t, p)
            : type == GGUF_I32 ? LOAD(int32_t, p)
                               : LOAD(int64_t, p);
        *bits = (uint64_t)i; /* two's complement */
        *negative = i < 0;
        return true;
    default:
        return false;
    }
    *negative = false;
    return true;
}

static int wrong_type(struct orcd_error *err, const char *key, enum gguf_type has, const char *wanted)
{
    return error_set(err, ORCD_E_INVALID, "key '%s' is a %s, not %s", key, gguf_type_name(has), wanted);
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    bool negative;
    uint64_t v;
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (!load_int(kv->type, kv->value, &negative, &v))
        return wrong_type(err, key, kv->type, "an integer");
    if (negative)
        return error_set(err, ORCD_E_INVALID, "key '%s' is negative", key);
    *out = v;
    return 0;
}

int gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    bool negative;
    uint64_t v;
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (!load_int(kv->type, kv->value, &negative, &v))
        return wrong_type(err, key, kv->type, "an integer");
    if (!negative && v > INT64_MAX)
        return error_set(err, ORCD_E_INVALID, "key '%s' is out of range", key);
    *out = (int64_t)v;
    return 0;
}

static bool load_f64(enum gguf_type type, const unsigned char *p, double *out)
{
    bool negative;
    uint64_t v;
    if (type == GGUF_F32)
        *out = (double)LOAD(float, p);
    else if (type == GGUF_F64)
        *out = LOAD(double, p);
    else if (load_int(type, p, &negative, &v))
        *out = negative ? (double)(int64_t)v : (double)v;
    else
        return false;
    return true;
}

int gguf_get_f64(const struct gguf *g, const char *key, double *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (!load_f64(kv->type, kv->value, out))
        return wrong_type(err, key, kv->type, "a number");
    return 0;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (kv->type != GGUF_BOOL)
        return wrong_type(err, key, kv->type, "a bool");
    *out = *kv->value != 0;
    return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (kv->type != GGUF_STRING)
        return wrong_type(err, key, kv->type, "a string");
    /* The length that was checked when the file was opened; the file may have changed since. */
    *out = (struct gguf_str){(const char *)kv->value + 8, kv->bytes - 8};
    return 0;
}

int gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out, struct orcd_error *err)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return ORCD_E_NOT_FOUND;
    if (kv->type != GGUF_ARRAY)
        return wrong_type(err, key, kv->type, "an array");
    *out = (struct gguf_array){
        (enum gguf_type)gguf_load_u32(kv->value), gguf_load_u64(kv->value + 4), kv->value + 12};
    return 0;
}

uint64_t gguf_array_u64(const struct gguf_array *a, uint64_t i)
{
    bool negative;
    uint64_t v = 0;
    if (a->type == GGUF_BOOL)
        return a->data[i] != 0;
    load_int(a->type, a->data + i * gguf_scalar_bytes(a->type), &negative, &v);
    return v;
}

double gguf_array_f64(const struct gguf_array *a, uint64_t i)
{
    double v = 0;
    load_f64(a->type, a->data + i * gguf_scalar_bytes(a->type), &v);
    return v;
}

struct gguf_array_cursor gguf_array_strings(const struct gguf_array *a)
{
    return (struct gguf_array_cursor){a->data, a->type == GGUF_STRING ? a->n : 0};
}

bool gguf_array_next(struct gguf_array_cursor *c, struct gguf_str *out)
{
    if (c->left == 0)
        return false;
    uint64_t n = gguf_load_u64(c->p);
    *out = (struct gguf_str){(const char *)c->p + 8, n};
    c->p += 8 + n;
    c->left--;
    return true;
}
