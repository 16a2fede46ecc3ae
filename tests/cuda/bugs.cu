// Kernels with a planted mistake, each with a correct twin. As .ho: which of them the orders of
// threads find, by a wrong result. As .rho: all that are races are found by the detector, in any
// order, and no twin is suspected.
#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

namespace
{

struct simt_stream *stream;

// Sums of 128 values, by a tree in shared memory.
template <bool BUG> SIMT_KERNEL(128) void tree(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, part, [128]);
    unsigned t = simt::thread_x();
    part[t] = in[simt::block_x() * 128 + t];
    simt::syncthreads();
    for (unsigned n = 64; n > 0; n /= 2) {
        if (t < n)
            part[t] += part[t + n];
        if (!BUG || n > 32) // "a warp runs in step": it does not
            simt::syncthreads();
    }
    if (t == 0)
        out[simt::block_x()] = part[0];
}

// The next tile overwrites what others still read.
template <bool BUG> SIMT_KERNEL(128) void tiles(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, tile, [128]);
    unsigned t = simt::thread_x();
    float sum = 0;
    for (unsigned k = 0; k < 3; k++) {
        tile[t] = in[simt::block_x() * 128 + (t + k) % 128];
        simt::syncthreads();
        sum += tile[127 - t];
        if (!BUG)
            simt::syncthreads();
    }
    sum = simt::warp_sum(sum);
    simt::syncthreads();
    if (simt::lane() == 0)
        tile[simt::warp()] = sum;
    simt::syncthreads();
    if (t == 0)
        out[simt::block_x()] = tile[0] + tile[1] + tile[2] + tile[3];
}

// Lanes exchange through shared memory.
template <bool BUG> SIMT_KERNEL(128) void neighbours(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, box, [128]);
    unsigned t = simt::thread_x();
    box[t] = in[simt::block_x() * 128 + t];
    if (!BUG)
        simt::syncwarp();
    float v = box[t ^ 1] * 2 + box[t ^ 2];
    v = simt::warp_sum(v);
    if (t == 0)
        out[simt::block_x()] = v;
}

// A counter in shared memory.
template <bool BUG> SIMT_KERNEL(128) void counter(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(unsigned, count, );
    unsigned t = simt::thread_x();
    if (t == 0)
        count = 0;
    simt::syncthreads();
    if (BUG)
        count += in[t] >= 0;
    else
        simt::atomic_add(&count, in[t] >= 0 ? 1u : 0u);
    simt::syncthreads();
    if (t == 0)
        out[simt::block_x()] = static_cast<float>(count);
}

// And one in global memory.
template <bool BUG> SIMT_KERNEL(128) void tally(const float *in, float *out, unsigned *count)
{
    unsigned v = in[simt::thread_x()] >= 0;
    if (BUG)
        *count += v;
    else
        simt::atomic_add(count, v);
    if (simt::thread_x() == 0)
        out[simt::block_x()] = static_cast<float>(v);
}

// The last block adds up: who writes must fence before the atomic, who reads after it.
template <bool BUG> SIMT_KERNEL(128) void last(const float *in, float *out, unsigned *count)
{
    SIMT_SHARED(unsigned, is_last, );
    unsigned t = simt::thread_x(), b = simt::block_x(), n = simt::blocks_x();
    float v = simt::warp_sum(in[b * 128 + t]);
    if (t == 0) {
        out[1 + b] = v;
        if (BUG) {
            is_last = b == n - 1;
        } else {
            simt::threadfence();
            is_last = simt::atomic_add(count, 1u) == n - 1;
            simt::threadfence();
        }
    }
    simt::syncthreads();
    if (is_last && t == 0) {
        float sum = 0;
        for (unsigned i = 0; i < n; i++)
            sum += simt::ldcg(out + 1 + i);
        out[0] = sum;
    }
}

// An asynchronous copy that nobody waits for.
template <bool BUG> SIMT_KERNEL(128) void fetch(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, buffer, [512]);
    unsigned t = simt::thread_x();
    simt::cp_async16(buffer + 4 * t, in + 4 * (t % 32) + 128 * simt::block_x());
    simt::cp_async_commit();
    if (!BUG)
        simt::cp_async_wait<0>();
    simt::syncthreads();
    float v = simt::warp_sum(buffer[(t * 4 + 9) % 512]);
    if (t == 0)
        out[simt::block_x()] = v;
    if (BUG)
        simt::cp_async_wait<0>();
}

// Shared memory that nobody has written.
template <bool BUG> SIMT_KERNEL(128) void fresh(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, sums, [4]);
    unsigned t = simt::thread_x();
    if (!BUG && t < 4)
        sums[t] = 0;
    simt::syncthreads();
    if (simt::lane() == 0)
        sums[simt::warp()] += in[t];
    simt::syncthreads();
    if (t == 0)
        out[simt::block_x()] = sums[0] + sums[1] + sums[2] + sums[3];
}

// Read in one lane after a write in another, ordered by part of the warp only: bug: another part.
template <bool BUG> SIMT_KERNEL(128) void quarter(const float *in, float *out, unsigned *)
{
    SIMT_SHARED(float, box, [128]);
    unsigned t = simt::thread_x(), l = simt::lane();
    box[t] = in[simt::block_x() * 128 + t];
    simt::syncwarp(l < 16 ? 0xFFFFu : 0xFFFF0000u);
    float v = box[BUG ? t ^ 16 : t ^ 8];
    v = simt::warp_sum(v);
    if (t == 0)
        out[simt::block_x()] = v;
}

// Two threads write one word, the same value.
template <bool BUG> SIMT_KERNEL(128) void both(const float *in, float *out, unsigned *)
{
    unsigned t = simt::thread_x();
    if (t == 0 || (BUG && t == 64))
        out[simt::block_x()] = in[0];
}

// Launched so that it may start before `first` ends.
template <bool BUG> SIMT_KERNEL(128) void dependent(const float *in, float *out, unsigned *count)
{
    float early = BUG ? out[7] : in[7];
    simt::pdl_wait();
    float late = out[6];
    if (simt::thread_x() == 0) {
        out[simt::block_x()] = early + late;
        simt::atomic_add(count, 1u);
    }
}

SIMT_KERNEL(128) void first(const float *in, float *out)
{
    if (simt::block_x() == 0 && simt::thread_x() == 0) {
        out[6] = in[6];
        out[7] = in[7];
    }
}

typedef void (*kernel)(const float *, float *, unsigned *);

struct plant {
    const char *name;
    kernel bug, twin;
    bool by_order, by_detector, dependent;
};

const plant plants[] = {
    {"a tree without barriers in its last warp", tree<true>, tree<false>, true, true, false},
    {"a tile overwritten while it is read", tiles<true>, tiles<false>, true, true, false},
    {"lanes that exchange without syncwarp", neighbours<true>, neighbours<false>, true, true, false},
    {"a lost update in shared memory", counter<true>, counter<false>, false, true, false},
    {"a lost update in global memory", tally<true>, tally<false>, false, true, false},
    {"a last block that is not the last", last<true>, last<false>, true, true, false},
    {"an asynchronous copy without its wait", fetch<true>, fetch<false>, true, true, false},
    {"shared memory that nobody wrote", fresh<true>, fresh<false>, true, false, false},
    {"a syncwarp of the wrong lanes", quarter<true>, quarter<false>, true, true, false},
    {"a dependent launch that reads before it waits", dependent<true>, dependent<false>, false, true, true},
    {"two writers of one value", both<true>, both<false>, false, true, false},
};

const unsigned blocks = 5, floats = 5 * 128;

struct outcome {
    vector<float> out;
    unsigned count;
    bool misused;
};

outcome run(const plant &p, kernel k, const char *knobs)
{
    need(simt_knobs("reset quiet=1"), "knobs");
    need(simt_knobs(knobs), knobs);
    vector<float> v(floats);
    for (unsigned i = 0; i < floats; i++)
        v[i] = static_cast<float>(i * 7 % 31);
    device_array<float> in(floats), out(8);
    device_array<unsigned> count(1);
    in.put(v.data());
    struct simt_usage before, after;
    simt_usage_get(&before);
    simt_launch_config c = {{blocks, 1, 1}, {128, 1, 1}, 0, stream, 0, "planted"};
    if (p.dependent) {
        need(simt::launch(c, first, in.p, out.p), "launch");
        c.pdl = 1;
    }
    enum simt_status status = simt::launch(c, k, in.p, out.p, count.p);
    simt_usage_get(&after);
    outcome r;
    r.out.resize(8);
    out.get(r.out.data());
    count.get(&r.count);
    r.misused = after.misuses != before.misuses;
    if (r.misused != (status == SIMT_LAUNCH_FAILED))
        printf("Bail out! a misuse and the launch's status disagree\n");
    return r;
}

bool same(const outcome &a, const outcome &b)
{
    return memcmp(a.out.data(), b.out.data(), a.out.size() * sizeof(float)) == 0 && a.count == b.count;
}

const char *const orders[] = {"order=forward", "order=reverse", "order=random seed=1", "order=random seed=2",
    "order=random seed=3", "order=random seed=4"};

void test(const plant &p)
{
    bool twin_same = true, twin_suspected = false, bug_differs = false, bug_always = true;
    outcome right = run(p, p.twin, orders[0]);
    for (const char *o : orders) {
        outcome twin = run(p, p.twin, o), bug = run(p, p.bug, o);
        twin_same = twin_same && same(twin, right);
        twin_suspected = twin_suspected || twin.misused;
        bug_differs = bug_differs || !same(bug, right);
        bug_always = bug_always && bug.misused;
    }
    ok(twin_same && !twin_suspected, "the twin of: %s", p.name);
#ifdef __SANITIZE_THREAD__
    if (p.by_detector)
        ok(bug_always, "the detector finds, in each order: %s", p.name);
    else
        ok(!bug_always, "no race: %s", p.name);
#else
    (void)bug_always;
    ok(bug_differs == p.by_order, "%s: %s", p.by_order ? "some order shows" : "no order shows", p.name);
#endif
}

} // namespace

int main()
{
    need(simt_stream_create(&stream, 0), "stream");
    for (const plant &p : plants)
        test(p);
    simt_stream_destroy(stream);
    return tap_end();
}
