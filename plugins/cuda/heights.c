/*
 * Heights of prefill's products. A slice reads, expands and reads again all weights however few tokens it
 * has, and the tensor cores' work follows its height: on an H200 by reckoning 8 ms and 12 ms at 8B and 512
 * tokens. So a few tokens go in a low product, many in a high one, and up to three quarters of the step to
 * the next height are cheaper in several of those below it.
 *
 * An algorithm, and with it the bits of a result, follows from the height. So a height follows from the row's
 * own tokens in the step, never from what else is computed.
 */
#include "plugins/cuda/pass.h"

#define SMALL 512u /* below, a slice costs little more than what all have in common */

static const uint32_t heights[] = {32, 64, 128, 256, SMALL, 2048};
#define N_HEIGHTS (sizeof(heights) / sizeof(heights[0]))

uint32_t prefill_height(uint32_t most, uint32_t left)
{
    uint32_t height = most, below = 0;
    for (size_t i = N_HEIGHTS; i-- > 0 && !below;) {
        if (heights[i] < most && heights[i] >= left)
            height = heights[i];
        else if (heights[i] < left)
            below = heights[i];
    }
    return below >= SMALL && below < most && left <= height / 4 * 3 ? below : height;
}

uint64_t prefill_shares(const struct orcd_ctx *ctx)
{
    /* Only a row's last share is lower than this, or not full. */
    const uint32_t least = ctx->slice < SMALL ? ctx->slice : SMALL;
    return (uint64_t)ctx->params.max_batch_rows + ctx->params.max_batch_tokens / least + 1;
}
