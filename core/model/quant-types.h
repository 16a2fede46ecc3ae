/*
 * The block types of weights: one row per type, with a plain reference dequantizer. Layouts:
 * docs/formats.md. Plugins compile these files, too, so they include nothing else of core.
 *
 * A constant table and pure functions: any thread may use them at any time, in any order.
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
    /* Decodes n elements (a multiple of block_elems) from src to dst. */
    void (*dequantize)(const void *src, float *dst, size_t n);
    /* Encodes n floats by plain round-to-nearest, without importance weights, for tests and synth-model.
     * NULL: orcd never writes this type. */
    void (*quantize)(const float *src, void *dst, size_t n);
};

/* NULL: the type is unknown. */
const struct quant_type *quant_type_find(uint32_t id);
const struct quant_type *quant_type_by_name(const char *name);
const struct quant_type *quant_type_at(size_t i); /* row i of the table; NULL: past its end */

/* The bytes of n elements; UINT64_MAX if n is not a multiple of the block, or on overflow. */
uint64_t quant_type_bytes(const struct quant_type *t, uint64_t n);

float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f); /* round to nearest even; keeps infinities and NaN */
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f);

#endif
