/* The name of a file's quantization, as users call it. */
#include <string.h>

#include "base/util.h"
#include "model/model-internal.h"
#include "model/quant-types.h"

/* general.file_type: its name, the block type that it is named after, and the block type of rows whose
 * length is not a multiple of the first one's block. */
static const struct {
    uint32_t id;
    const char *name;
    uint32_t base, fallback;
} kinds[] = {
    {0, "F32", ORCD_TYPE_F32, ORCD_TYPE_F32},
    {1, "F16", ORCD_TYPE_F16, ORCD_TYPE_F16},
    {2, "Q4_0", ORCD_TYPE_Q4_0, ORCD_TYPE_Q4_0},
    {3, "Q4_1", ORCD_TYPE_Q4_1, ORCD_TYPE_Q4_1},
    {7, "Q8_0", ORCD_TYPE_Q8_0, ORCD_TYPE_Q8_0},
    {8, "Q5_0", ORCD_TYPE_Q5_0, ORCD_TYPE_Q5_0},
    {9, "Q5_1", ORCD_TYPE_Q5_1, ORCD_TYPE_Q5_1},
    {10, "Q2_K", ORCD_TYPE_Q2_K, ORCD_TYPE_Q4_0},
    {11, "Q3_K_S", ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_0},
    {12, "Q3_K_M", ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_0},
    {13, "Q3_K_L", ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_0},
    {14, "Q4_K_S", ORCD_TYPE_Q4_K, ORCD_TYPE_Q5_0},
    {15, "Q4_K_M", ORCD_TYPE_Q4_K, ORCD_TYPE_Q5_0},
    {16, "Q5_K_S", ORCD_TYPE_Q5_K, ORCD_TYPE_Q5_1},
    {17, "Q5_K_M", ORCD_TYPE_Q5_K, ORCD_TYPE_Q5_1},
    {18, "Q6_K", ORCD_TYPE_Q6_K, ORCD_TYPE_Q8_0},
    {25, "IQ4_NL", ORCD_TYPE_IQ4_NL, ORCD_TYPE_IQ4_NL},
    {30, "IQ4_XS", ORCD_TYPE_IQ4_XS, ORCD_TYPE_IQ4_NL},
    {32, "BF16", ORCD_TYPE_BF16, ORCD_TYPE_BF16},
    {38, "MXFP4", ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4},
};

static uint64_t bytes_of(const struct model *m, uint32_t type)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->source.n_tensors; i++)
        if (m->tensors[i].type == type)
            sum += m->tensors[i].bytes;
    return sum;
}

/* Whether the file has tensors of the block types of this kind. */
static bool borne_out(const struct model *m, uint32_t base, uint32_t fallback)
{
    /* older files have another fallback for these two */
    const bool old = base == ORCD_TYPE_Q2_K || base == ORCD_TYPE_Q3_K;
    return bytes_of(m, base) || bytes_of(m, fallback) || (old && bytes_of(m, ORCD_TYPE_IQ4_NL));
}

const char *model_find_kind(const struct model *m)
{
    uint64_t file_type;
    const struct quant_type *most = quant_type_at(0);
    for (size_t i = 0; quant_type_at(i); i++)
        if (bytes_of(m, quant_type_at(i)->id) > bytes_of(m, most->id))
            most = quant_type_at(i);
    /* Files with MXFP4 experts have various values of general.file_type. */
    if (most->id == ORCD_TYPE_MXFP4)
        return most->name;
    if (gguf_get_u64(m->g, "general.file_type", &file_type, NULL) == 0)
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            if (kinds[i].id == file_type && borne_out(m, kinds[i].base, kinds[i].fallback))
                return kinds[i].name;
    return most->name;
}
