/* Choice of experts, pairs by expert, the sum of what experts gave. */
#include "plugins/cuda/a-attn.cuh"

using simt::float4;

namespace
{

constexpr unsigned LIST_WARPS = 4, SUM_THREADS = 128;

/* Ascending key = ascending x; 0 is below every number: NaN, and what is taken. */
SIMT_DEVICE unsigned order_key(float x)
{
    if (simt::is_nan(x))
        return 0;
    const unsigned u = simt::float_as_uint(x + 0.0f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* A warp a row. Each lane has the logits lane, lane + 32 ... */
SIMT_KERNEL(32) void route(ck_route_args a)
{
    kernel_begin();
    SIMT_SHARED(float, logits, [CK_MAX_EXPERTS]);
    SIMT_SHARED(float, weights, [CK_MAX_USED]);
    const uint32_t row = simt::block_x(), lane = simt::lane();
    for (uint32_t e = lane; e < a.n; e += 32)
        logits[e] = a.logits[static_cast<uint64_t>(row) * a.ld + e] + (a.bias ? a.bias[e] : 0.0f);

    /* Bit i: the lane's i-th is taken. */
    unsigned taken = 0;
    float max = 0, chosen = 0;
    for (uint32_t u = 0; u < a.used; u++) {
        unsigned best = 0, at = 0xFFFFFFFFu;
        for (uint32_t e = lane, i = 0; e < a.n; e += 32, i++) {
            const unsigned key = order_key(logits[e]);
            if (!(taken >> i & 1) && (at == 0xFFFFFFFFu || key > best)) {
                best = key;
                at = e;
            }
        }
        const unsigned most = simt::warp_max(best);
        const unsigned expert = simt::warp_min(best == most ? at : 0xFFFFFFFFu);
        if (at == expert)
            taken |= 1u << expert / 32;
        simt::syncwarp();
        const float logit = logits[expert];
        max = u == 0 ? logit : max;
        if (lane == u)
            chosen = logit;
        if (lane == 0)
            a.expert[static_cast<uint64_t>(row) * a.used + u] = static_cast<int32_t>(expert);
    }
    simt::syncwarp();
    const float weight = simt::exp(chosen - max);
    if (lane < a.used)
        weights[lane] = weight;
    if (!a.norm)
        for (uint32_t e = lane; e < a.n; e += 32)
            logits[e] = simt::exp(logits[e] - max);
    simt::syncwarp();
    if (lane < a.used) {
        const float *const of = a.norm ? weights : logits;
        float sum = 0;
        for (uint32_t e = 0; e < (a.norm ? a.used : a.n); e++)
            sum += of[e];
        a.weight[static_cast<uint64_t>(row) * a.used + lane] = weight / sum * (a.scale != 0 ? a.scale : 1.0f);
    }
}

/* A warp an expert: counts the pairs of those before it, then lists its own in their order. */
SIMT_KERNEL(32 * LIST_WARPS)
void list_pairs(const int32_t *expert, uint32_t n_pairs, uint32_t n_experts, uint32_t *order, uint32_t *first)
{
    kernel_begin();
    const uint32_t e = simt::block_x() * LIST_WARPS + simt::warp(), lane = simt::lane();
    if (e >= n_experts)
        return;
    unsigned less = 0, equal = 0;
    for (uint32_t i = lane; i < n_pairs; i += 32) {
        const uint32_t x = static_cast<uint32_t>(expert[i]);
        less += x < e;
        equal += x == e;
    }
    uint32_t at = simt::warp_sum(less);
    const uint32_t end = at + simt::warp_sum(equal);
    if (lane == 0) {
        first[e] = at;
        if (e + 1 == n_experts)
            first[n_experts] = end;
    }
    for (uint32_t i = 0; i < n_pairs && at < end; i += 32) {
        const bool mine = i + lane < n_pairs && static_cast<uint32_t>(expert[i + lane]) == e;
        const unsigned all = simt::ballot(mine);
        if (mine)
            order[at + static_cast<uint32_t>(simt::popc(all & ((1u << lane) - 1u)))] = i + lane;
        at += static_cast<uint32_t>(simt::popc(all));
    }
}

SIMT_KERNEL(SUM_THREADS) void sum_experts(ck_sum_args a)
{
    kernel_begin();
    const uint64_t row = simt::block_x();
    const uint32_t i = 4 * (simt::block_y() * SUM_THREADS + simt::thread_x());
    if (i >= a.n)
        return;
    float4 sum = {0, 0, 0, 0};
    for (uint32_t u = 0; u < a.used; u++) {
        const uint64_t pair = row * a.used + u;
        const float w = a.weight[pair];
        if (i + 4 <= a.n) {
            const float4 v = *reinterpret_cast<const float4 *>(a.y + pair * a.ld_y + i);
            sum = float4{simt::fma(w, v.x, sum.x), simt::fma(w, v.y, sum.y), simt::fma(w, v.z, sum.z),
                simt::fma(w, v.w, sum.w)};
        } else {
            const float *const v = a.y + pair * a.ld_y + i;
            sum.x = simt::fma(w, v[0], sum.x);
            sum.y = i + 1 < a.n ? simt::fma(w, v[1], sum.y) : 0;
            sum.z = i + 2 < a.n ? simt::fma(w, v[2], sum.z) : 0;
        }
    }
    float *const to = a.x + row * a.ld_x + i;
    if (i + 4 <= a.n) {
        float4 *const all = reinterpret_cast<float4 *>(to);
        const float4 v = *all;
        *all = float4{v.x + sum.x, v.y + sum.y, v.z + sum.z, v.w + sum.w};
        return;
    }
    to[0] += sum.x;
    if (i + 1 < a.n)
        to[1] += sum.y;
    if (i + 2 < a.n)
        to[2] += sum.z;
}

} // namespace

enum simt_status ck_route(struct simt_stream *s, const struct ck_route_args *a)
{
    if (a->rows == 0)
        return SIMT_OK;
    return simt::launch(launch_config(s, "route", {a->rows, 1, 1}, 32), route, *a);
}

enum simt_status ck_list_pairs(struct simt_stream *s, const int32_t *expert, uint32_t n_pairs,
    uint32_t n_experts, uint32_t *order, uint32_t *first)
{
    if (n_pairs == 0)
        return SIMT_OK;
    const unsigned blocks = (n_experts + LIST_WARPS - 1) / LIST_WARPS;
    return simt::launch(launch_config(s, "list_pairs", {blocks, 1, 1}, 32 * LIST_WARPS), list_pairs, expert,
        n_pairs, n_experts, order, first);
}

enum simt_status ck_sum_experts(struct simt_stream *s, const struct ck_sum_args *a)
{
    if (a->rows == 0 || a->n == 0)
        return SIMT_OK;
    const unsigned parts = (a->n + 4 * SUM_THREADS - 1) / (4 * SUM_THREADS);
    return simt::launch(launch_config(s, "sum_experts", {a->rows, parts, 1}, SUM_THREADS), sum_experts, *a);
}

enum simt_status a_touch_experts()
{
    enum simt_status st = simt::kernel_prepare(route, 32, 0);
    if (st == SIMT_OK)
        st = simt::kernel_prepare(list_pairs, 32 * LIST_WARPS, 0);
    return st != SIMT_OK ? st : simt::kernel_prepare(sum_experts, SUM_THREADS, 0);
}
