// What plugins/cuda/simt/cublaslt.h declares, against the toolkit's own header (when it is compiled)
// and library (which needs no device for descriptors, and says whether it takes an attribute of
// that number and size).
#include "plugins/cuda/simt/cublaslt.h"

#include "tests/cuda/tap.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>
#include <type_traits>

#include "tests/cuda/stub/cuda-errors.h"

namespace lt = simt::lt;

namespace
{

#define SAME(mine, theirs) static_assert(static_cast<int>(mine) == static_cast<int>(theirs), #theirs)
SAME(lt::SUCCESS, CUBLAS_STATUS_SUCCESS);
SAME(lt::NOT_INITIALIZED, CUBLAS_STATUS_NOT_INITIALIZED);
SAME(lt::ALLOC_FAILED, CUBLAS_STATUS_ALLOC_FAILED);
SAME(lt::EXECUTION_FAILED, CUBLAS_STATUS_EXECUTION_FAILED);
SAME(lt::NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(lt::OP_N, CUBLAS_OP_N);
SAME(lt::OP_T, CUBLAS_OP_T);
SAME(lt::COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(lt::DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(lt::DESC_TRANSB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(lt::LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(lt::LAYOUT_STRIDED_BATCH_OFFSET, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(lt::PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(lt::PREF_REDUCTION_SCHEME_MASK, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(lt::PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(lt::PREF_MIN_ALIGNMENT_D_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(lt::REDUCTION_SCHEME_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(sizeof(lt::algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(lt::candidate), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(lt::candidate, algo), offsetof(cublasLtMatmulHeuristicResult_t, algo));
SAME(offsetof(lt::candidate, workspace_bytes), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(lt::candidate, state), offsetof(cublasLtMatmulHeuristicResult_t, state));

// Arguments and results of the same size, pointers where there are pointers.
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
template <class R, class... P, class S, class... Q> constexpr bool alike_calls(R (*)(P...), S (*)(Q...))
{
    if constexpr (sizeof...(P) == sizeof...(Q))
        return alike<R, S> && (alike<P, Q> && ...);
    else
        return false;
}
#define X(member, symbol)                                                                                    \
    static_assert(alike_calls(static_cast<decltype(&symbol)>(nullptr),                                       \
                      static_cast<decltype(lt::functions::member)>(nullptr)),                                \
        #symbol);
SIMT_LT_FUNCTIONS(X)
#undef X
#if CUDART_VERSION >= 13000
#define X(name, number) SAME(name, number);
CUDA_STUB_ERRORS(X)
#undef X
#endif

void *open_library()
{
    char name[96];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUDART_VERSION / 1000);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library)
        return library;
    snprintf(name, sizeof name, "/usr/local/cuda/lib64/libcublasLt.so.%d", CUDART_VERSION / 1000);
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

} // namespace

int main()
{
    ok(true, "numbers, structures and calls are those of cublasLt.h");
    void *library = open_library();
    if (!library) {
        printf("# the library is not here: its header alone was looked at\n");
        return tap_end();
    }
    lt::functions f = {};
    bool all = true;
#define X(member, symbol)                                                                                    \
    f.member = reinterpret_cast<decltype(f.member)>(dlsym(library, #symbol));                                \
    all = all && f.member;
    SIMT_LT_FUNCTIONS(X)
#undef X
    if (!ok(all, "the library has every function"))
        return tap_end();
    void *desc = nullptr, *layout = nullptr, *preference = nullptr;
    int32_t transposed = lt::OP_T, count = 2;
    int64_t stride = 640;
    ok(f.desc_create(&desc, lt::COMPUTE_32F, CUDA_R_32F) == 0 &&
            f.desc_set(desc, lt::DESC_TRANSA, &transposed, sizeof transposed) == 0 &&
            f.desc_set(desc, lt::DESC_TRANSB, &transposed, sizeof transposed) == 0,
        "a product, transposed");
    ok(f.desc_set(desc, lt::DESC_TRANSA, &stride, sizeof stride) != 0, "it knows the size of an attribute");
    ok(f.layout_create(&layout, CUDA_R_16F, 64, 10, 64) == 0 &&
            f.layout_set(layout, lt::LAYOUT_BATCH_COUNT, &count, sizeof count) == 0 &&
            f.layout_set(layout, lt::LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride) == 0,
        "a matrix, several times");
    uint64_t bytes = 1 << 25;
    bool taken = f.pref_create(&preference) == 0 &&
                 f.pref_set(preference, lt::PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes) == 0;
    uint32_t scheme = lt::REDUCTION_SCHEME_NONE, align = 16;
    taken = taken && f.pref_set(preference, lt::PREF_REDUCTION_SCHEME_MASK, &scheme, sizeof scheme) == 0;
    for (int a = lt::PREF_MIN_ALIGNMENT_A_BYTES; a <= lt::PREF_MIN_ALIGNMENT_D_BYTES; a++)
        taken = taken && f.pref_set(preference, a, &align, sizeof align) == 0;
    ok(taken, "a preference");
    ok(f.pref_destroy(preference) == 0 && f.layout_destroy(layout) == 0 && f.desc_destroy(desc) == 0 &&
            f.status_string(lt::NOT_SUPPORTED),
        "they are destroyed");
    return tap_end();
}

#else

int main()
{
    printf("1..0 # SKIP there is no cublasLt.h\n");
    return 77;
}

#endif
