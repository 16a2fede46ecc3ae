/* Products of many inputs, quantized types only: y = W x for up to 32 inputs at once, whose integer
 * sums tensor cores make: one instruction those of a block of 16 rows with 8 inputs.
 *
 * The bits are those of w-products.cuh, as the order of a sum is: what lane l of warp k does there is
 * here an accumulator of its own. A block of threads takes 16 rows; warp i of it has the
 * accumulators of lanes 4 i .. 4 i + 3, whose units are neighbours, once for each k. It adds its
 * four as the butterfly does, the eight warps meet in shared memory, and the k follow each other.
 *
 * Lane 4 r + c of a warp has rows r and r + 8 and inputs 2 c and 2 c + 1 of each tile of 8; of a
 * block's 32 columns it gives the instruction columns 8 c .. 8 c + 7, for weights and inputs alike:
 * 8 neighbouring bytes of an input, and one piece of a row (w-types.cuh). */
#ifndef ORCD_CUDA_W_MMA_CUH
#define ORCD_CUDA_W_MMA_CUH

#include "plugins/cuda/w-work.cuh"

namespace w
{

constexpr unsigned mma_warps = 8, mma_threads = 32 * mma_warps;
constexpr unsigned mma_tiles = mma_inputs / 8;    /* of inputs */
constexpr unsigned mma_units = 32 / mma_warps;    /* neighbouring units, and accumulators, of a warp */
constexpr unsigned scale_ld = 2 * mma_inputs + 8; /* words of a unit: lanes meet in no bank */
constexpr unsigned sum_ld = mma_rows + 4;         /* floats of an input, likewise */
static_assert(mma_inputs == 32 && mma_rows == 16 && mma_units == 4, "as the threads are dealt out");

/* Units whose weights are on their way: as registers allow. */
SIMT_BOTH constexpr unsigned mma_ahead(unsigned t)
{
    return is_halved(t) || (has_minimum(t) && h_words(t)) ? 1 : 2;
}

/* What a lane works on. */
struct mma_share {
    planes w;                  /* from its first row on */
    unsigned apart;            /* units from there to the second */
    unsigned entry[mma_tiles]; /* its input of each tile in loading: entry * ld / 32 */
    unsigned entries;          /* inputs of the pass */
};

template <unsigned T> SIMT_DEVICE void load_pieces(const mma_share &m, unsigned unit, piece<T> (&out)[2])
{
    const unsigned c = simt::lane() % 4;
    out[0] = load_piece<T>(m.w, unit, c);
    out[1] = load_piece<T>(m.w, unit + m.apart, c);
}

/* Quants of a warp's units on their way to L2, for which no registers are needed: a lane asks for two
 * units of a row. */
template <unsigned T>
SIMT_DEVICE void prefetch_units(const product_work &k, const mma_share &m, unsigned unit)
{
    const unsigned c = simt::lane() % 4, at = unit + 2 * (c % 2);
    if (at < k.units)
        simt::prefetch_l2(m.w.q + static_cast<size_t>(at + c / 2 * m.apart) * (q_words(T) * 4));
}

/* The inputs' scales and sums of a warp's units into its shared memory, where each lane finds those
 * of its two inputs in 16 bytes. A lane brings those of one unit. */
template <unsigned T>
SIMT_DEVICE void stage_scales(const product_work &k, const mma_share &m, unsigned unit, unsigned *staged)
{
    const unsigned r = simt::lane() / 4, c = simt::lane() % 4;
    SIMT_UNROLL
    for (unsigned t = 0; t < mma_tiles; t++) {
        if (8 * t >= m.entries || unit + c >= k.units)
            continue;
        const unsigned at = m.entry[t] + unit + c;
        unsigned sum = 0;
        if constexpr (has_minimum(T)) {
            const int sums = k.sums[at];
            sum = is_halved(T)
                      ? static_cast<unsigned>(sums)
                      : simt::float_as_uint(static_cast<float>(static_cast<int16_t>(sums) + (sums >> 16)));
        }
        *reinterpret_cast<simt::uint2 *>(staged + c * scale_ld + (8 * t + r) * 2) =
            simt::uint2{simt::float_as_uint(k.d[at]), sum};
    }
}

/* One unit of 16 rows and all inputs. of_256: the rows' plane d; staged: the inputs' scales. */
template <unsigned T>
SIMT_DEVICE void add_unit(const product_work &k, const mma_share &m, unsigned unit, const piece<T> (&w)[2],
    const unsigned (&of_256)[2], const unsigned *staged, float (&acc)[mma_tiles][4])
{
    const unsigned c = simt::lane() % 4;
    unsigned v[2][2];
    unpack_piece<T>(w[0], c, v[0]);
    unpack_piece<T>(w[1], c, v[1]);
    const unsigned a[4] = {
        less_offset<T>(v[0][0]), less_offset<T>(v[1][0]), less_offset<T>(v[0][1]), less_offset<T>(v[1][1])};
    const scale s[2] = {scale_of<T>(w[0].s, of_256[0]), scale_of<T>(w[1].s, of_256[1])};
    SIMT_UNROLL
    for (unsigned t = 0; t < mma_tiles; t++) {
        if (8 * t >= m.entries)
            break;
        const size_t at = m.entry[t] + unit;
        const simt::uint2 x = reinterpret_cast<const simt::uint2 *>(k.q)[4 * at + c];
        const unsigned b[2] = {x.x, x.y};
        int dot[4] = {}, upper[4] = {};
        if constexpr (is_halved(T)) { /* either half with the other zero */
            const unsigned first = c < 2 ? ~0u : 0u;
            const unsigned a0[4] = {a[0] & first, a[1] & first, a[2] & first, a[3] & first};
            const unsigned a1[4] = {a[0] & ~first, a[1] & ~first, a[2] & ~first, a[3] & ~first};
            simt::mma_s8(dot, a0, b);
            simt::mma_s8(upper, a1, b);
        } else {
            simt::mma_s8(dot, a, b);
        }
        const simt::uint4 in = *reinterpret_cast<const simt::uint4 *>(staged + (8 * t + 2 * c) * 2);
        SIMT_UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const scale &row = s[i / 2];
            const float d = simt::uint_as_float(i % 2 ? in.z : in.x);
            const unsigned sum = i % 2 ? in.w : in.y;
            float value;
            if constexpr (is_halved(T)) {
                const int sums = static_cast<int>(sum);
                const int low = static_cast<int16_t>(sums), high = sums >> 16;
                value = term<T>(row, static_cast<float>(row.c0 * dot[i] + row.c1 * upper[i]),
                    static_cast<float>(row.m0 * low + row.m1 * high));
            } else {
                value = term<T>(row, static_cast<float>(dot[i]), simt::uint_as_float(sum));
            }
            acc[t][i] = simt::fma(d, value, acc[t][i]);
        }
    }
}

/* All units from `unit` on, a warp's at a time, `step` apart. wait: for the kernel before, once the
 * first weights are under way. */
template <unsigned T>
SIMT_DEVICE void add_units(const product_work &k, const mma_share &m, unsigned unit, unsigned step, bool wait,
    unsigned *staged, float (&acc)[mma_units][mma_tiles][4])
{
    constexpr unsigned ahead = mma_ahead(T);
    piece<T> w[ahead][2] = {};
    SIMT_UNROLL
    for (unsigned u = 0; u < ahead; u++)
        if (unit + u < k.units)
            load_pieces<T>(m, unit + u, w[u]);
    prefetch_units<T>(k, m, unit);
    if (wait)
        simt::pdl_wait();
    simt::pdl_trigger();
    for (; unit < k.units; unit += step) {
        prefetch_units<T>(k, m, unit + step);
        const unsigned of_256[2] = {load_d<T>(m.w, unit), load_d<T>(m.w, unit + m.apart)};
        stage_scales<T>(k, m, unit, staged);
        simt::syncwarp();
        SIMT_UNROLL
        for (unsigned u = 0; u < mma_units; u++) {
            if (unit + u < k.units)
                add_unit<T>(k, m, unit + u, w[u % ahead], of_256, staged + u * scale_ld, acc[u]);
            const unsigned next =
                u + ahead < mma_units ? unit + u + ahead : unit + step + u + ahead - mma_units;
            if (next < k.units)
                load_pieces<T>(m, next, w[u % ahead]);
        }
        simt::syncwarp();
    }
}

/* The i-th of the two entries whose sums the threads of a place have in the end: both terms of an
 * input, or two inputs. */
SIMT_DEVICE unsigned column(const product_work &k, unsigned place, unsigned i)
{
    return k.terms == 2 ? 2 * place + i : place + mma_inputs / 2 * i;
}

/* Row `out` and the inputs of the place. total: this thread's, [matrix][i][thread]. */
SIMT_DEVICE void finish_tile(const product_work &k, const product_part &part, const pass &p, unsigned out,
    unsigned place, const float *total)
{
    if (out >= part.n_rows)
        return;
    const bool two = k.terms == 2, pair = part.finish == FINISH_PAIR;
    const unsigned bias_row = p.expert * k.rows_per_expert + out;
    SIMT_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const unsigned n = two ? place : column(k, place, i);
        if (n >= p.count || (two && i))
            break;
        const float *of = total + i * mma_threads, *of_up = of + 2 * mma_threads;
        const float sum = two ? of[0] + of[mma_threads] : of[0];
        const float up = !pair ? 0.0f : two ? of_up[0] + of_up[mma_threads] : of_up[0];
        float *y = part.y + static_cast<size_t>(output_row(k, p, n)) * part.ld_y;
        finish_sum(k, part, y, sum, up, out, bias_row);
    }
}

/* A block of the launch. */
template <unsigned T> SIMT_KERNEL2(mma_threads, 2) void product_mma(const product_work k)
{
    SIMT_SHARED(unsigned, staged, [mma_warps][mma_units * scale_ld]);
    SIMT_SHARED(float, partial, [mma_warps][mma_inputs * sum_ld]);
    /* What only the end needs waits here, as registers are scarce: each thread's own sums, the tile
     * of the launch, the pass. */
    SIMT_SHARED(float, total, [2][2][mma_threads]);
    SIMT_SHARED(unsigned, later, [5]);
    unsigned pass_i, tile = tile_of(k, &pass_i);
    const unsigned tile_of_launch = tile;
    const product_part part = part_of(k, &tile);
    const bool pair = part.finish == FINISH_PAIR;
    const unsigned warp = simt::warp(), r = simt::lane() / 4, c = simt::lane() % 4;
    const unsigned two = k.terms - 1; /* entries of an input: 1 << two */

    const bool waits = k.expert != nullptr; /* routing comes from the kernel before */
    if (waits)
        simt::pdl_wait();
    const pass p = find_pass(k, pass_i, mma_inputs >> two);
    if (!p.some)
        return;
    if (simt::thread_x() == 0)
        later[0] = tile_of_launch, later[1] = p.expert, later[2] = p.begin, later[3] = p.count,
        later[4] = p.listed;

    /* Rows and inputs beyond the last are the last once more, and not stored. */
    const unsigned last = part.n_rows - 1, row = tile * mma_rows + r;
    const unsigned row0 = row < last ? row : last, row1 = row + 8 < last ? row + 8 : last;
    const size_t base = static_cast<size_t>(p.expert) * k.rows_per_expert;
    mma_share m;
    m.apart = (row1 - row0) * k.units;
    m.entries = p.count << two;
    SIMT_UNROLL
    for (unsigned t = 0; t < mma_tiles; t++) {
        const unsigned n = 8 * t + r, j = n >> two;
        unsigned from = output_row(k, p, j < p.count ? j : p.count - 1);
        if (k.expert && !k.input_of_pair)
            from /= k.used;
        m.entry[t] = (from * k.terms + (n & two)) * (k.ld / 32);
    }

    /* In the end a thread has row `mine` and the two inputs that column() says. */
    const unsigned mine = simt::thread_x() % mma_rows, place = simt::thread_x() / mma_rows;
    for (unsigned matrix = 0; matrix < (pair ? 2u : 1u); matrix++) {
        m.w = from_unit<T>(matrix ? k.part[1].w : part.w, (base + row0) * k.units);
        for (unsigned turn = 0; turn < part.share; turn++) {
            float acc[mma_units][mma_tiles][4] = {};
            add_units<T>(k, m, 32 * turn + mma_units * warp, 32 * part.share, !waits && matrix + turn == 0,
                staged[warp], acc);
            SIMT_UNROLL
            for (unsigned t = 0; t < mma_tiles; t++) {
                if (8 * t >= m.entries)
                    break;
                SIMT_UNROLL
                for (unsigned i = 0; i < 4; i++)
                    partial[warp][(8 * t + 2 * c + i % 2) * sum_ld + r + i / 2 * 8] =
                        (acc[0][t][i] + acc[1][t][i]) + (acc[2][t][i] + acc[3][t][i]);
            }
            simt::syncthreads();
            SIMT_UNROLL
            for (unsigned i = 0; i < 2; i++) {
                if (column(k, place, i) >= m.entries)
                    continue;
                float v[mma_warps];
                SIMT_UNROLL
                for (unsigned j = 0; j < mma_warps; j++)
                    v[j] = partial[j][column(k, place, i) * sum_ld + mine];
                const float all = ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
                float &sum = total[matrix][i][simt::thread_x()];
                sum = turn ? sum + all : all;
            }
            simt::syncthreads();
        }
    }

    tile = later[0];
    const product_part of_end = part_of(k, &tile);
    finish_tile(k, of_end, pass{later[1], later[2], later[3], later[4] != 0, true}, tile * mma_rows + mine,
        place, &total[0][0][simt::thread_x()]);
}

} // namespace w
#endif
