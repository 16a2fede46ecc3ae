/* What a launch of products works on, and what becomes of a sum: of either kernel (w-products.cuh,
 * w-mma.cuh). */
#ifndef ORCD_CUDA_W_WORK_CUH
#define ORCD_CUDA_W_WORK_CUH

#include "plugins/cuda/w-activation.cuh"
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-types.cuh"

namespace w
{

/* What becomes of a sum: */
enum finish {
    FINISH_SET,  /* y = sum + bias */
    FINISH_ADD,  /* y += sum + bias */
    FINISH_GELU, /* y = gelu(sum + bias) */
    FINISH_GATE, /* y = activation(y, sum + bias): the gate was there before */
    FINISH_PAIR, /* y = activation(sum + bias, the other matrix's sum + bias) */
};

struct product_part {
    planes w;
    const float *bias;
    float *y;
    unsigned ld_y, n_rows, finish, type;
    unsigned share; /* warps that share a row */
    unsigned end;   /* tiles of the launch up to and with this part's */
};

struct product_work {
    product_part part[3]; /* FINISH_PAIR: [0] is the gate, [1] up; y is of [0] */
    unsigned n_parts, activation;
    unsigned units; /* of a row */
    /* inputs: entries of ck_act; terms is 1 for float types */
    const int8_t *q;
    const float *d;
    const int32_t *sums;
    const float *f;
    unsigned ld, terms;
    unsigned rows, passes; /* inputs, and in how many passes they go */
    /* of experts (NULL: none): which matrix a pass uses, and what its inputs are */
    const int32_t *expert;
    const uint32_t *order, *first;
    unsigned n_experts, used, rows_per_expert;
    unsigned input_of_pair; /* 1: input row `pair`, 0: the pair's token */
};

/* What a pass works on. */
struct pass {
    unsigned expert;       /* whose rows */
    unsigned begin, count; /* inputs: rows or places in the list of pairs */
    bool listed;           /* begin is a place in `order` */
    bool some;             /* there is anything */
};

/* The whole warp calls. Pass i of experts: each expert's pairs make passes of up to `most`, in the
 * experts' order; how many there are only the device knows, so the last may find nothing. */
SIMT_DEVICE pass find_pass(const product_work &k, unsigned i, unsigned most)
{
    if (!k.expert) {
        const unsigned begin = i * most, left = k.rows - begin;
        return pass{0, begin, left < most ? left : most, false, true};
    }
    if (k.passes == k.rows && k.rows == k.used) /* one token: its experts all differ */
        return pass{static_cast<unsigned>(k.expert[i]), i, 1, false, true};
    const unsigned l = simt::lane();
    for (unsigned base = 0; base < k.n_experts; base += 32) {
        const unsigned e = base + l;
        const unsigned from = e < k.n_experts ? k.first[e] : 0, to = e < k.n_experts ? k.first[e + 1] : 0;
        const unsigned passes = (to - from + most - 1) / most;
        unsigned upto = passes;
        for (unsigned apart = 1; apart < 32; apart *= 2) {
            const unsigned before = simt::shfl_up(upto, apart);
            upto += l >= apart ? before : 0;
        }
        const unsigned found = simt::ballot(upto > i);
        if (found) {
            const int who = simt::ffs(found) - 1;
            const unsigned begin = simt::shfl(from + (i - (upto - passes)) * most, who);
            const unsigned left = simt::shfl(to, who) - begin;
            return pass{base + static_cast<unsigned>(who), begin, left < most ? left : most, true, true};
        }
        i -= simt::shfl(upto, 31);
    }
    return pass{0, 0, 0, false, false};
}

/* Which row of its kind the pass's input j is, and its pair or row of outputs. */
SIMT_DEVICE unsigned output_row(const product_work &k, const pass &p, unsigned j)
{
    return p.listed ? k.order[p.begin + j] : p.begin + j;
}

SIMT_DEVICE void finish_sum(const product_work &k, const product_part &p, float *y, float sum, float other,
    unsigned row, unsigned bias_row)
{
    float v = p.bias ? sum + p.bias[bias_row] : sum;
    switch (p.finish) {
    case FINISH_ADD:
        v = y[row] + v;
        break;
    case FINISH_GELU:
        v = gelu(v);
        break;
    case FINISH_GATE:
        v = activate(k.activation, y[row], v);
        break;
    case FINISH_PAIR:
        v = activate(k.activation, v, k.part[1].bias ? other + k.part[1].bias[bias_row] : other);
        break;
    default:
        break;
    }
    y[row] = v;
}

/* The part that a tile of the launch belongs to, and its number there. Picked by hand: an index
 * would put the arguments into local memory. */
SIMT_DEVICE product_part part_of(const product_work &k, unsigned *tile)
{
    product_part part = k.part[0];
    unsigned before = 0;
    if (part.finish != FINISH_PAIR && k.n_parts > 1 && *tile >= k.part[0].end)
        part = k.part[1], before = k.part[0].end;
    if (part.finish != FINISH_PAIR && k.n_parts > 2 && *tile >= k.part[1].end)
        part = k.part[2], before = k.part[1].end;
    *tile -= before;
    return part;
}

SIMT_DEVICE unsigned tile_of(const product_work &k, unsigned *pass_i)
{
    *pass_i = k.passes == 1 ? 0 : simt::block_x() % k.passes;
    return k.passes == 1 ? simt::block_x() : simt::block_x() / k.passes;
}

} // namespace w
#endif
