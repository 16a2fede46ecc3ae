/* Sizes, and the choice of an instruction set. */
#include <float.h>

#include "plugins/cpu/kernels-layout.h"

bool cpu_type_supported(uint32_t type)
{
    return packed_type_of(type).block_elems != 0;
}

enum cpu_act cpu_type_act(uint32_t type)
{
    return packed_type_of(type).act;
}

uint32_t cpu_matrix_panels(uint32_t n_rows)
{
    return n_rows / CPU_PANEL_ROWS + (n_rows % CPU_PANEL_ROWS != 0);
}

static size_t align_up(size_t n)
{
    return (n + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
}

size_t cpu_matrix_bytes(uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    const struct packed_type t = packed_type_of(type);
    size_t bytes;
    if (!t.block_elems || !n_rows || !n_cols || n_cols % t.block_elems ||
        __builtin_mul_overflow(panel_bytes(&t, n_cols), (size_t)cpu_matrix_panels(n_rows), &bytes) ||
        bytes > SIZE_MAX / 2)
        return 0;
    return align_up(bytes);
}

size_t cpu_act_bytes(uint32_t n_cols)
{
    return align_up((size_t)n_cols + (size_t)n_cols / 32 * 4 * sizeof(float));
}

size_t cpu_attn_scratch_bytes(uint32_t head_dim_k, uint32_t head_dim_v)
{
    /* a tile of keys and one of values as floats, values padded to whole lanes */
    const size_t v = ((size_t)head_dim_v + 15) / 16 * 16;
    return align_up((head_dim_k + v) * CPU_KV_TILE * sizeof(float));
}

void cpu_attn_start(struct cpu_attn_row *row, uint32_t head_dim_v, const float *sink)
{
    memset(row->out, 0, head_dim_v * sizeof(float));
    row->max = sink ? *sink : -FLT_MAX;
    row->sum = sink ? 1.0f : 0.0f;
}

/* Best first. */
static const struct cpu_kernels *const tables[] = {
#ifdef KERNELS_X86
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_c,
};

static bool runs_here(const struct cpu_kernels *k)
{
#ifdef KERNELS_X86
    __builtin_cpu_init();
    if (k == &kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
               __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (k == &kernels_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
#endif
    return k == &kernels_c;
}

const struct cpu_kernels *cpu_kernels_at(size_t i)
{
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        if (runs_here(tables[t]) && i-- == 0)
            return tables[t];
    return NULL;
}

const struct cpu_kernels *cpu_kernels_select(const char *name)
{
    const bool any = !name || !*name || !strcmp(name, "auto");
    const struct cpu_kernels *k;
    for (size_t i = 0; (k = cpu_kernels_at(i)); i++)
        if (any || !strcmp(k->name, name))
            return k;
    return NULL;
}
