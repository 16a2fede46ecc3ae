/*
 * The instruction sets that a kernel test runs: those of this processor, or, compiled with
 * KERNELS_SIMDE, the AVX-512 source over emulated instructions and plain C beside it.
 */
#ifndef ORCD_TESTS_KERNEL_SETS_H
#define ORCD_TESTS_KERNEL_SETS_H

#include "plugins/cpu/kernels-layout.h"

static inline const struct cpu_kernels *set_at(size_t i)
{
#ifdef KERNELS_SIMDE
    return i == 0 ? &kernels_avx512_simde : i == 1 ? &kernels_c : NULL;
#else
    return cpu_kernels_at(i);
#endif
}

#endif
