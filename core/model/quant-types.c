#include "model/quant-types.h"

#include <string.h>
#include <strings.h>

#include "model/quant-codec.h"

#define ROW(ID, NAME, ELEMS, BYTES, fn, enc)                                                                 \
    {                                                                                                        \
        .id = ORCD_TYPE_##ID, .name = NAME, .block_elems = ELEMS, .block_bytes = BYTES,                      \
        .dequantize = quant_decode_##fn, .quantize = enc                                                     \
    }

static const struct quant_type types[] = {
    ROW(F32, "F32", 1, 4, f32, quant_encode_f32),
    ROW(F16, "F16", 1, 2, f16, quant_encode_f16),
    ROW(BF16, "BF16", 1, 2, bf16, quant_encode_bf16),
    ROW(F64, "F64", 1, 8, f64, NULL),
    ROW(I8, "I8", 1, 1, i8, NULL),
    ROW(I16, "I16", 1, 2, i16, NULL),
    ROW(I32, "I32", 1, 4, i32, NULL),
    ROW(I64, "I64", 1, 8, i64, NULL),
    ROW(Q4_0, "Q4_0", QK, 18, q4_0, quant_encode_q4_0),
    ROW(Q4_1, "Q4_1", QK, 20, q4_1, quant_encode_q4_1),
    ROW(Q5_0, "Q5_0", QK, 22, q5_0, quant_encode_q5_0),
    ROW(Q5_1, "Q5_1", QK, 24, q5_1, quant_encode_q5_1),
    ROW(Q8_0, "Q8_0", QK, 34, q8_0, quant_encode_q8_0),
    ROW(Q8_1, "Q8_1", QK, 36, q8_1, NULL),
    ROW(Q2_K, "Q2_K", QKK, 84, q2_k, quant_encode_q2_k),
    ROW(Q3_K, "Q3_K", QKK, 110, q3_k, quant_encode_q3_k),
    ROW(Q4_K, "Q4_K", QKK, 144, q4_k, quant_encode_q4_k),
    ROW(Q5_K, "Q5_K", QKK, 176, q5_k, quant_encode_q5_k),
    ROW(Q6_K, "Q6_K", QKK, 210, q6_k, quant_encode_q6_k),
    ROW(Q8_K, "Q8_K", QKK, 292, q8_k, NULL),
    ROW(IQ4_NL, "IQ4_NL", QK, 18, iq4_nl, quant_encode_iq4_nl),
    ROW(IQ4_XS, "IQ4_XS", QKK, 136, iq4_xs, quant_encode_iq4_xs),
    ROW(MXFP4, "MXFP4", QK, 17, mxfp4, quant_encode_mxfp4),
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

const struct quant_type *quant_type_find(uint32_t id)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

const struct quant_type *quant_type_by_name(const char *name)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

const struct quant_type *quant_type_at(size_t i)
{
    return i < N_TYPES ? &types[i] : NULL;
}

uint64_t quant_type_bytes(const struct quant_type *t, uint64_t n)
{
    uint64_t bytes;
    if (n % t->block_elems != 0 ||
        __builtin_mul_overflow(n / t->block_elems, (uint64_t)t->block_bytes, &bytes))
        return UINT64_MAX;
    return bytes;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
float quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exp = h >> 10 & 31, frac = h & 0x3ff;
    uint32_t bits;
    if (exp == 31) {
        bits = sign | 0x7f800000 | frac << 13;
    } else if (exp) {
        bits = sign | (exp + 112) << 23 | frac << 13;
    } else {
        float f = (float)frac * 0x1p-24f; /* subnormal: exact in binary32 */
        memcpy(&bits, &f, sizeof(bits));
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, sizeof(out));
    return out;
}

uint16_t quant_f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t mag = bits & 0x7fffffff;
    if (mag > 0x7f800000) /* a quiet NaN with the upper bits of the payload */
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x3ff));
    if (mag >= 0x477ff000) /* 65520 and more round to infinity */
        return sign | 0x7c00;
    if (mag < 0x33000000) /* below half of the least subnormal */
        return sign;
    int exp = (int)(mag >> 23) - 127;
    uint32_t frac = (mag & 0x7fffff) | 0x800000;
    int drop = exp >= -14 ? 13 : -1 - exp; /* fraction bits that do not fit */
    uint32_t kept = frac >> drop;
    uint32_t rest = frac & ((1u << drop) - 1), half = 1u << (drop - 1);
    if (rest > half || (rest == half && (kept & 1)))
        kept++;
    /* kept has its implicit bit; adding it lets a carry reach the exponent. */
    if (exp >= -14)
        kept += (uint32_t)(exp + 14) << 10;
    return (uint16_t)(sign | kept);
}

float quant_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

uint16_t quant_f32_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    bits += 0x7fff + (bits >> 16 & 1);
    return (uint16_t)(bits >> 16);
}
