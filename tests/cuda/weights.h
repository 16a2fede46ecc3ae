/* For the tests of plugins/cuda/w-*.cu: matrices with random blocks, as a file has them, on the
 * device in planes, and their values by the dequantizers of core/model. */
#ifndef ORCD_TESTS_CUDA_WEIGHTS_H
#define ORCD_TESTS_CUDA_WEIGHTS_H

#include <math.h>
#include <vector>

#include "plugins/cuda/kernels.h"
#include "tests/cuda/tap.h"

extern "C" {
#include "model/quant-types.h"
}

/* Bytes of a block of 32 elements in planes q, h and s, and of one of 256 in d. */
struct type_form {
    uint32_t type, q, h, s, d;
    int halves[2]; /* where a file's block has FP16 numbers; -1: nowhere */
};

static const type_form all_types[] = {
    {ORCD_TYPE_F32, 0, 0, 0, 0, {-1, -1}},
    {ORCD_TYPE_F16, 0, 0, 0, 0, {-1, -1}},
    {ORCD_TYPE_BF16, 0, 0, 0, 0, {-1, -1}},
    {ORCD_TYPE_Q4_0, 16, 0, 2, 0, {0, -1}},
    {ORCD_TYPE_Q4_1, 16, 0, 4, 0, {0, 2}},
    {ORCD_TYPE_Q5_0, 16, 4, 2, 0, {0, -1}},
    {ORCD_TYPE_Q5_1, 16, 4, 4, 0, {0, 2}},
    {ORCD_TYPE_Q8_0, 32, 0, 2, 0, {0, -1}},
    {ORCD_TYPE_IQ4_NL, 16, 0, 2, 0, {0, -1}},
    {ORCD_TYPE_MXFP4, 16, 0, 1, 0, {-1, -1}},
    {ORCD_TYPE_IQ4_XS, 16, 0, 1, 2, {0, -1}},
    {ORCD_TYPE_Q2_K, 8, 0, 2, 4, {80, 82}},
    {ORCD_TYPE_Q3_K, 8, 4, 2, 2, {108, -1}},
    {ORCD_TYPE_Q4_K, 16, 0, 2, 4, {0, 2}},
    {ORCD_TYPE_Q5_K, 16, 4, 2, 4, {0, 2}},
    {ORCD_TYPE_Q6_K, 16, 8, 2, 2, {208, -1}},
};

static inline const char *type_name(uint32_t type)
{
    return quant_type_find(type)->name;
}

static inline float random_float(random_numbers &r)
{
    return static_cast<float>(static_cast<int32_t>(r.next())) / 2147483648.0f;
}

/* A matrix as the file has it. */
struct file_matrix {
    uint32_t type, n_rows, n_cols;
    std::vector<uint8_t> bytes;
    std::vector<float> values; /* [n_rows][n_cols] */
};

static inline file_matrix random_matrix(uint32_t type, uint32_t n_rows, uint32_t n_cols, uint64_t seed)
{
    const quant_type *t = quant_type_find(type);
    const type_form *form = all_types;
    while (form->type != type)
        form++;
    random_numbers r = {seed * 2654435761u + type};
    const size_t n = static_cast<size_t>(n_rows) * n_cols, blocks = n / t->block_elems;
    file_matrix m = {
        type, n_rows, n_cols, std::vector<uint8_t>(blocks * t->block_bytes), std::vector<float>(n)};
    for (size_t i = 0; i < m.bytes.size(); i++)
        m.bytes[i] = static_cast<uint8_t>(r.next());
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *block = m.bytes.data() + b * t->block_bytes;
        const float f = random_float(r);
        uint16_t h = quant_f32_to_f16(f);
        if (type == ORCD_TYPE_F32)
            memcpy(block, &f, 4);
        else if (type == ORCD_TYPE_F16)
            memcpy(block, &h, 2);
        else if (type == ORCD_TYPE_BF16)
            h = quant_f32_to_bf16(f), memcpy(block, &h, 2);
        else if (type == ORCD_TYPE_MXFP4)
            block[0] = static_cast<uint8_t>(112 + r.next() % 16);
        for (int at : form->halves)
            if (at >= 0) {
                h = quant_f32_to_f16(random_float(r) / 8);
                memcpy(block + at, &h, 2);
            }
    }
    t->dequantize(m.bytes.data(), m.values.data(), n);
    return m;
}

/* The same on the device, put there in the given pieces (of blocks; the rest at the end). Plane
 * after plane, each filled with 0xA5 beyond its end, which nothing may change. */
struct device_matrix {
    ck_matrix m;
    device_array<uint8_t> memory;
    std::vector<size_t> used, begin; /* bytes of each plane, and where it begins */

    static size_t plane(size_t bytes)
    {
        return bytes ? (bytes + 255) / 256 * 256 + 256 : 0;
    }
    static const type_form &form(uint32_t type)
    {
        const type_form *f = all_types;
        while (f->type != type)
            f++;
        return *f;
    }
    static std::vector<size_t> sizes(const file_matrix &f)
    {
        const type_form &t = form(f.type);
        const size_t n = static_cast<size_t>(f.n_rows) * f.n_cols;
        if (ck_is_float(f.type))
            return {static_cast<size_t>(f.n_rows) * ((f.n_cols + 7) / 8 * 8) *
                        quant_type_find(f.type)->block_bytes,
                0, 0, 0};
        return {n / 32 * t.q, n / 32 * t.h, n / 32 * t.s, n / 256 * t.d};
    }
    static size_t total(const std::vector<size_t> &each)
    {
        size_t sum = 0;
        for (size_t bytes : each)
            sum += plane(bytes);
        return sum;
    }
    explicit device_matrix(const file_matrix &f, std::vector<size_t> pieces = {})
        : memory(total(sizes(f))), used(sizes(f))
    {
        size_t at = 0;
        for (size_t bytes : used)
            begin.push_back(at), at += plane(bytes);
        std::vector<uint8_t> fill(memory.n, 0xA5);
        if (ck_is_float(f.type))
            memset(fill.data(), 0, used[0]); /* as the host does: padding is zero */
        memory.put(fill.data());
        m = ck_matrix{};
        m.type = f.type, m.n_rows = f.n_rows, m.n_cols = f.n_cols;
        m.ld = ck_is_float(f.type) ? (f.n_cols + 7) / 8 * 8 : f.n_cols;
        m.q = memory.p;
        m.h = used[1] ? memory.p + begin[1] : nullptr;
        m.s = used[2] ? memory.p + begin[2] : nullptr;
        m.d = used[3] ? memory.p + begin[3] : nullptr;
        simt_stream *s;
        need(simt_stream_create(&s, 0), "stream");
        const size_t block = quant_type_find(f.type)->block_bytes, blocks = f.bytes.size() / block;
        size_t first = 0;
        pieces.push_back(blocks);
        for (size_t n : pieces) {
            n = n < blocks - first ? n : blocks - first;
            if (n == 0)
                continue;
            device_array<uint8_t> src(n * block);
            src.put(f.bytes.data() + first * block);
            need(ck_repack(s, &m, src.p, first, n), "ck_repack");
            need(simt_stream_sync(s), "repack");
            first += n;
        }
        simt_stream_destroy(s);
    }
    /* Nothing beyond a plane's end was written. */
    bool intact() const
    {
        std::vector<uint8_t> now(memory.n);
        memory.get(now.data());
        for (size_t p = 0; p < used.size(); p++)
            for (size_t i = used[p]; i < plane(used[p]); i++)
                if (now[begin[p] + i] != 0xA5)
                    return false;
        return true;
    }
};

#endif
