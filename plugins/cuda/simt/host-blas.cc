/* Matrix products of the host implementation: plain loops, sums in float32 in the order
 * of k. */
#include "host-stream.h"
#include "multiply.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <set>

using namespace simt::detail;

/* What an algorithm would follow from. */
using shape = std::array<int64_t, 12>;

struct simt_blas {
    void *workspace;
    size_t workspace_bytes;
    std::set<shape> shapes; /* that came */
};

namespace
{

std::atomic<size_t> n_handles;
std::atomic<uint64_t> n_rows, n_shapes;

float load(const void *p, enum simt_type type, size_t i)
{
    switch (type) {
    case SIMT_F16:
        return half_to_float(static_cast<const uint16_t *>(p)[i]);
    case SIMT_BF16:
        return float_of(static_cast<uint32_t>(static_cast<const uint16_t *>(p)[i]) << 16);
    default:
        return static_cast<const float *>(p)[i];
    }
}

void store(void *p, enum simt_type type, size_t i, float value)
{
    switch (type) {
    case SIMT_F16:
        static_cast<uint16_t *>(p)[i] = half_from_float(value);
        break;
    case SIMT_BF16:
        static_cast<uint16_t *>(p)[i] = bf16_from_float(value);
        break;
    default:
        static_cast<float *>(p)[i] = value;
    }
}

size_t bytes_of(enum simt_type type)
{
    return type == SIMT_F32 ? 4 : 2;
}

void put(const simt_gemm &g, void *c, size_t at, float sum)
{
    sum *= g.alpha;
    if (g.beta != 0)
        sum += g.beta * load(c, g.out, at);
    store(c, g.out, at, sum);
}

void note_shape(struct simt_blas *blas, const simt_gemm &g)
{
    const shape s = {g.m, g.n, g.k, g.trans_a, g.trans_b, g.in, g.out, g.ld_a, g.ld_b, g.ld_c, g.batch,
        gemm_alignment(g.a, 0) << 16 | gemm_alignment(g.b, 0) << 8 | gemm_alignment(g.c, 0)};
    n_shapes.fetch_add(blas->shapes.insert(s).second);
}

/* Where sums begin. */
size_t first_of_sum(const simt_gemm &g)
{
    if (!knobs().heights)
        return 0;
    const uint64_t algorithm =
        static_cast<uint64_t>(g.m) << 16 | gemm_alignment(g.a, 0) << 8 | gemm_alignment(g.c, 0);
    return mix(algorithm) % static_cast<size_t>(g.k);
}

void multiply(const simt_gemm &g, int64_t product)
{
    const size_t turn = first_of_sum(g);
    auto place = [turn, depth = static_cast<size_t>(g.k)](size_t x) { return (x + depth - turn) % depth; };
    size_t m = static_cast<size_t>(g.m), n = static_cast<size_t>(g.n), k = static_cast<size_t>(g.k);
    size_t in = bytes_of(g.in), ld_a = static_cast<size_t>(g.ld_a), ld_b = static_cast<size_t>(g.ld_b);
    const char *a = static_cast<const char *>(g.a) + product * g.stride_a * static_cast<int64_t>(in);
    const char *b = static_cast<const char *>(g.b) + product * g.stride_b * static_cast<int64_t>(in);
    char *c = static_cast<char *>(g.c) + product * g.stride_c * static_cast<int64_t>(bytes_of(g.out));
    std::vector<float> rows(m * k), columns(k * 8), sums(m * 8);
    for (size_t i = 0; i < m; i++)
        for (size_t x = 0; x < k; x++)
            rows[i * k + place(x)] = load(a, g.in, g.trans_a ? x * ld_a + i : i * ld_a + x);
    for (size_t first = 0; first < n; first += 8) {
        size_t some = n - first < 8 ? n - first : 8;
        for (size_t x = 0; x < k; x++)
            for (size_t j = 0; j < some; j++)
                columns[8 * place(x) + j] =
                    load(b, g.in, g.trans_b ? (first + j) * ld_b + x : x * ld_b + first + j);
        std::fill(sums.begin(), sums.end(), 0.0f);
        multiply_8(sums.data(), rows.data(), columns.data(), m, k);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < some; j++)
                put(g, c, i * static_cast<size_t>(g.ld_c) + first + j, sums[8 * i + j]);
    }
}

/* Bytes from the first element to the last of an operand of all products. */
size_t extent(int rows, int columns, int ld, int batch, int64_t stride, size_t element)
{
    return (static_cast<size_t>(rows - 1) * static_cast<size_t>(ld) + static_cast<size_t>(columns) +
               static_cast<size_t>(batch - 1) * static_cast<size_t>(stride)) *
           element;
}

bool in_range(const simt_gemm &g)
{
    int rows_a = g.trans_a ? g.k : g.m, columns_a = g.trans_a ? g.m : g.k;
    int rows_b = g.trans_b ? g.n : g.k, columns_b = g.trans_b ? g.k : g.n;
    return device_range(
               g.a, extent(rows_a, columns_a, g.ld_a, g.batch, g.stride_a, bytes_of(g.in)), "gemm, A") &&
           device_range(
               g.b, extent(rows_b, columns_b, g.ld_b, g.batch, g.stride_b, bytes_of(g.in)), "gemm, B") &&
           device_range(g.c, extent(g.m, g.n, g.ld_c, g.batch, g.stride_c, bytes_of(g.out)), "gemm, C");
}

} // namespace

namespace simt
{
namespace detail
{
void blas_usage(struct simt_usage *out)
{
    out->blas = n_handles.load();
    out->gemm_rows = n_rows.load();
    out->gemm_shapes = n_shapes.load();
}
} // namespace detail
} // namespace simt

enum simt_status simt_blas_open(struct simt_blas **out)
{
    enum simt_status status = admit(FAULT_blas, "simt_blas_open", SIMT_NO_BLAS);
    if (status)
        return status;
    if (!knobs().blas)
        return fail(SIMT_NO_BLAS, "simt_blas_open: no libcublasLt (as the knobs have it)");
    *out = new simt_blas();
    n_handles++;
    return SIMT_OK;
}

void simt_blas_close(struct simt_blas *blas)
{
    if (blas)
        n_handles--;
    delete blas;
}

enum simt_status simt_blas_workspace(struct simt_blas *blas, void *device_memory, size_t bytes)
{
    enum simt_status status = admit("simt_blas_workspace");
    if (status)
        return status;
    if (bytes && !device_range(device_memory, bytes, "simt_blas_workspace"))
        return fail(SIMT_INVALID, "simt_blas_workspace: %zu bytes are not all in device memory", bytes);
    if (bytes && reinterpret_cast<uintptr_t>(device_memory) % 256 != 0)
        return fail(SIMT_INVALID, "simt_blas_workspace: not aligned to 256 bytes");
    blas->workspace = device_memory;
    blas->workspace_bytes = bytes;
    return SIMT_OK;
}

enum simt_status simt_blas_gemm(
    struct simt_blas *blas, struct simt_stream *stream, const struct simt_gemm *gemm)
{
    enum simt_status status = admit(FAULT_blas, "simt_blas_gemm", SIMT_UNKNOWN);
    if (status)
        return status;
    const char *wrong = stream ? gemm_refused(*gemm) : "no stream";
    if (wrong)
        return fail(SIMT_INVALID, "simt_blas_gemm: %s", wrong);
    if (gemm->m == 0 || gemm->n == 0 || gemm->batch == 0)
        return SIMT_OK;
    note_shape(blas, *gemm);
    auto w = std::make_shared<work>();
    w->kind = work::GEMM;
    w->run = [g = *gemm] {
        if (!in_range(g))
            return SIMT_INVALID;
        n_rows.fetch_add(static_cast<uint64_t>(g.m) * static_cast<uint64_t>(g.batch));
        for (int i = 0; i < g.batch; i++)
            multiply(g, i);
        return SIMT_OK;
    };
    return submit(stream, std::move(w));
}
