/* AVX-512 with VNNI. */
#include "plugins/cpu/kernels-lanes-avx512.h"
#include "plugins/cpu/kernels-table.h"
