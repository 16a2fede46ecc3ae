/* Descriptions of passes: arrays by cell, one after the other, each aligned; in pinned memory and, by one
 * copy, in the device's. */
#include "plugins/cuda/ctx.h"

#define GROUP_ALIGN UINT64_C(64)

static uint64_t group_array(uint32_t n, uint64_t size)
{
    return (n * size + GROUP_ALIGN - 1) / GROUP_ALIGN * GROUP_ALIGN;
}

uint64_t group_size(uint32_t n)
{
    return 8 * group_array(n, sizeof(uint32_t)) + group_array(n, sizeof(struct ck_tile));
}

uint64_t groups_size(uint64_t n_cells, uint64_t n_groups)
{
    return n_cells * (8 * sizeof(uint32_t) + sizeof(struct ck_tile)) + n_groups * 9 * GROUP_ALIGN;
}

struct group group_at(char *base, uint32_t n)
{
    const uint64_t each = group_array(n, sizeof(uint32_t));
    uint32_t *at[8];
    for (int i = 0; i < 8; i++)
        at[i] = (uint32_t *)(void *)(base + (uint64_t)i * each);
    return (struct group){.token = (int32_t *)at[0],
        .seq = at[1],
        .pos = at[2],
        .index = at[3],
        .wanted_seq = at[4],
        .wanted_pos = at[5],
        .draw = at[6],
        .n_top = at[7],
        .tiles = (struct ck_tile *)(void *)(base + 8 * each)};
}
