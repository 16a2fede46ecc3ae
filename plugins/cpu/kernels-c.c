/* Plain C: runs everywhere, and what the others are checked against. */
#define KERNELS_PLAIN_C
#include "plugins/cpu/kernels-lanes-c.h"
#include "plugins/cpu/kernels-table.h"
