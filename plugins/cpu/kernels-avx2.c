/* AVX2, FMA and F16C. */
#include "plugins/cpu/kernels-lanes-avx2.h"
#include "plugins/cpu/kernels-table.h"
