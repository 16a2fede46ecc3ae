/* Where the planes of a matrix lie. */
#include "plugins/cuda/cuda.h"

#define PLANE_ALIGN UINT64_C(256)

/* Bytes of a block of 32 elements in q, h and s, and of 256 elements in d; floats: of an element. */
struct form {
    uint32_t type, q, h, s, d;
};

static const struct form forms[] = {
    {ORCD_TYPE_F32, 4, 0, 0, 0},
    {ORCD_TYPE_F16, 2, 0, 0, 0},
    {ORCD_TYPE_BF16, 2, 0, 0, 0},
    {ORCD_TYPE_Q4_0, 16, 0, 2, 0},
    {ORCD_TYPE_Q4_1, 16, 0, 4, 0},
    {ORCD_TYPE_Q5_0, 16, 4, 2, 0},
    {ORCD_TYPE_Q5_1, 16, 4, 4, 0},
    {ORCD_TYPE_Q8_0, 32, 0, 2, 0},
    {ORCD_TYPE_IQ4_NL, 16, 0, 2, 0},
    {ORCD_TYPE_MXFP4, 16, 0, 1, 0},
    {ORCD_TYPE_IQ4_XS, 16, 0, 1, 2},
    {ORCD_TYPE_Q2_K, 8, 0, 2, 4},
    {ORCD_TYPE_Q3_K, 8, 4, 2, 2},
    {ORCD_TYPE_Q4_K, 16, 0, 2, 4},
    {ORCD_TYPE_Q5_K, 16, 4, 2, 4},
    {ORCD_TYPE_Q6_K, 16, 8, 2, 2},
};

static const struct form *form_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (forms[i].type == type)
            return &forms[i];
    return NULL;
}

static uint32_t float_ld(uint32_t n_cols)
{
    return (n_cols + 7) / 8 * 8;
}

static bool plane(uint64_t n, uint64_t each, uint64_t *out, uint64_t *sum)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes) || bytes > INT64_MAX / 8)
        return false;
    *out = (bytes + PLANE_ALIGN - 1) / PLANE_ALIGN * PLANE_ALIGN;
    *sum += *out;
    return true;
}

int ck_matrix_layout(uint32_t type, uint64_t n_rows, uint64_t n_cols, struct ck_layout *out)
{
    const struct form *f = form_of(type);
    struct ck_layout l = {0};
    uint64_t n;
    if (!f || n_rows == 0 || n_cols == 0 || n_rows > UINT32_MAX || n_cols > UINT32_MAX - 8)
        return 0;
    if (ck_is_float(type)) {
        n = n_rows * float_ld((uint32_t)n_cols); /* below 2^64 */
        if (!plane(n, f->q, &l.q, &l.bytes))
            return 0;
    } else {
        if (n_cols % (f->d ? 256 : 32))
            return 0;
        n = n_rows * (n_cols / 32);
        if (!plane(n, f->q, &l.q, &l.bytes) || !plane(n, f->h, &l.h, &l.bytes) ||
            !plane(n, f->s, &l.s, &l.bytes) || !plane(n / 8, f->d, &l.d, &l.bytes))
            return 0;
    }
    *out = l;
    return 1;
}

void ck_matrix_place(struct ck_matrix *out, uint32_t type, uint32_t n_rows, uint32_t n_cols, uint8_t *base)
{
    struct ck_layout l;
    *out = (struct ck_matrix){.type = type, .n_rows = n_rows, .n_cols = n_cols, .ld = n_cols};
    if (!ck_matrix_layout(type, n_rows, n_cols, &l))
        return;
    if (ck_is_float(type))
        out->ld = float_ld(n_cols);
    out->q = base;
    out->h = l.h ? base + l.q : NULL;
    out->s = l.s ? base + l.q + l.h : NULL;
    out->d = l.d ? base + l.q + l.h + l.s : NULL;
}

struct ck_matrix ck_matrix_rows(const struct ck_matrix *w, uint32_t first, uint32_t n)
{
    const struct form *f = form_of(w->type);
    struct ck_matrix out = *w;
    const uint64_t units =
        ck_is_float(w->type) ? (uint64_t)first * w->ld : (uint64_t)first * (w->n_cols / 32);
    out.n_rows = n;
    out.q += units * f->q;
    if (out.h)
        out.h += units * f->h;
    if (out.s)
        out.s += units * f->s;
    if (out.d)
        out.d += units / 8 * f->d;
    return out;
}
