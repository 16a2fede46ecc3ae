/* What is used of cuBLASLt, declared here so that its headers are not needed to build. Names and
 * numbers are those of cublasLt.h and cublas_api.h, the same in CUDA 12 and 13;
 * tests/cuda/lt-header.cc compares them with the toolkit's own. */
#ifndef ORCD_CUDA_SIMT_CUBLASLT_H
#define ORCD_CUDA_SIMT_CUBLASLT_H

#include <cuda_runtime_api.h>
#include <library_types.h>
#include <stddef.h>
#include <stdint.h>

namespace simt
{
namespace lt
{

/* cublasStatus_t */
enum { SUCCESS = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
/* cublasOperation_t */
enum { OP_N = 0, OP_T = 1 };
/* cublasComputeType_t: sums in float32, of inputs as they are */
enum { COMPUTE_32F = 68 };
/* cublasLtMatmulDescAttributes_t: int32_t */
enum { DESC_TRANSA = 3, DESC_TRANSB = 4 };
/* cublasLtMatrixLayoutAttribute_t: int32_t, int64_t in elements */
enum { LAYOUT_BATCH_COUNT = 5, LAYOUT_STRIDED_BATCH_OFFSET = 6 };
/* cublasLtMatmulPreferenceAttributes_t: uint64_t, and the others uint32_t */
enum {
    PREF_MAX_WORKSPACE_BYTES = 1,
    PREF_REDUCTION_SCHEME_MASK = 3,
    PREF_MIN_ALIGNMENT_A_BYTES = 5,
    PREF_MIN_ALIGNMENT_B_BYTES = 6,
    PREF_MIN_ALIGNMENT_C_BYTES = 7,
    PREF_MIN_ALIGNMENT_D_BYTES = 8
};
/* cublasLtReductionScheme_t: as a mask, a sum is made in one sequence */
enum { REDUCTION_SCHEME_NONE = 0 };

/* cublasLtMatmulAlgo_t, cublasLtMatmulHeuristicResult_t */
struct algorithm {
    uint64_t data[8];
};
struct candidate {
    algorithm algo;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};

/* Handles and descriptors are pointers to what only the library knows. */
struct functions {
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    const char *(*status_string)(int status);
    int (*desc_create)(void **desc, int compute_type, cudaDataType scale_type);
    int (*desc_destroy)(void *desc);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t bytes);
    int (*layout_create)(void **layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t ld);
    int (*layout_destroy)(void *layout);
    int (*layout_set)(void *layout, int attribute, const void *value, size_t bytes);
    int (*pref_create)(void **preference);
    int (*pref_destroy)(void *preference);
    int (*pref_set)(void *preference, int attribute, const void *value, size_t bytes);
    int (*heuristic)(void *handle, void *desc, void *layout_a, void *layout_b, void *layout_c, void *layout_d,
        void *preference, int asked, candidate *out, int *returned);
    int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *layout_a, const void *b,
        void *layout_b, const void *beta, const void *c, void *layout_c, void *d, void *layout_d,
        const algorithm *algo, void *workspace, size_t workspace_bytes, cudaStream_t stream);
};

/* X(member, symbol) of each function. */
#define SIMT_LT_FUNCTIONS(X)                                                                                 \
    X(create, cublasLtCreate)                                                                                \
    X(destroy, cublasLtDestroy)                                                                              \
    X(status_string, cublasLtGetStatusString)                                                                \
    X(desc_create, cublasLtMatmulDescCreate)                                                                 \
    X(desc_destroy, cublasLtMatmulDescDestroy)                                                               \
    X(desc_set, cublasLtMatmulDescSetAttribute)                                                              \
    X(layout_create, cublasLtMatrixLayoutCreate)                                                             \
    X(layout_destroy, cublasLtMatrixLayoutDestroy)                                                           \
    X(layout_set, cublasLtMatrixLayoutSetAttribute)                                                          \
    X(pref_create, cublasLtMatmulPreferenceCreate)                                                           \
    X(pref_destroy, cublasLtMatmulPreferenceDestroy)                                                         \
    X(pref_set, cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(heuristic, cublasLtMatmulAlgoGetHeuristic)                                                             \
    X(matmul, cublasLtMatmul)

} // namespace lt
} // namespace simt

#endif
