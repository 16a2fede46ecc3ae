/* The table of one instruction set, from the lanes included before it. */
#include "plugins/cpu/kernels-pack.h"
#include "plugins/cpu/kernels-matmul.h"
#include "plugins/cpu/kernels-vec.h"
#include "plugins/cpu/kernels-attn.h"

const struct cpu_kernels LANES_TABLE = {
    .name = LANES_NAME,
    .pack = pack,
    .row_get = kernels_row_get,
    .act_quantize = act_quantize,
    .matmul = matmul,
    .k_put = k_put,
    .v_put = v_put,
    .attn_tiles = attn_tiles,
    .attn_finish = attn_finish,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .add = vec_add,
    .axpy = vec_axpy,
    .silu_mul = silu_mul,
    .swiglu_oai = swiglu_oai,
    .gelu = gelu,
    .gelu_mul = gelu_mul,
    .softcap = softcap,
    .softmax = softmax,
    .rope = rope,
};
