/* Matrix products by cuBLASLt, opened by dlopen when the first handle is asked for: the plugin
 * loads without it. */
#include "cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cublaslt.h"

using namespace simt::detail;
namespace lt = simt::lt;

struct simt_blas {
    /* What the library's choice of an algorithm follows from. Equal ones have equal bytes. */
    struct shape {
        int64_t stride_a, stride_b, stride_c;
        int m, n, k, batch;
        int ld_a, ld_b, ld_c;
        int trans_a, trans_b, in, out;
        uint32_t align_a, align_b, align_c;
    };
    /* A product of one shape, ready to be asked for. The layouts are column-major. */
    struct plan {
        shape of;
        void *desc, *left, *right, *result;
        lt::algorithm algo;
    };
    /* More than a model has shapes of products at all heights. */
    enum { PLANS = 192 };

    void *handle;
    void *workspace;
    size_t workspace_bytes;
    unsigned n_plans, oldest; /* when all are taken, the oldest makes room */
    plan plans[PLANS];
};

namespace
{

using shape = simt_blas::shape;
using plan = simt_blas::plan;
static_assert(std::has_unique_object_representations_v<shape>, "it is compared by memcmp");

enum { CANDIDATES = 8, WORKSPACE_ALIGN = 256 };

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
lt::functions table;
bool is_open;

template <class F> bool find(void *library, const char *name, F *out)
{
    *out = reinterpret_cast<F>(dlsym(library, name));
    return *out != nullptr;
}

/* The library that goes with this runtime, by the loader's own search and then where toolkits
 * are put. It stays loaded. */
enum simt_status open_library()
{
    char names[3][96];
    int major = CUDART_VERSION / 1000;
    snprintf(names[0], sizeof names[0], "libcublasLt.so.%d", major);
    snprintf(names[1], sizeof names[1], "/usr/local/cuda-%d/lib64/libcublasLt.so.%d", major, major);
    snprintf(names[2], sizeof names[2], "/usr/local/cuda/lib64/libcublasLt.so.%d", major);
    void *library = nullptr;
    for (int i = 0; i < 3 && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(SIMT_NO_BLAS, "%s is not found (nor in /usr/local/cuda/lib64)", names[0]);
    lt::functions f = {};
    const char *lacks = nullptr;
#define X(member, symbol)                                                                                    \
    if (!find(library, #symbol, &f.member))                                                                  \
        lacks = #symbol;
    SIMT_LT_FUNCTIONS(X)
#undef X
    if (lacks) {
        dlclose(library);
        return fail(SIMT_NO_BLAS, "%s lacks %s", names[0], lacks);
    }
    table = f;
    is_open = true;
    return SIMT_OK;
}

enum simt_status status_of_blas(int result, const char *call)
{
    if (result == lt::SUCCESS)
        return SIMT_OK;
    /* what the runtime says goes first: the device may be gone */
    cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess)
        return status_of(error, call);
    return fail(result == lt::ALLOC_FAILED       ? SIMT_OUT_OF_MEMORY
                : result == lt::EXECUTION_FAILED ? SIMT_LAUNCH_FAILED
                : result == lt::NOT_INITIALIZED  ? SIMT_NO_BLAS
                                                 : SIMT_INVALID,
        "%s: %s (%d)", call, table.status_string(result), result);
}

cudaDataType type_of(enum simt_type type)
{
    return type == SIMT_F16 ? CUDA_R_16F : type == SIMT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

uint64_t bytes_of(enum simt_type type)
{
    return type == SIMT_F32 ? 4 : 2;
}

shape shape_of(const simt_gemm &g)
{
    shape s = {};
    s.m = g.m, s.n = g.n, s.k = g.k, s.batch = g.batch;
    s.ld_a = g.ld_a, s.ld_b = g.ld_b, s.ld_c = g.ld_c;
    s.trans_a = g.trans_a != 0, s.trans_b = g.trans_b != 0;
    s.in = g.in, s.out = g.out;
    if (g.batch > 1)
        s.stride_a = g.stride_a, s.stride_b = g.stride_b, s.stride_c = g.stride_c;
    s.align_a = gemm_alignment(g.a, static_cast<uint64_t>(s.stride_a) * bytes_of(g.in));
    s.align_b = gemm_alignment(g.b, static_cast<uint64_t>(s.stride_b) * bytes_of(g.in));
    s.align_c = gemm_alignment(g.c, static_cast<uint64_t>(s.stride_c) * bytes_of(g.out));
    return s;
}

void plan_drop(plan *p)
{
    if (p->result)
        table.layout_destroy(p->result);
    if (p->right)
        table.layout_destroy(p->right);
    if (p->left)
        table.layout_destroy(p->left);
    if (p->desc)
        table.desc_destroy(p->desc);
    memset(p, 0, sizeof *p);
}

void plans_drop(struct simt_blas *blas)
{
    for (unsigned i = 0; i < blas->n_plans; i++)
        plan_drop(&blas->plans[i]);
    blas->n_plans = blas->oldest = 0;
}

/* A matrix that is stored as `rows` rows of `columns`: to the library, `columns` x `rows`. */
enum simt_status layout_new(
    void **out, enum simt_type type, int rows, int columns, int ld, int32_t batch, int64_t stride)
{
    enum simt_status status =
        status_of_blas(table.layout_create(out, type_of(type), static_cast<uint64_t>(columns),
                           static_cast<uint64_t>(rows), ld),
            "cublasLtMatrixLayoutCreate");
    if (status) {
        *out = nullptr;
        return status;
    }
    if (batch <= 1)
        return SIMT_OK;
    status = status_of_blas(table.layout_set(*out, lt::LAYOUT_BATCH_COUNT, &batch, sizeof batch),
        "cublasLtMatrixLayoutSetAttribute");
    return status ? status
                  : status_of_blas(
                        table.layout_set(*out, lt::LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
                        "cublasLtMatrixLayoutSetAttribute");
}

/* The library is column-major: what is row-major here is transposed there, and C transposed is
 * op(B) transposed times op(A) transposed. So B is on the left. */
enum simt_status describe(plan *p, const simt_gemm &g)
{
    enum simt_status status =
        status_of_blas(table.desc_create(&p->desc, lt::COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    if (status) {
        p->desc = nullptr;
        return status;
    }
    int32_t left = g.trans_b ? lt::OP_T : lt::OP_N, right = g.trans_a ? lt::OP_T : lt::OP_N;
    const char *set = "cublasLtMatmulDescSetAttribute";
    status = status_of_blas(table.desc_set(p->desc, lt::DESC_TRANSA, &left, sizeof left), set);
    if (!status)
        status = status_of_blas(table.desc_set(p->desc, lt::DESC_TRANSB, &right, sizeof right), set);
    if (!status)
        status = layout_new(
            &p->left, g.in, g.trans_b ? g.n : g.k, g.trans_b ? g.k : g.n, g.ld_b, g.batch, g.stride_b);
    if (!status)
        status = layout_new(
            &p->right, g.in, g.trans_a ? g.k : g.m, g.trans_a ? g.m : g.k, g.ld_a, g.batch, g.stride_a);
    if (!status)
        status = layout_new(&p->result, g.out, g.m, g.n, g.ld_c, g.batch, g.stride_c);
    return status;
}

/* No sum is split over blocks and put together again: then what a row's sum is does not depend on
 * where it lies, and nothing is added in the order of arrival. */
enum simt_status prefer(void *preference, const plan &p, size_t workspace_bytes)
{
    struct {
        int attribute;
        uint32_t value;
    } const numbers[] = {
        {lt::PREF_REDUCTION_SCHEME_MASK, lt::REDUCTION_SCHEME_NONE},
        {lt::PREF_MIN_ALIGNMENT_A_BYTES, p.of.align_b},
        {lt::PREF_MIN_ALIGNMENT_B_BYTES, p.of.align_a},
        {lt::PREF_MIN_ALIGNMENT_C_BYTES, p.of.align_c},
        {lt::PREF_MIN_ALIGNMENT_D_BYTES, p.of.align_c},
    };
    const char *set = "cublasLtMatmulPreferenceSetAttribute";
    uint64_t bytes = workspace_bytes;
    enum simt_status status =
        status_of_blas(table.pref_set(preference, lt::PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes), set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++)
        status = status_of_blas(
            table.pref_set(preference, numbers[i].attribute, &numbers[i].value, sizeof numbers[i].value),
            set);
    return status;
}

/* The quickest algorithm by the library's reckoning that keeps to the preference. */
enum simt_status choose(struct simt_blas *blas, plan *p, void *preference)
{
    lt::candidate found[CANDIDATES] = {};
    int n = 0;
    const char *call = "cublasLtMatmulAlgoGetHeuristic";
    enum simt_status status = status_of_blas(table.heuristic(blas->handle, p->desc, p->left, p->right,
                                                 p->result, p->result, preference, CANDIDATES, found, &n),
        call);
    if (status)
        return status;
    for (int i = 0; i < n && i < CANDIDATES; i++)
        if (found[i].state == lt::SUCCESS && found[i].workspace_bytes <= blas->workspace_bytes) {
            p->algo = found[i].algo;
            return SIMT_OK;
        }
    return status_of_blas(lt::NOT_SUPPORTED, call);
}

enum simt_status plan_make(struct simt_blas *blas, plan *p, const shape &of, const simt_gemm &g)
{
    memset(p, 0, sizeof *p);
    p->of = of;
    void *preference = nullptr;
    enum simt_status status = describe(p, g);
    if (!status)
        status = status_of_blas(table.pref_create(&preference), "cublasLtMatmulPreferenceCreate");
    if (!status) {
        status = prefer(preference, *p, blas->workspace_bytes);
        if (!status)
            status = choose(blas, p, preference);
        table.pref_destroy(preference);
    }
    if (status)
        plan_drop(p);
    return status;
}

/* The plan of a shape, made when it is asked for the first time. */
enum simt_status plan_get(struct simt_blas *blas, const simt_gemm &g, const plan **out)
{
    const shape of = shape_of(g);
    for (unsigned i = 0; i < blas->n_plans; i++)
        if (memcmp(&blas->plans[i].of, &of, sizeof of) == 0) {
            *out = &blas->plans[i];
            return SIMT_OK;
        }
    plan made;
    enum simt_status status = plan_make(blas, &made, of, g);
    if (status)
        return status;
    plan *p;
    if (blas->n_plans < simt_blas::PLANS) {
        p = &blas->plans[blas->n_plans++];
    } else {
        p = &blas->plans[blas->oldest];
        blas->oldest = (blas->oldest + 1) % simt_blas::PLANS;
        plan_drop(p);
    }
    *p = made;
    *out = p;
    return SIMT_OK;
}

} // namespace

enum simt_status simt_blas_open(struct simt_blas **out)
{
    pthread_mutex_lock(&lock);
    enum simt_status status = is_open ? SIMT_OK : open_library();
    pthread_mutex_unlock(&lock);
    if (status)
        return status;
    struct simt_blas *blas = static_cast<struct simt_blas *>(calloc(1, sizeof *blas));
    if (!blas)
        return fail(SIMT_OUT_OF_HOST_MEMORY, "simt_blas_open: no memory for a handle");
    status = status_of_blas(table.create(&blas->handle), "cublasLtCreate");
    if (status) {
        free(blas);
        return status;
    }
    count(live.blas, 1);
    *out = blas;
    return SIMT_OK;
}

void simt_blas_close(struct simt_blas *blas)
{
    if (!blas)
        return;
    plans_drop(blas);
    table.destroy(blas->handle);
    count(live.blas, -1);
    free(blas);
}

enum simt_status simt_blas_workspace(struct simt_blas *blas, void *device_memory, size_t bytes)
{
    if (bytes && (!device_memory || reinterpret_cast<uintptr_t>(device_memory) % WORKSPACE_ALIGN != 0))
        return fail(SIMT_INVALID, "simt_blas_workspace: not aligned to %d bytes", WORKSPACE_ALIGN);
    if (bytes != blas->workspace_bytes)
        plans_drop(blas); /* they were chosen for what there was */
    blas->workspace = device_memory;
    blas->workspace_bytes = bytes;
    return SIMT_OK;
}

enum simt_status simt_blas_gemm(struct simt_blas *blas, struct simt_stream *stream, const struct simt_gemm *g)
{
    const char *wrong = stream ? gemm_refused(*g) : "no stream";
    if (wrong)
        return fail(SIMT_INVALID, "simt_blas_gemm: %s", wrong);
    if (g->m == 0 || g->n == 0 || g->batch == 0)
        return SIMT_OK;
    const plan *p = nullptr;
    enum simt_status status = plan_get(blas, *g, &p);
    if (status)
        return status;
    return status_of_blas(
        table.matmul(blas->handle, p->desc, &g->alpha, g->b, p->left, g->a, p->right, &g->beta, g->c,
            p->result, g->c, p->result, &p->algo, blas->workspace, blas->workspace_bytes, stream->handle),
        "cublasLtMatmul");
}
