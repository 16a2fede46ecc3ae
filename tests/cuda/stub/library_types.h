/* For tests/cuda/lt.cc: of CUDA's header of that name, what plugins/cuda/simt/cuda-blas.cc uses. */
#ifndef ORCD_TESTS_CUDA_STUB_LIBRARY_TYPES_H
#define ORCD_TESTS_CUDA_STUB_LIBRARY_TYPES_H

enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };

#endif
