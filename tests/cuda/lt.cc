// plugins/cuda/simt/cuda-blas.cc over a cuBLASLt that is none (lt-fake.h): what it asks for, that
// it multiplies, how often it asks for algorithms, and that no failure leaves anything behind.
// Neither CUDA nor a device is needed.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda/lt-fake.h"
#include "tests/cuda/tap.h"

// The file under test, its ways to the world bent.
static void *fake_dlopen(const char *name, int mode);
static void *fake_dlsym(void *library, const char *name);
static int fake_dlclose(void *library);
static void *fake_calloc(size_t n, size_t size);
#define dlopen fake_dlopen
#define dlsym fake_dlsym
#define dlclose fake_dlclose
#define calloc fake_calloc
#include "plugins/cuda/simt/cuda-blas.cc"
#undef dlopen
#undef dlsym
#undef dlclose
#undef calloc

static char opened[3][96];
static int n_opened, n_closed, library_at = -1; // which of the names there is
static const char *missing = "";
static bool no_memory;
static cudaError_t last_error;

static void *fake_dlopen(const char *name, int)
{
    int i = n_opened++;
    snprintf(opened[i % 3], sizeof opened[0], "%.90s", name);
    return i == library_at ? &fake : nullptr;
}

static void *fake_dlsym(void *library, const char *name)
{
    return library != &fake || strcmp(name, missing) == 0 ? nullptr : lt_fake_symbol(name);
}

static int fake_dlclose(void *)
{
    n_closed++;
    return 0;
}

static void *fake_calloc(size_t n, size_t size)
{
    return no_memory ? nullptr : calloc(n, size);
}

cudaError_t cudaGetLastError()
{
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

namespace simt
{
namespace detail
{
live_handles live;
enum simt_status status_of(cudaError_t error, const char *call, enum simt_status)
{
    return error == cudaSuccess ? SIMT_OK : fail(SIMT_DEVICE_LOST, "%s: %d", call, error);
}
} // namespace detail
} // namespace simt

namespace
{

struct simt_stream streams[2] = {{reinterpret_cast<cudaStream_t>(uintptr_t{0x1000}), 0, true},
    {reinterpret_cast<cudaStream_t>(uintptr_t{0x2000}), 0, true}};
alignas(256) char workspace[512];
alignas(256) float matrix_a[4096], matrix_b[4096], matrix_c[4096];

void test_opening()
{
    struct simt_blas *blas = nullptr;
    enum simt_status status = simt_blas_open(&blas);
    ok(status == SIMT_NO_BLAS && !blas && n_opened == 3, "no library: %s", simt_error_text());
    ok(strcmp(opened[0], "libcublasLt.so.13") == 0 &&
            strcmp(opened[1], "/usr/local/cuda-13/lib64/libcublasLt.so.13") == 0 &&
            strcmp(opened[2], "/usr/local/cuda/lib64/libcublasLt.so.13") == 0,
        "it is looked for by name, and where toolkits are put");
    n_opened = 0, library_at = 2, missing = "cublasLtMatmul";
    ok(simt_blas_open(&blas) == SIMT_NO_BLAS && !blas && n_closed == 1, "an older one: %s",
        simt_error_text());
    n_opened = 0, missing = "", no_memory = true;
    ok(simt_blas_open(&blas) == SIMT_OUT_OF_HOST_MEMORY && !blas && fake.live == 0, "no memory: %s",
        simt_error_text());
    no_memory = false, n_opened = 0, library_at = 0;
    need(simt_blas_open(&blas), "open");
    ok(n_opened == 0 && n_closed == 1 && fake.live == 1 && live.blas == 1, "it is opened once");
    simt_blas_close(blas);
    simt_blas_close(nullptr);
    ok(fake.live == 0 && live.blas == 0, "and closed");
}

// Small whole numbers, whose products and sums are the same in every type.
int value_at(unsigned seed, int i)
{
    unsigned x = (seed * 7919u + static_cast<unsigned>(i)) * 2654435761u;
    return static_cast<int>(x >> 24) % 5 - 2;
}

uint16_t sixteen(enum simt_type type, int v)
{
    static const uint16_t half[] = {0, 0x3C00, 0x4000}, bf16[] = {0, 0x3F80, 0x4000};
    uint16_t bits = (type == SIMT_F16 ? half : bf16)[abs(v)];
    return static_cast<uint16_t>(v < 0 ? bits | 0x8000 : bits);
}

void fill(void *to, enum simt_type type, unsigned seed, int n)
{
    for (int i = 0; i < n; i++) {
        float f = static_cast<float>(value_at(seed, i));
        uint16_t u = sixteen(type, value_at(seed, i));
        if (type == SIMT_F32)
            memcpy(static_cast<char *>(to) + i * 4, &f, 4);
        else
            memcpy(static_cast<char *>(to) + i * 2, &u, 2);
    }
}

simt_gemm product(int m, int n, int k)
{
    simt_gemm g = {};
    g.m = m, g.n = n, g.k = k, g.trans_b = 1, g.batch = 1;
    g.in = SIMT_F16, g.out = SIMT_F32, g.alpha = 1;
    g.a = matrix_a, g.b = matrix_b, g.c = matrix_c;
    g.ld_a = g.ld_b = k, g.ld_c = n;
    return g;
}

// Every transposition, with gaps between rows, several at once; the result is float.
bool right_product(
    struct simt_blas *blas, enum simt_type in, int trans_a, int trans_b, int batch, float alpha, float beta)
{
    int m = 5, n = 7, k = 6;
    simt_gemm g = product(m, n, k);
    g.in = in, g.trans_a = trans_a, g.trans_b = trans_b, g.batch = batch, g.alpha = alpha, g.beta = beta;
    g.ld_a = (trans_a ? m : k) + 3, g.ld_b = (trans_b ? k : n) + 1, g.ld_c = n + 2;
    g.stride_a = g.ld_a * 8, g.stride_b = 0, g.stride_c = g.ld_c * m + 5;
    int count_c = static_cast<int>(g.stride_c) * batch;
    fill(matrix_a, in, 1, 1024);
    fill(matrix_b, in, 2, 1024);
    fill(matrix_c, SIMT_F32, 3, count_c);
    if (simt_blas_gemm(blas, &streams[0], &g))
        return false;
    for (int p = 0; p < batch; p++)
        for (int at = 0; at < g.stride_c; at++) {
            int i = at / g.ld_c, j = at % g.ld_c, where = p * static_cast<int>(g.stride_c) + at;
            float expected = static_cast<float>(value_at(3, where)); // in the gaps what was there
            if (i < m && j < n) {
                int sum = 0;
                for (int x = 0; x < k; x++)
                    sum += value_at(1, p * static_cast<int>(g.stride_a) +
                                           (trans_a ? x * g.ld_a + i : i * g.ld_a + x)) *
                           value_at(2, trans_b ? j * g.ld_b + x : x * g.ld_b + j);
                expected = alpha * static_cast<float>(sum) + beta * expected;
            }
            if (matrix_c[where] != expected)
                return false;
        }
    return true;
}

void test_products()
{
    struct simt_blas *blas;
    need(simt_blas_open(&blas), "open");
    bool right = true;
    for (int in = SIMT_F16; in <= SIMT_F32; in++)
        for (int t = 0; t < 4; t++)
            for (int batch = 1; batch <= 3; batch += 2)
                right = right_product(blas, static_cast<simt_type>(in), t & 1, t >> 1, batch, 2,
                            t == 1 ? -3.0f : 0.0f) &&
                        right;
    ok(right && fake.matmuls == 24 && fake.wrong == 0, "%d products of each type and transposition",
        fake.matmuls);
    // A result of 16 bits: the row of ones times what is 1, 2, 3, ...
    for (int type = SIMT_F16; type <= SIMT_BF16; type++) {
        simt_gemm g = product(1, 3, 2);
        g.in = g.out = static_cast<simt_type>(type);
        uint16_t one = sixteen(g.in, 1), two = sixteen(g.in, 2), got[3];
        const uint16_t a[] = {one, one}, b[] = {one, 0, two, 0, 0, two};
        memcpy(matrix_a, a, sizeof a);
        memcpy(matrix_b, b, sizeof b);
        enum simt_status status = simt_blas_gemm(blas, &streams[0], &g);
        memcpy(got, matrix_c, sizeof got);
        ok(status == SIMT_OK && got[0] == one && got[1] == two && got[2] == two && fake.wrong == 0,
            "a result in %s", type == SIMT_F16 ? "half" : "bfloat16");
    }
    simt_blas_close(blas);
    ok(fake.live == 0, "nothing is left");
}

void test_choice()
{
    struct simt_blas *blas;
    need(simt_blas_open(&blas), "open");
    fake.heuristics = fake.matmuls = 0;
    simt_gemm g = product(4, 8, 16);
    need(simt_blas_gemm(blas, &streams[0], &g), "gemm");
    ok(fake.workspace_limit == 0 && fake.stream == streams[0].handle && fake.workspace == nullptr,
        "without a workspace none is offered");
    ok(simt_blas_workspace(blas, workspace + 16, 256) == SIMT_INVALID &&
            simt_blas_workspace(blas, nullptr, 4) == SIMT_INVALID,
        "one that does not suit: %s", simt_error_text());
    need(simt_blas_workspace(blas, workspace, sizeof workspace), "workspace");
    need(simt_blas_gemm(blas, &streams[1], &g), "gemm");
    ok(fake.heuristics == 2 && fake.workspace_limit == sizeof workspace && fake.workspace == workspace &&
            fake.workspace_bytes == sizeof workspace && fake.stream == streams[1].handle,
        "with one it is chosen anew; each product goes to its stream");
    for (int i = 0; i < 5; i++) {
        g.alpha = static_cast<float>(i); // is not part of the shape
        need(simt_blas_gemm(blas, &streams[i & 1], &g), "gemm");
    }
    ok(fake.heuristics == 2 && fake.matmuls == 7, "the same shape is looked up");
    struct {
        const char *what;
        void (*change)(simt_gemm *);
    } const others[] = {
        {"height", [](simt_gemm *s) { s->m++; }},
        {"width", [](simt_gemm *s) { s->n--; }},
        {"depth", [](simt_gemm *s) { s->k--; }},
        {"distance in A", [](simt_gemm *s) { s->ld_a++; }},
        {"distance in B", [](simt_gemm *s) { s->ld_b++; }},
        {"distance in C", [](simt_gemm *s) { s->ld_c++; }},
        {"order in A", [](simt_gemm *s) { s->trans_a = 1, s->ld_a = 16; }},
        {"order in B", [](simt_gemm *s) { s->trans_b = 0; }},
        {"type", [](simt_gemm *s) { s->in = SIMT_BF16; }},
        {"type of C", [](simt_gemm *s) { s->out = SIMT_F16; }},
        {"count", [](simt_gemm *s) { s->batch = 2, s->stride_a = s->stride_c = 64; }},
        {"alignment of A", [](simt_gemm *s) { s->a = matrix_a + 1; }},
        {"alignment of B", [](simt_gemm *s) { s->b = matrix_b + 4; }},
        {"alignment of C", [](simt_gemm *s) { s->c = matrix_c + 8; }},
    };
    static_assert(sizeof matrix_c / sizeof *matrix_c >= 3 * (simt_blas::PLANS + 36), "room for the highest");
    for (const auto &o : others) {
        simt_gemm s = product(4, 8, 16);
        o.change(&s);
        int before = fake.heuristics;
        need(simt_blas_gemm(blas, &streams[0], &s), o.what);
        need(simt_blas_gemm(blas, &streams[0], &s), o.what);
        ok(fake.heuristics == before + 1 && fake.wrong == 0, "another %s is another shape", o.what);
    }
    simt_gemm s = product(4, 8, 16);
    s.a = matrix_a + 1, s.b = matrix_b + 4, s.c = matrix_c + 8;
    need(simt_blas_gemm(blas, &streams[0], &s), "gemm");
    ok(fake.align[0] == 16 && fake.align[1] == 4 && fake.align[2] == 32 && fake.align[3] == 32,
        "alignments are told as they are, B's on the left");
    s = product(4, 8, 16);
    s.batch = 2, s.stride_a = 65, s.stride_b = 0, s.stride_c = 34;
    need(simt_blas_gemm(blas, &streams[0], &s), "gemm");
    ok(fake.align[0] == 64 && fake.align[1] == 2 && fake.align[2] == 8, "of every product of several");

    // many shapes: the handle does not grow, and each is still right
    int before = fake.heuristics;
    for (int round = 0; round < 2; round++)
        for (int m = 1; m <= simt_blas::PLANS + 36; m++) {
            s = product(m, 3, 2);
            need(simt_blas_gemm(blas, &streams[0], &s), "gemm");
        }
    ok(fake.live == 1 + 4 * simt_blas::PLANS && fake.heuristics == before + 2 * (simt_blas::PLANS + 36) &&
            fake.wrong == 0,
        "%d shapes are kept, the oldest goes", simt_blas::PLANS);
    before = fake.heuristics;
    for (int m = simt_blas::PLANS + 36; m > 36; m--) {
        s = product(m, 3, 2);
        need(simt_blas_gemm(blas, &streams[0], &s), "gemm");
    }
    ok(fake.heuristics == before, "and no other");
    need(simt_blas_workspace(blas, workspace, 256), "workspace");
    ok(fake.live == 1, "another workspace forgets them all");
    simt_blas_close(blas);
    ok(fake.live == 0 && fake.wrong == 0, "nothing is left");
}

// A handle's life: 0, or the status of what failed first.
enum simt_status life()
{
    struct simt_blas *blas = nullptr;
    enum simt_status status = simt_blas_open(&blas);
    if (status)
        return status;
    status = simt_blas_workspace(blas, workspace, sizeof workspace);
    for (int batch = 1; batch <= 2 && !status; batch++) {
        simt_gemm g = product(4, 8, 16);
        g.batch = batch, g.stride_a = g.stride_c = 64;
        status = simt_blas_gemm(blas, &streams[0], &g);
        if (status && simt_blas_gemm(blas, &streams[0], &g))
            status = SIMT_UNKNOWN; // what failed once must go the next time
    }
    simt_blas_close(blas);
    return status;
}

void test_failures()
{
    fake.calls = fake.wrong = 0;
    need(life(), "a life");
    int calls = fake.calls, told = 0;
    const struct {
        int result;
        enum simt_status status;
    } kinds[] = {{1, SIMT_NO_BLAS}, {3, SIMT_OUT_OF_MEMORY}, {7, SIMT_INVALID}, {13, SIMT_LAUNCH_FAILED},
        {14, SIMT_INVALID}, {15, SIMT_INVALID}};
    for (const auto &kind : kinds)
        for (int n = 1; n <= calls; n++) {
            fake.fail_call = n, fake.fail_with = kind.result;
            told += life() == kind.status && fake.live == 0 && live.blas == 0 && fake.fail_call == 0;
        }
    ok(calls > 25 && told == 6 * calls && fake.wrong == 0,
        "each of %d calls fails in each way: the right status, nothing left, the next goes", calls);
    told = 0;
    for (int n = 1; n <= calls; n++) {
        fake.fail_call = n, fake.fail_with = 14, last_error = cudaErrorLaunchFailure;
        told += life() == SIMT_DEVICE_LOST && fake.live == 0;
        last_error = cudaSuccess;
    }
    ok(told == calls, "what the runtime says goes first");

    struct simt_blas *blas;
    need(simt_blas_open(&blas), "open");
    simt_gemm g = product(4, 8, 16);
    fake.nothing = true;
    ok(simt_blas_gemm(blas, &streams[0], &g) == SIMT_INVALID && fake.live == 1, "no algorithm: %s",
        simt_error_text());
    fake.nothing = false;
    int before = fake.matmuls;
    g.k = 0;
    ok(simt_blas_gemm(blas, &streams[0], &g) == SIMT_INVALID, "k = 0 is refused: %s", simt_error_text());
    g = product(0, 8, 16);
    ok(simt_blas_gemm(blas, &streams[0], &g) == SIMT_OK, "no rows are nothing to do");
    ok(simt_blas_gemm(blas, nullptr, &g) == SIMT_INVALID && fake.matmuls == before, "no stream: %s",
        simt_error_text());
    simt_blas_close(blas);
    ok(fake.live == 0 && live.blas == 0, "nothing is left");
}

} // namespace

int main()
{
    test_opening();
    test_products();
    test_choice();
    test_failures();
    return tap_end();
}
