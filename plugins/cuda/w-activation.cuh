/* The activations of feed-forward blocks. */
#ifndef ORCD_CUDA_W_ACTIVATION_CUH
#define ORCD_CUDA_W_ACTIVATION_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace w
{

/* x (1 + tanh(z)) / 2 with z = sqrt(2 / pi) (x + 0.044715 x^3) is x / (1 + e^(-2 z)). */
SIMT_DEVICE float gelu(float x)
{
    const float inner = simt::fma(x * x * 0.044715f, x, x);
    return x / (1.0f + simt::exp(inner * -1.5957691216057308f));
}

SIMT_DEVICE float clamp(float x, float least, float most)
{
    /* a NaN stays */
    return x < least ? least : x > most ? most : x;
}

/* activation: orcd_activation. */
SIMT_DEVICE float activate(unsigned activation, float gate, float up)
{
    switch (activation) {
    case ORCD_ACT_GELU:
        return gelu(up);
    case ORCD_ACT_GELU_GATED:
        return gelu(gate) * up;
    case ORCD_ACT_SWIGLU_OAI: {
        const float g = gate > 7.0f ? 7.0f : gate, u = clamp(up, -7.0f, 7.0f);
        return g / (1.0f + simt::exp(g * -1.702f)) * (u + 1.0f);
    }
    default:
        return gate / (1.0f + simt::exp(-gate)) * up;
    }
}

} // namespace w
#endif
