/* For tests/cuda/lt.cc: of CUDA's header of that name, what plugins/cuda/simt/cuda-blas.cc uses. */
#ifndef ORCD_TESTS_CUDA_STUB_CUDA_RUNTIME_API_H
#define ORCD_TESTS_CUDA_STUB_CUDA_RUNTIME_API_H

#define CUDART_VERSION 13000

enum cudaError_t { cudaSuccess = 0, cudaErrorLaunchFailure = 719 };
typedef struct CUstream_st *cudaStream_t;

cudaError_t cudaGetLastError();

#endif
