/* cuBLAS, opened by dlopen when the first handle is asked for: the plugin loads without it. Its
 * few functions are declared here, so that its headers are not needed to build. */
#include "cuda.h"

#include <dlfcn.h>
#include <library_types.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

using namespace simt::detail;

struct simt_blas {
    void *handle;
    cudaStream_t stream; /* that it is set to */
    void *workspace;
    size_t workspace_bytes;
};

namespace
{

/* Names and numbers of cublas_api.h, the same since cuBLAS 11. */
enum { OP_N = 0, OP_T = 1 };
enum { COMPUTE_32F = 68, GEMM_DEFAULT = -1, NO_REDUCED_PRECISION_REDUCTION = 16 };
enum { BLAS_OK = 0, BLAS_NOT_INITIALIZED = 1, BLAS_ALLOC_FAILED = 3, BLAS_EXECUTION_FAILED = 13 };

struct functions {
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, cudaStream_t stream);
    int (*set_workspace)(void *handle, void *workspace, size_t bytes);
    int (*set_math_mode)(void *handle, int mode);
    const char *(*status_string)(int status);
    int (*gemm)(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a,
        cudaDataType type_a, int ld_a, long long stride_a, const void *b, cudaDataType type_b, int ld_b,
        long long stride_b, const void *beta, void *c, cudaDataType type_c, int ld_c, long long stride_c,
        int batch, int compute_type, int algorithm);
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
functions table;
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
    snprintf(names[0], sizeof names[0], "libcublas.so.%d", major);
    snprintf(names[1], sizeof names[1], "/usr/local/cuda-%d/lib64/libcublas.so.%d", major, major);
    snprintf(names[2], sizeof names[2], "/usr/local/cuda/lib64/libcublas.so.%d", major);
    void *library = nullptr;
    for (int i = 0; i < 3 && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(SIMT_NO_BLAS, "%s is not found (nor in /usr/local/cuda/lib64)", names[0]);
    functions f = {};
    if (!find(library, "cublasCreate_v2", &f.create) || !find(library, "cublasDestroy_v2", &f.destroy) ||
        !find(library, "cublasSetStream_v2", &f.set_stream) ||
        !find(library, "cublasSetWorkspace_v2", &f.set_workspace) ||
        !find(library, "cublasSetMathMode", &f.set_math_mode) ||
        !find(library, "cublasGetStatusString", &f.status_string) ||
        !find(library, "cublasGemmStridedBatchedEx", &f.gemm)) {
        dlclose(library);
        return fail(SIMT_NO_BLAS, "%s lacks a function that is needed", names[0]);
    }
    table = f;
    is_open = true;
    return SIMT_OK;
}

enum simt_status status_of_blas(int result, const char *call)
{
    if (result == BLAS_OK)
        return SIMT_OK;
    /* what the runtime says goes first: the device may be gone */
    cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess)
        return status_of(error, call);
    return fail(result == BLAS_ALLOC_FAILED       ? SIMT_OUT_OF_MEMORY
                : result == BLAS_EXECUTION_FAILED ? SIMT_LAUNCH_FAILED
                : result == BLAS_NOT_INITIALIZED  ? SIMT_NO_BLAS
                                                  : SIMT_INVALID,
        "%s: %s (%d)", call, table.status_string(result), result);
}

cudaDataType type_of(enum simt_type type)
{
    return type == SIMT_F16 ? CUDA_R_16F : type == SIMT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
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
    status = status_of_blas(table.create(&blas->handle), "cublasCreate");
    if (status) {
        free(blas);
        return status;
    }
    status = status_of_blas(
        table.set_math_mode(blas->handle, NO_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode");
    if (status) {
        table.destroy(blas->handle);
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
    table.destroy(blas->handle);
    count(live.blas, -1);
    free(blas);
}

enum simt_status simt_blas_workspace(struct simt_blas *blas, void *device_memory, size_t bytes)
{
    blas->workspace = device_memory;
    blas->workspace_bytes = bytes;
    return status_of_blas(table.set_workspace(blas->handle, device_memory, bytes), "cublasSetWorkspace");
}

enum simt_status simt_blas_gemm(struct simt_blas *blas, struct simt_stream *stream, const struct simt_gemm *g)
{
    const char *wrong = stream ? gemm_refused(*g) : "no stream";
    if (wrong)
        return fail(SIMT_INVALID, "simt_blas_gemm: %s", wrong);
    if (g->m == 0 || g->n == 0 || g->batch == 0)
        return SIMT_OK;
    if (blas->stream != stream->handle) { /* setting the stream forgets the workspace */
        enum simt_status status =
            status_of_blas(table.set_stream(blas->handle, stream->handle), "cublasSetStream");
        if (!status && blas->workspace_bytes)
            status = simt_blas_workspace(blas, blas->workspace, blas->workspace_bytes);
        if (status)
            return status;
        blas->stream = stream->handle;
    }
    /* cuBLAS is column-major: what is row-major here is transposed there, and C transposed is
     * op(B) transposed times op(A) transposed. */
    return status_of_blas(
        table.gemm(blas->handle, g->trans_b ? OP_T : OP_N, g->trans_a ? OP_T : OP_N, g->n, g->m, g->k,
            &g->alpha, g->b, type_of(g->in), g->ld_b, g->stride_b, g->a, type_of(g->in), g->ld_a, g->stride_a,
            &g->beta, g->c, type_of(g->out), g->ld_c, g->stride_c, g->batch, COMPUTE_32F, GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx");
}
