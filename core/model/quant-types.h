/*
 * Block types of weights: one row a type, and a plain reference dequantizer each.
 * Layouts: docs/formats.md. Leaf module: plugins link it too.
 */
#ifndef ORCD_MODEL_QUANT_TYPES_H
#define ORCD_MODEL_QUANT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <orcd/plugin.h>

struct quant_type {
    uint32_t id;          /* orcd_tensor_type */
    const char *name;     /* "Q4_K" */
    uint32_t block_elems; /* 1, 32 or 256 */
    uint32_t block_bytes;
    /* n elements (a multiple of block_elems) from src to dst; NULL: no float meaning */
    void (*dequantize)(const void *src, float *dst, size_t n);
    /* The nearest encoding of n floats; NULL where we never write the type. For
     * tests and synth-model: plain round-to-nearest, no importance weights. */
    void (*quantize)(const float *src, void *dst, size_t n);
};

/* NULL for an id that has no layout. */
const struct quant_type *quant_type_find(uint32_t id);
const struct quant_type *quant_type_by_name(const char *name);
const struct quant_type *quant_type_at(size_t i); /* the table in order; NULL past its end */

/* Bytes of n elements; UINT64_MAX when n is no multiple of the block or it overflows. */
uint64_t quant_type_bytes(const struct quant_type *t, uint64_t n);

float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f); /* round to nearest even; keeps infinities and NaN */
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f);

#endif
