// Constructs of simt.h in kernels, against what the host computes: threads, shared memory, lanes, atomics.
// The same file tests the CPU's layer and, on a GPU, that of nvcc: so the pairs are compared.
#include "tests/cuda/layer.h"

namespace
{

// --- where am I -------------------------------------------------------------------------

SIMT_KERNEL(64) void where(unsigned *out)
{
    unsigned t =
        simt::thread_x() + simt::threads_x() * (simt::thread_y() + simt::threads_y() * simt::thread_z());
    unsigned b = simt::block_x() + simt::blocks_x() * (simt::block_y() + simt::blocks_y() * simt::block_z());
    unsigned n = simt::threads_x() * simt::threads_y() * simt::threads_z();
    out[b * n + t] = b << 16 | simt::warp() << 8 | simt::lane();
}

void test_where()
{
    device_array<unsigned> d(48 * 6);
    simt_launch_config c = {{3, 2, 1}, {4, 6, 2}, 0, stream, 0, "where"};
    need(simt::launch(c, where, d.p), "launch");
    need(simt_stream_sync(stream), "sync");
    vector<unsigned> got(d.n);
    d.get(got.data());
    bool good = true;
    for (unsigned i = 0; i < d.n; i++)
        good = good && got[i] == ((i / 48) << 16 | (i % 48 / 32) << 8 | (i % 48 % 32));
    ok(good, "indices of a grid of 3 x 2 blocks of 4 x 6 x 2 threads");
}

// --- barriers and shared memory -------------------------------------------------------------

SIMT_KERNEL(256) void reverse(int *p)
{
    SIMT_SHARED(int, part, [256]);
    unsigned t = simt::thread_x(), n = simt::threads_x(), b = simt::block_x() * n;
    part[t] = p[b + t];
    simt::syncthreads();
    p[b + t] = part[n - 1 - t];
}

SIMT_KERNEL(256) void prefix_sums(int *p)
{
    SIMT_SHARED_DYNAMIC(int, buffer);
    SIMT_SHARED(int, count, );
    unsigned t = simt::thread_x(), n = simt::threads_x();
    if (t == 0)
        count = 0;
    buffer[t] = p[t];
    simt::syncthreads();
    simt::atomic_add(&count, 1);
    for (unsigned d = 1; d < n; d *= 2) {
        int v = t >= d ? buffer[t - d] : 0;
        simt::syncthreads();
        buffer[t] += v;
        simt::syncthreads();
    }
    p[t] = buffer[t] + (count == static_cast<int>(n) ? 0 : 1000000);
}

SIMT_KERNEL(128) void votes(const int *p, int *out)
{
    unsigned t = simt::thread_x();
    int some = simt::syncthreads_or(p[t] == 7), how_many = simt::syncthreads_count(p[t] > 0);
    if (t >= 100)
        return; // those who have gone count as waiting
    int again = simt::syncthreads_count(1);
    out[t] = some * 1000000 + how_many * 1000 + again;
}

template <class T> SIMT_DEVICE T twice(T v)
{
    SIMT_SHARED(T, box, [32]); // one array for each T
    box[simt::lane()] = v;
    simt::syncwarp();
    T got = box[simt::lane() ^ 1];
    simt::syncwarp();
    return v + got;
}

SIMT_KERNEL(32) void two_types(float *f, double *d)
{
    unsigned t = simt::thread_x();
    f[t] = twice(static_cast<float>(t)) + twice(0.5f);
    d[t] = twice(static_cast<double>(t) * 3);
}

void test_shared()
{
    for (unsigned n : {1u, 31u, 32u, 33u, 256u}) {
        device_array<int> d(3 * n);
        vector<int> v(3 * n), got(3 * n);
        for (unsigned i = 0; i < 3 * n; i++)
            v[i] = static_cast<int>(i * 7);
        d.put(v.data());
        bool good = run(3, n, 0, reverse, d.p) == SIMT_OK;
        d.get(got.data());
        for (unsigned i = 0; i < 3 * n; i++)
            good = good && got[i] == v[i / n * n + n - 1 - i % n];
        ok(good, "static shared memory and a barrier, %u threads", n);
    }
    device_array<int> d(256);
    vector<int> v(256), got(256);
    int sum = 0;
    for (int i = 0; i < 256; i++)
        v[static_cast<unsigned>(i)] = i % 11 - 3;
    d.put(v.data());
    bool good = run(1, 256, 1024, prefix_sums, d.p) == SIMT_OK;
    d.get(got.data());
    for (unsigned i = 0; i < 256; i++)
        good = good && got[i] == (sum += v[i]);
    ok(good, "dynamic shared memory, a scalar, an atomic on it, barriers in a loop");

    device_array<int> in(128), out(100);
    vector<int> flags(128), result(100);
    for (unsigned i = 0; i < 128; i++)
        flags[i] = i % 3 == 0;
    in.put(flags.data());
    good = run(1, 128, 0, votes, in.p, out.p) == SIMT_OK;
    out.get(result.data());
    for (int r : result)
        good = good && r == 43 * 1000 + 100;
    flags[127] = 7;
    in.put(flags.data());
    good = good && run(1, 128, 0, votes, in.p, out.p) == SIMT_OK;
    out.get(result.data());
    for (int r : result)
        good = good && r == 1000000 + 44 * 1000 + 100;
    ok(good, "barriers that vote and count, threads that have left");

    device_array<float> f(32);
    device_array<double> e(32);
    vector<float> gf(32);
    vector<double> ge(32);
    good = run(1, 32, 0, two_types, f.p, e.p) == SIMT_OK;
    f.get(gf.data());
    e.get(ge.data());
    for (unsigned i = 0; i < 32; i++)
        good = good && gf[i] == static_cast<float>(i + (i ^ 1)) + 1 &&
               ge[i] == static_cast<double>(3 * (i + (i ^ 1)));
    ok(good, "a shared array in a template, one for each type");
}

// --- between lanes ----------------------------------------------------------------------------

struct lane_results {
    int shfl, shfl8, x1, x16, x_far, up1, up8, down1, down8;
    unsigned ballot, ballot_part;
    int any, all, all_odd, sum, sum8, max4, min;
    unsigned umax;
    float fsum, fmax;
    double wide;
    unsigned short h;
};

SIMT_KERNEL(64) void lanes(const int *p, const float *f, lane_results *out)
{
    unsigned t = simt::thread_x(), l = simt::lane();
    int v = p[t];
    lane_results r = {};
    r.shfl = simt::shfl(v, 5);
    r.shfl8 = simt::shfl(v, 3, 8);
    r.x1 = simt::shfl_xor(v, 1);
    r.x16 = simt::shfl_xor(v, 16);
    r.x_far = simt::shfl_xor(v, 16, 8);
    r.up1 = simt::shfl_up(v, 1);
    r.up8 = simt::shfl_up(v, 3, 8);
    r.down1 = simt::shfl_down(v, 1);
    r.down8 = simt::shfl_down(v, 3, 8);
    r.ballot = simt::ballot(v & 1);
    unsigned odd = l & 1 ? 0xAAAAAAAAu : 0x55555555u;
    r.ballot_part = simt::ballot(v & 2, odd);
    r.any = simt::any(v == 1000) ? 1 : 0;
    r.all = simt::all(v >= 0) ? 1 : 0;
    r.all_odd = simt::all(v & 1, odd) ? 1 : 0;
    r.sum = simt::warp_sum(v);
    r.sum8 = simt::warp_sum<8>(v);
    r.max4 = simt::warp_max<4>(v);
    r.min = simt::warp_min(v);
    r.umax = simt::warp_max(static_cast<unsigned>(v) * 3u);
    r.fsum = simt::warp_sum(f[t]);
    r.fmax = simt::warp_max(f[t]);
    r.wide = simt::shfl_xor(static_cast<double>(v) * 1.25, 2);
    r.h = simt::half_bits(simt::shfl(simt::to_half(static_cast<float>(v)), 7));
    out[t] = r;
}

void test_lanes()
{
    device_array<int> d(64);
    device_array<float> e(64);
    device_array<lane_results> out(64);
    vector<int> v(64);
    vector<float> f(64);
    vector<lane_results> got(64);
    random_numbers random = {42};
    for (unsigned i = 0; i < 64; i++) {
        v[i] = static_cast<int>(random.next() % 1000);
        f[i] = static_cast<float>(random.next() % 100000) / 777.0f - 60.0f;
    }
    v[37] = 1000;
    d.put(v.data());
    e.put(f.data());
    need(run(1, 64, 0, lanes, d.p, e.p, out.p), "lanes");
    out.get(got.data());
    bool shuffles = true, ballots = true, sums = true, types = true;
    for (unsigned i = 0; i < 64; i++) {
        const lane_results &r = got[i];
        unsigned w = i & ~31u, l = i % 32, g = i & ~7u;
        unsigned bits = 0, part = 0;
        int sum = 0, sum8 = 0, max4 = 0, min = 1 << 30;
        unsigned umax = 0;
        bool has_1000 = false, all_odd = true;
        float tree[32], fmax = -INFINITY;
        for (unsigned j = 0; j < 32; j++) {
            bits |= static_cast<unsigned>(v[w + j] & 1) << j;
            if (j % 2 == l % 2) {
                part |= static_cast<unsigned>(v[w + j] >> 1 & 1) << j;
                all_odd = all_odd && (v[w + j] & 1);
            }
            has_1000 = has_1000 || v[w + j] == 1000;
            sum += v[w + j];
            if (j / 8 == l / 8)
                sum8 += v[w + j];
            if (j / 4 == l / 4 && v[w + j] > max4)
                max4 = v[w + j];
            if (v[w + j] < min)
                min = v[w + j];
            if (static_cast<unsigned>(v[w + j]) * 3u > umax)
                umax = static_cast<unsigned>(v[w + j]) * 3u;
            tree[j] = f[w + j];
            fmax = f[w + j] > fmax ? f[w + j] : fmax;
        }
        for (unsigned apart = 16; apart; apart /= 2)
            for (unsigned j = 0; j < apart; j++)
                tree[j] += tree[j + apart];
        shuffles = shuffles && r.shfl == v[w + 5] && r.shfl8 == v[g + 3] && r.x1 == v[i ^ 1] &&
                   r.x16 == v[i ^ 16] && r.up1 == (l ? v[i - 1] : v[i]) &&
                   r.up8 == (i % 8 >= 3 ? v[i - 3] : v[i]) && r.down1 == (l < 31 ? v[i + 1] : v[i]) &&
                   r.down8 == (i % 8 < 5 ? v[i + 3] : v[i]) &&
                   r.x_far == ((l ^ 16) < (l & 24) + 8 ? v[i ^ 16] : v[i]);
        ballots = ballots && r.ballot == bits && r.ballot_part == part && r.any == has_1000 && r.all == 1 &&
                  r.all_odd == all_odd;
        sums = sums && r.sum == sum && r.sum8 == sum8 && r.max4 == max4 && r.min == min && r.umax == umax &&
               r.fsum == tree[0] && r.fmax == fmax;
        types = types && r.wide == v[i ^ 2] * 1.25 &&
                r.h == simt::half_bits(simt::to_half(static_cast<float>(v[w + 7])));
    }
    ok(shuffles, "shuffles, also within groups of 8 lanes");
    ok(ballots, "ballots and votes, also of half a warp");
    ok(sums, "sums, maxima and minima of a warp, in the butterfly's order");
    ok(types, "shuffles of double and half");
}

SIMT_KERNEL(64) void last_warp(int *out)
{
    unsigned t = simt::thread_x();
    int mine = static_cast<int>(t) + 1;
    if (t == 3)
        return; // a lane that has left does not take part
    unsigned there = simt::ballot(1);
    int sum = 0;
    for (int l = 0; l < 32; l++)
        if (there >> l & 1)
            sum += simt::shfl(mine, l);
    out[t] = sum;
}

void test_last_warp()
{
    device_array<int> out(64);
    vector<int> got(64);
    need(run(1, 42, 0, last_warp, out.p), "last_warp");
    out.get(got.data());
    int first = 32 * 33 / 2 - 4, second = 0;
    for (int i = 33; i <= 42; i++)
        second += i;
    bool good = got[3] == 0;
    for (unsigned i = 0; i < 42; i++)
        good = good && (i == 3 || got[i] == (i < 32 ? first : second));
    ok(good, "a warp that is not full, a lane that has left");
}

// --- atomics, the last block --------------------------------------------------------------------

SIMT_KERNEL(64) void atomics(unsigned *u, int *i, float *f, unsigned long long *w)
{
    unsigned id = simt::block_x() * simt::threads_x() + simt::thread_x();
    simt::atomic_add(u, id);
    simt::atomic_max(u + 1, id * 3);
    simt::atomic_min(u + 2, id + 5);
    simt::atomic_or(u + 3, 1u << id % 32);
    simt::atomic_and(u + 4, ~(1u << id % 16));
    simt::atomic_inc(u + 5, 99);
    simt::atomic_add(i, -1);
    simt::atomic_max(i + 1, static_cast<int>(id) - 100);
    simt::atomic_min(i + 2, -static_cast<int>(id));
    simt::atomic_add(f, 0.5f);
    simt::atomic_add(w, 1ull << 33);
    simt::atomic_max(w + 1, static_cast<unsigned long long>(id) << 40);
    if (simt::atomic_cas(u + 6, 0u, id + 1) == 0)
        simt::atomic_add(u + 7, 1u);
    if (simt::atomic_exch(u + 8, 1u) == 0)
        simt::atomic_add(u + 9, 1u);
}

SIMT_KERNEL(64) void last_block(const float *p, float *partial, unsigned *count, float *out)
{
    SIMT_SHARED(float, part, [2]);
    SIMT_SHARED(unsigned, last, );
    unsigned t = simt::thread_x(), b = simt::block_x();
    float s = simt::warp_sum(p[b * 64 + t]);
    if (simt::lane() == 0)
        part[simt::warp()] = s;
    simt::syncthreads();
    if (t == 0) {
        partial[b] = part[0] + part[1];
        simt::threadfence();
        last = simt::atomic_inc(count, simt::blocks_x() - 1) == simt::blocks_x() - 1;
        simt::threadfence();
    }
    simt::syncthreads();
    if (last && t == 0) {
        float sum = 0;
        for (unsigned i = 0; i < simt::blocks_x(); i++)
            sum += simt::ldcg(partial + i);
        *out = sum;
    }
}

void test_atomics()
{
    device_array<unsigned> u(10);
    device_array<int> i(3);
    device_array<float> f(1);
    device_array<unsigned long long> w(2);
    vector<unsigned> gu(10);
    vector<int> gi(3);
    float gf;
    unsigned long long gw[2];
    unsigned start[10] = {0, 0, 1000, 0, 0xFFFFFFFFu, 0, 0, 0, 0, 0};
    u.put(start);
    need(run(7, 64, 0, atomics, u.p, i.p, f.p, w.p), "atomics");
    u.get(gu.data());
    i.get(gi.data());
    f.get(&gf);
    w.get(gw);
    ok(gu[0] == 448 * 447 / 2 && gu[1] == 447 * 3 && gu[2] == 5 && gu[3] == 0xFFFFFFFFu &&
            gu[4] == 0xFFFF0000u && gu[5] == 448 % 100 && gu[7] == 1 && gu[9] == 1 && gi[0] == -448 &&
            gi[1] == 347 && gi[2] == -447 && gf == 224.0f && gw[0] == 448ull << 33 && gw[1] == 447ull << 40,
        "atomics of 7 blocks");

    device_array<float> p(64 * 9), partial(9), out(1);
    device_array<unsigned> count(1);
    vector<float> v(64 * 9);
    for (unsigned k = 0; k < v.size(); k++)
        v[k] = static_cast<float>(k % 13);
    p.put(v.data());
    float sum = 0, result;
    for (float x : v)
        sum += x;
    need(run(9, 64, 0, last_block, p.p, partial.p, count.p, out.p), "last_block");
    out.get(&result);
    ok(result == sum, "the last block adds what the others left");
}

// --- the rest ---------------------------------------------------------------------------------------------

SIMT_CONSTANT int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct arguments {
    const int *p;
    int scale;
    simt::half h;
    double d;
};

SIMT_KERNEL2(64, 2) void mixed(arguments a, int n, short s, float *out)
{
    simt::pdl_wait();
    int i = static_cast<int>(simt::thread_x());
    if (i < n)
        simt::stcs(out + i, static_cast<float>(table[a.p[i] & 15] * a.scale + s) + simt::to_float(a.h) +
                                static_cast<float>(a.d));
    simt::pdl_trigger();
}

void test_mixed()
{
    device_array<int> p(50);
    device_array<float> out(50);
    vector<int> v(50);
    vector<float> got(50);
    for (unsigned i = 0; i < 50; i++)
        v[i] = static_cast<int>(i * 3);
    p.put(v.data());
    arguments a = {p.p, 3, simt::to_half(0.5f), 0.25};
    need(simt::kernel_prepare(mixed, 64, 0), "prepare"); // without it the launch is not dependent
    simt_launch_config c = {{1, 1, 1}, {64, 1, 1}, 0, stream, 1, "mixed"};
    need(simt::launch(c, mixed, a, 50u, 7, out.p), "launch");
    need(simt_stream_sync(stream), "sync");
    out.get(got.data());
    const int same[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    bool good = true;
    for (unsigned i = 0; i < 50; i++)
        good = good && got[i] == static_cast<float>(same[v[i] & 15] * 3 + 7) + 0.75f;
    ok(good, "constant memory, a struct of arguments, conversions, a dependent launch");
}

} // namespace

int main()
{
    return run_tests({test_where, test_shared, test_lanes, test_last_warp, test_atomics, test_mixed});
}
