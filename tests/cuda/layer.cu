// Each construct of simt.h in a kernel, against what the host computes. The same file tests the
// CPU's layer and, on a GPU, that of nvcc: so the pairs are compared.
#include <math.h>
#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

namespace
{

struct simt_stream *stream;

template <class... P, class... A>
enum simt_status run(unsigned blocks, unsigned threads, size_t shared, void (*kernel)(P...), A... args)
{
    simt_launch_config c = {{blocks, 1, 1}, {threads, 1, 1}, shared, stream, 0, "test"};
    enum simt_status status = simt::kernel_prepare(kernel, threads, shared);
    if (!status)
        status = simt::launch(c, kernel, args...);
    return status ? status : simt_stream_sync(stream);
}

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

// --- integers and floats --------------------------------------------------------------------------

SIMT_KERNEL(64) void integers(const unsigned *p, int n, unsigned *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    unsigned a = p[3 * i], b = p[3 * i + 1], c = p[3 * i + 2], *o = out + 20 * i;
    o[0] = static_cast<unsigned>(simt::dp4a(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c)));
    o[1] = simt::dp4a_uu(a, b, c);
    o[2] = static_cast<unsigned>(simt::dp4a_us(a, static_cast<int>(b), static_cast<int>(c)));
    o[3] = simt::byte_perm(a, b, c);
    o[4] = simt::vadd4(a, b);
    o[5] = simt::vsub4(a, b);
    o[6] = simt::vsubss4(a, b);
    o[7] = static_cast<unsigned>(simt::popc(a));
    o[8] = static_cast<unsigned>(simt::clz(a >> (c & 31)));
    o[9] = static_cast<unsigned>(simt::ffs(a << (c & 31)));
    o[10] = simt::brev(a);
    o[11] = static_cast<unsigned>(simt::mulhi(static_cast<int>(a), static_cast<int>(b)));
    o[12] = simt::umulhi(a, b);
    o[13] = simt::funnel_l(a, b, c);
    o[14] = simt::funnel_r(a, b, c);
    o[15] = simt::float_as_uint(simt::uint_as_float(a & 0xBFFFFFFFu));
    o[16] = static_cast<unsigned>(simt::min(static_cast<int>(a), static_cast<int>(b)));
    o[17] = simt::max(a, b);
    o[18] = static_cast<unsigned>(simt::abs(static_cast<int>(a)));
    o[19] = simt::ldg(p + 3 * i) ^ simt::ldcs(p + 3 * i + 1) ^ simt::ldcg(p + 3 * i + 2);
}

void test_integers()
{
    const int n = 500;
    vector<unsigned> v(3 * n), got(20 * n);
    random_numbers random = {7};
    for (unsigned &x : v)
        x = random.next();
    v[0] = v[1] = 0x80808080u;
    v[3] = 0;
    v[5] = 0;
    device_array<unsigned> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(8, 64, 0, integers, in.p, n, out.p), "integers");
    out.get(got.data());
    bool products = true, bytes = true, bits = true;
    for (unsigned i = 0; i < n; i++) {
        unsigned a = v[3 * i], b = v[3 * i + 1], c = v[3 * i + 2];
        const unsigned *o = &got[20 * i];
        unsigned ss = c, uu = c, us = c, perm = 0, add = 0, sub = 0, sat = 0, rev = 0, population = 0;
        for (unsigned k = 0; k < 4; k++) {
            int sa = static_cast<int8_t>(a >> 8 * k), sb = static_cast<int8_t>(b >> 8 * k);
            int ua = static_cast<uint8_t>(a >> 8 * k), ub = static_cast<uint8_t>(b >> 8 * k);
            ss += static_cast<unsigned>(sa * sb);
            uu += static_cast<unsigned>(ua * ub);
            us += static_cast<unsigned>(ua * sb);
            add |= static_cast<unsigned>((ua + ub) & 255) << 8 * k;
            sub |= static_cast<unsigned>((ua - ub) & 255) << 8 * k;
            int d = sa - sb > 127 ? 127 : sa - sb < -128 ? -128 : sa - sb;
            sat |= static_cast<unsigned>(d & 255) << 8 * k;
            unsigned pick = c >> 4 * k & 15, from = pick & 7;
            unsigned byte = (from < 4 ? a >> 8 * from : b >> 8 * (from - 4)) & 255;
            perm |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * k;
        }
        for (unsigned k = 0; k < 32; k++) {
            rev |= (a >> k & 1) << (31 - k);
            population += a >> k & 1;
        }
        unsigned shifted = a >> (c & 31), left = a << (c & 31), zeros = 0, first = 0;
        while (zeros < 32 && !(shifted >> (31 - zeros) & 1))
            zeros++;
        while (left && !(left >> first++ & 1))
            ;
        uint64_t both = static_cast<uint64_t>(b) << 32 | a;
        products = products && o[0] == ss && o[1] == uu && o[2] == us &&
                   o[11] == static_cast<unsigned>(
                                static_cast<int64_t>(static_cast<int>(a)) * static_cast<int>(b) >> 32) &&
                   o[12] == static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
        bytes = bytes && o[3] == perm && o[4] == add && o[5] == sub && o[6] == sat;
        bits = bits && o[7] == population && o[8] == zeros && o[9] == first && o[10] == rev &&
               o[13] == static_cast<unsigned>(both << (c & 31) >> 32) &&
               o[14] == static_cast<unsigned>(both >> (c & 31)) && o[15] == (a & 0xBFFFFFFFu) &&
               o[16] == (static_cast<int>(a) < static_cast<int>(b) ? a : b) && o[17] == (a > b ? a : b) &&
               o[18] == (a >> 31 ? 0u - a : a) && o[19] == (a ^ b ^ c);
    }
    ok(products, "dp4a signed, unsigned and mixed, high halves of products");
    ok(bytes, "bytes permuted, added, subtracted with and without saturation");
    ok(bits, "bits counted, found, reversed, shifted; minimum, maximum, loads");
}

SIMT_KERNEL(64) void floats(const float *p, int n, float *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    float x = p[i], *o = out + 24 * i, s, c;
    simt::sincos(x, &s, &c);
    o[0] = simt::exp(x);
    o[1] = simt::fast_exp(x);
    o[2] = simt::log(simt::fabs(x) + 1);
    o[3] = simt::tanh(x);
    o[4] = simt::fast_tanh(x);
    o[5] = simt::sqrt(simt::fabs(x));
    o[6] = simt::rsqrt(simt::fabs(x) + 1);
    o[7] = simt::rcp(x + 100);
    o[8] = s;
    o[9] = c;
    o[10] = simt::sin(x);
    o[11] = simt::cos(x);
    o[12] = simt::rint(x);
    o[13] = simt::floor(x);
    o[14] = simt::round(x);
    o[15] = static_cast<float>(simt::float2int(x));
    o[16] = simt::fma(x, x, -x);
    o[17] = simt::fmax(x, simt::uint_as_float(0x7FC00000u));
    o[18] = simt::fmin(x, 1.0f);
    o[19] = simt::fast_div(x, 3.0f);
    o[20] = simt::pow(simt::fabs(x), 0.75f);
    o[21] = simt::exp2(x / 8) + simt::log2(simt::fabs(x) + 2);
    o[22] = (simt::is_nan(x) ? 1.0f : 0.0f) + (simt::is_inf(-simt::infinity()) ? 2.0f : 0.0f);
    o[23] = simt::ceil(x) + simt::trunc(x) + simt::fast_log(simt::fabs(x) + 1) + simt::fast_sin(x / 40) +
            simt::fast_cos(x / 40);
}

bool near(float a, double b, double relative)
{
    return fabs(a - b) <= relative * (fabs(b) + 1e-3);
}

void test_floats()
{
    const int n = 300;
    vector<float> v(n), got(24 * n);
    random_numbers random = {11};
    for (float &x : v)
        x = static_cast<float>(random.next() % 100000) / 2500.0f - 20.0f;
    v[0] = 2.5f, v[1] = -2.5f, v[2] = 0.5f, v[3] = -0.0f, v[4] = 3.0f;
    device_array<float> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(5, 64, 0, floats, in.p, n, out.p), "floats");
    out.get(got.data());
    bool accurate = true, exact = true, fast = true;
    for (unsigned i = 0; i < n; i++) {
        double x = v[i], a = fabs(x);
        const float *o = &got[24 * i];
        accurate = accurate && near(o[0], exp(x), 1e-6) && near(o[2], log(a + 1), 1e-6) &&
                   near(o[3], tanh(x), 1e-6) && near(o[6], 1 / sqrt(a + 1), 1e-6) &&
                   near(o[8], sin(x), 1e-6) && near(o[9], cos(x), 1e-6) && near(o[10], sin(x), 1e-6) &&
                   near(o[11], cos(x), 1e-6) && near(o[20], pow(a, 0.75), 1e-6) &&
                   near(o[21], exp2(x / 8) + log2(a + 2), 1e-6);
        exact = exact && o[5] == sqrtf(fabsf(v[i])) && o[7] == 1.0f / (v[i] + 100) &&
                o[12] == nearbyintf(v[i]) && o[13] == floorf(v[i]) && o[14] == roundf(v[i]) &&
                o[15] == nearbyintf(v[i]) && o[16] == fmaf(v[i], v[i], -v[i]) && o[17] == v[i] &&
                o[18] == fminf(v[i], 1.0f) && o[22] == 2.0f;
        fast = fast && near(o[1], exp(x), 2e-5) && near(o[4], tanh(x), 2e-3) && near(o[19], x / 3, 1e-6) &&
               near(o[23], ceil(x) + trunc(x) + log(a + 1) + sin(x / 40) + cos(x / 40), 1e-5);
    }
    ok(accurate, "accurate functions within a few ulp");
    ok(exact, "exact functions");
    ok(fast, "fast functions within their bounds");
}

// --- half -------------------------------------------------------------------------------------------

SIMT_KERNEL(64) void halves(const unsigned *p, int n, unsigned *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    simt::half2 a = simt::half2_from_bits(p[3 * i]), b = simt::half2_from_bits(p[3 * i + 1]),
                c = simt::half2_from_bits(p[3 * i + 2]);
    unsigned *o = out + 6 * i;
    o[0] = simt::half2_bits(simt::hfma2(a, b, c));
    o[1] = simt::half2_bits(simt::hadd2(a, b));
    o[2] = simt::half2_bits(simt::hmul2(a, b));
    o[3] = simt::half2_bits(simt::hmax2(a, b));
    o[4] = simt::half_bits(simt::to_half(simt::uint_as_float(p[3 * i]))) |
           static_cast<unsigned>(simt::bf16_bits(simt::to_bf16(simt::uint_as_float(p[3 * i])))) << 16;
    o[5] = simt::float_as_uint(simt::to_float(simt::half_from_bits(static_cast<uint16_t>(p[3 * i]))));
}

// Exactly rounded, by trying: among neighbouring halves the nearest to the exact value in long double.
unsigned nearest_half(long double exact)
{
    unsigned best = 0;
    if (exact == 0)
        return 0;
    long double a = exact < 0 ? -exact : exact;
    unsigned guess = simt::detail::half_from_float(static_cast<float>(a)); // within one of it
    for (unsigned k = guess > 1 ? guess - 2 : 0; k <= guess + 2 && k <= 0x7C00; k++) {
        long double value =
            k == 0x7C00 ? 65536.0L
                        : static_cast<long double>(simt::detail::half_to_float(static_cast<uint16_t>(k)));
        long double held = best == 0x7C00 ? 65536.0L
                                          : static_cast<long double>(
                                                simt::detail::half_to_float(static_cast<uint16_t>(best)));
        long double d = value > a ? value - a : a - value, e = held > a ? held - a : a - held;
        if (d < e || (d == e && !(k & 1)))
            best = k;
    }
    return best | (exact < 0 ? 0x8000u : 0u);
}

void test_halves()
{
    const int n = 2000;
    vector<unsigned> v(3 * n), got(6 * n);
    random_numbers random = {5};
    for (unsigned &x : v) {
        x = random.next();
        // no infinities or NaNs here, exponents that meet
        x &= 0xBFFFBFFFu;
        if (random.next() % 2)
            x |= 0x38003800u, x &= 0xBFFFBFFFu;
    }
    device_array<unsigned> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(32, 64, 0, halves, in.p, n, out.p), "halves");
    out.get(got.data());
    int wrong[6] = {0};
    for (unsigned i = 0; i < n; i++)
        for (unsigned s = 0; s < 32; s += 16) {
            auto value = [&](unsigned k) {
                return static_cast<long double>(
                    simt::detail::half_to_float(static_cast<uint16_t>(v[3 * i + k] >> s)));
            };
            auto result = [&](unsigned k) { return got[6 * i + k] >> s & 0xFFFFu; };
            long double a = value(0), b = value(1), c = value(2);
            wrong[0] += (result(0) & 0x7FFFu) != (nearest_half(a * b + c) & 0x7FFFu);
            wrong[1] += (result(1) & 0x7FFFu) != (nearest_half(a + b) & 0x7FFFu);
            wrong[2] += (result(2) & 0x7FFFu) != (nearest_half(a * b) & 0x7FFFu);
            wrong[3] += static_cast<long double>(
                            simt::detail::half_to_float(static_cast<uint16_t>(result(3)))) != (a > b ? a : b);
        }
    for (unsigned i = 0; i < n; i++) {
        float f = simt::detail::float_of(v[3 * i]);
        wrong[4] += got[6 * i + 4] != (simt::detail::half_from_float(f) |
                                          static_cast<unsigned>(simt::detail::bf16_from_float(f)) << 16);
        wrong[5] += got[6 * i + 5] !=
                    simt::detail::bits_of(simt::detail::half_to_float(static_cast<uint16_t>(v[3 * i])));
    }
    ok(!wrong[0], "hfma2 rounds once (%d wrong)", wrong[0]);
    ok(!wrong[1] && !wrong[2] && !wrong[3], "hadd2, hmul2, hmax2 (%d, %d, %d wrong)", wrong[1], wrong[2],
        wrong[3]);
    ok(!wrong[4] && !wrong[5], "conversions (%d, %d wrong)", wrong[4], wrong[5]);
}

SIMT_KERNEL(32) void half_sums(const unsigned *p, unsigned *out)
{
    unsigned t = simt::thread_x();
    out[t] = simt::half2_bits(simt::warp_sum<16>(simt::half2_from_bits(p[t])));
}

void test_half_sums()
{
    device_array<unsigned> in(32), out(32);
    vector<unsigned> v(32), got(32);
    float sums[2][2] = {};
    for (unsigned i = 0; i < 32; i++) {
        float x = static_cast<float>(i % 7), y = static_cast<float>(i) / 4;
        v[i] = simt::half_bits(simt::to_half(x)) | static_cast<unsigned>(simt::half_bits(simt::to_half(y)))
                                                       << 16;
        sums[i / 16][0] += x;
        sums[i / 16][1] += y;
    }
    in.put(v.data());
    need(run(1, 32, 0, half_sums, in.p, out.p), "half_sums");
    out.get(got.data());
    bool good = true;
    for (unsigned i = 0; i < 32; i++)
        good = good &&
               got[i] == (simt::half_bits(simt::to_half(sums[i / 16][0])) |
                             static_cast<unsigned>(simt::half_bits(simt::to_half(sums[i / 16][1]))) << 16);
    ok(good, "sums of half2 over 16 lanes");
}

// --- asynchronous copies, matrices --------------------------------------------------------------------

SIMT_KERNEL(32) void copies(const float *p, float *out)
{
    SIMT_SHARED(float, ring, [2][128]);
    SIMT_SHARED(float, small, [128]);
    unsigned t = simt::thread_x();
    simt::cp_async16(&ring[0][4 * t], p + 4 * t);
    simt::cp_async_commit();
    float sum = 0;
    for (unsigned k = 0; k < 4; k++) {
        if (k < 3)
            simt::cp_async16_or_zero(&ring[(k + 1) % 2][4 * t], p + 128 * (k + 1) + 4 * t, k != 1);
        simt::cp_async_commit();
        simt::cp_async_wait<1>();
        simt::syncwarp();
        for (unsigned i = 0; i < 4; i++)
            sum += ring[k % 2][(4 * t + i + 13) % 128] * static_cast<float>(k + 1);
        simt::syncwarp();
    }
    simt::cp_async4(&small[t], p + t);
    simt::cp_async8(&small[32 + 2 * t], p + 32 + 2 * t);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    simt::syncwarp();
    out[t] = sum + small[(t + 1) % 32] + small[32 + (2 * t + 7) % 64];
}

void test_copies()
{
    device_array<float> in(512), out(32);
    vector<float> v(512), got(32);
    for (unsigned i = 0; i < 512; i++)
        v[i] = static_cast<float>(i % 37);
    in.put(v.data());
    need(run(1, 32, 0, copies, in.p, out.p), "copies");
    out.get(got.data());
    bool good = true;
    for (unsigned t = 0; t < 32; t++) {
        float sum = 0;
        for (unsigned k = 0; k < 4; k++)
            for (unsigned i = 0; i < 4; i++)
                sum += k == 2 ? 0 : v[128 * k + (4 * t + i + 13) % 128] * static_cast<float>(k + 1);
        good = good && got[t] == sum + v[(t + 1) % 32] + v[32 + (2 * t + 7) % 64];
    }
    ok(good, "a ring of asynchronous copies, one of them of zeros");
}

SIMT_KERNEL(32)
void products(
    const uint16_t *a, const uint16_t *b, const int8_t *qa, const int8_t *qb, float *f, float *g, int *q)
{
    // A is 16 x 16, B is 16 x 8; the quantized ones 16 x 32 and 32 x 8
    SIMT_SHARED(uint16_t, sa, [16 * 24]);
    SIMT_SHARED(uint16_t, sb, [16 * 8]);
    unsigned t = simt::thread_x(), r = t / 4, c = t % 4;
    for (unsigned i = t; i < 256; i += 32)
        sa[i / 16 * 24 + i % 16] = a[i];
    for (unsigned i = t; i < 128; i += 32)
        sb[i] = b[i];
    simt::syncwarp();
    unsigned fa[4], fb[2];
    // matrices 0..3: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15
    simt::ldmatrix4(fa, &sa[(t % 16) * 24 + t / 16 * 8]);
    simt::ldmatrix2_trans(fb, &sb[(t % 16) * 8]);
    float d[4] = {1, 2, 3, 4};
    simt::mma_f16(d, fa, fb);
    for (unsigned i = 0; i < 4; i++)
        f[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = d[i];
#if SIMT_ARCH == 0 || SIMT_ARCH >= 800
    float e[4] = {0, 0, 0, 0};
    simt::mma_bf16(e, fa, fb);
    for (unsigned i = 0; i < 4; i++)
        g[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = e[i];
#endif
    unsigned ia[4] = {0, 0, 0, 0}, ib[2] = {0, 0};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++)
            ia[i] |= static_cast<unsigned>(
                         static_cast<uint8_t>(qa[(r + 8 * (i % 2)) * 32 + 4 * c + 16 * (i / 2) + j]))
                     << 8 * j;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 4; j++)
            ib[i] |= static_cast<unsigned>(static_cast<uint8_t>(qb[(4 * c + 16 * i + j) * 8 + r])) << 8 * j;
    int s[4] = {5, 0, 0, -5};
    simt::mma_s8(s, ia, ib);
    for (unsigned i = 0; i < 4; i++)
        q[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = s[i];
}

SIMT_KERNEL(32) void fragments(const uint16_t *p, unsigned *out)
{
    SIMT_SHARED(uint16_t, m, [4 * 64]);
    unsigned t = simt::thread_x(), r[4], two[2];
    for (unsigned i = t; i < 256; i += 32)
        m[i] = p[i];
    simt::syncwarp();
    simt::ldmatrix4_trans(r, &m[8 * t]);
    simt::ldmatrix2(two, &m[8 * (t % 16)]);
    for (unsigned i = 0; i < 4; i++)
        out[6 * t + i] = r[i];
    out[6 * t + 4] = two[0];
    out[6 * t + 5] = two[1];
}

void test_matrices()
{
    device_array<uint16_t> a(256), b(128);
    device_array<int8_t> qa(512), qb(256);
    device_array<float> f(128), g(128);
    device_array<int> q(128);
    vector<uint16_t> va(256), vb(128);
    vector<int8_t> vqa(512), vqb(256);
    random_numbers random = {3};
    // small integers and halves of them: sums are exact in any order, as half and as bfloat16
    auto small = [&] {
        return simt::half_bits(
            simt::to_half(static_cast<float>(static_cast<int>(random.next() % 17) - 8) / 2));
    };
    for (uint16_t &x : va)
        x = small();
    for (uint16_t &x : vb)
        x = small();
    for (int8_t &x : vqa)
        x = static_cast<int8_t>(random.next());
    for (int8_t &x : vqb)
        x = static_cast<int8_t>(random.next());
    a.put(va.data());
    b.put(vb.data());
    qa.put(vqa.data());
    qb.put(vqb.data());
    need(run(1, 32, 0, products, a.p, b.p, qa.p, qb.p, f.p, g.p, q.p), "products");
    vector<float> gf(128), gg(128);
    vector<int> gq(128);
    f.get(gf.data());
    g.get(gg.data());
    q.get(gq.data());
    bool half_good = true, bf16_good = true, int_good = true;
    auto as_bf16 = [](uint16_t bits) { return simt::to_float(simt::bf16_from_bits(bits)); };
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 8; j++) {
            unsigned e = 2 * (i / 8) + j % 2;
            double sum = e + 1, wide = 0;
            int whole = e == 0 ? 5 : e == 3 ? -5 : 0;
            for (unsigned k = 0; k < 16; k++) {
                sum += simt::to_float(simt::half_from_bits(va[i * 16 + k])) *
                       simt::to_float(simt::half_from_bits(vb[k * 8 + j]));
                wide += static_cast<double>(as_bf16(va[i * 16 + k])) * as_bf16(vb[k * 8 + j]);
            }
            for (unsigned k = 0; k < 32; k++)
                whole += vqa[i * 32 + k] * vqb[k * 8 + j];
            half_good = half_good && gf[i * 8 + j] == static_cast<float>(sum);
            bf16_good = bf16_good && fabs(gg[i * 8 + j] - wide) <= 1e-5 * (fabs(wide) + 4);
            int_good = int_good && gq[i * 8 + j] == whole;
        }
    ok(half_good, "mma_f16 with ldmatrix4 and ldmatrix2_trans");
    struct simt_device device;
    need(simt_device_get(0, &device), "device");
    ok(bf16_good || device.major < 8, "mma_bf16");
    ok(int_good, "mma_s8");

    device_array<uint16_t> p(256);
    device_array<unsigned> out(192);
    vector<uint16_t> v(256);
    vector<unsigned> got(192);
    for (unsigned i = 0; i < 256; i++)
        v[i] = static_cast<uint16_t>(i * 251);
    p.put(v.data());
    need(run(1, 32, 0, fragments, p.p, out.p), "fragments");
    out.get(got.data());
    bool good = true;
    for (unsigned t = 0; t < 32; t++) {
        unsigned r = t / 4, c = 2 * (t % 4);
        for (unsigned m = 0; m < 4; m++)
            good = good && got[6 * t + m] == (v[64 * m + c * 8 + r] |
                                                 static_cast<unsigned>(v[64 * m + (c + 1) * 8 + r]) << 16);
        for (unsigned m = 0; m < 2; m++)
            good = good && got[6 * t + 4 + m] == (v[64 * m + r * 8 + c] |
                                                     static_cast<unsigned>(v[64 * m + r * 8 + c + 1]) << 16);
    }
    ok(good, "ldmatrix4_trans, ldmatrix2");
}

// --- hinted loads and stores ------------------------------------------------------------------

template <class T> SIMT_DEVICE void pass_on(T *to, const T *from, unsigned i)
{
    SIMT_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        T v = k == 0 ? simt::ldg(from + i) : k == 1 ? simt::ldcs(from + i) : simt::ldcg(from + i);
        if (k % 2)
            simt::stcs(to + 4 * i + k, v);
        else
            simt::stcg(to + 4 * i + k, v);
    }
}

template <class T> SIMT_KERNEL(64) void pass(T *to, const T *from)
{
    simt::prefetch_l2(from);
    pass_on(to, from, simt::thread_x());
}

template <class T> bool passes()
{
    device_array<T> from(64), to(256);
    vector<unsigned char> v(64 * sizeof(T)), got(256 * sizeof(T));
    random_numbers random = {9};
    for (unsigned char &x : v)
        x = static_cast<unsigned char>(random.next());
    need(simt_copy(from.p, v.data(), v.size(), SIMT_TO_DEVICE), "copy");
    need(run(1, 64, 0, pass<T>, to.p, static_cast<const T *>(from.p)), "pass");
    need(simt_copy(got.data(), to.p, got.size(), SIMT_TO_HOST), "copy");
    for (unsigned i = 0; i < 256; i++)
        if (memcmp(&got[i * sizeof(T)], &v[i / 4 * sizeof(T)], sizeof(T)) != 0)
            return false;
    return true;
}

void test_hints()
{
    ok(passes<int8_t>() && passes<uint8_t>() && passes<int16_t>() && passes<uint16_t>() && passes<int>() &&
            passes<unsigned>() && passes<int64_t>() && passes<uint64_t>() && passes<long long>() &&
            passes<unsigned long long>() && passes<simt::half>() && passes<simt::bf16>() &&
            passes<simt::half2>() && passes<simt::bf162>() && passes<simt::uint2>() &&
            passes<simt::uint4>() && passes<simt::int2>() && passes<simt::int4>() && passes<simt::float2>() &&
            passes<simt::float4>(),
        "loads and stores with hints, of each type");
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
    int n;
    enum simt_status status = simt_device_count(&n);
    if (status == SIMT_NO_DRIVER || status == SIMT_NO_DEVICE) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    need(status, "devices");
    need(simt_device_use(0), "device");
    need(simt_stream_create(&stream, 0), "stream");
    test_where();
    test_shared();
    test_lanes();
    test_last_warp();
    test_atomics();
    test_integers();
    test_floats();
    test_halves();
    test_half_sums();
    test_copies();
    test_matrices();
    test_hints();
    test_mixed();
    simt_stream_destroy(stream);
    struct simt_usage u;
    simt_usage_get(&u);
    ok(u.device_blocks == 0 && u.streams == 0 && u.misuses == 0, "nothing is left, nothing was misused");
    return tap_end();
}
