# Kernels of the weights' family.
W_CU = plugins/cuda/w-expand.cu plugins/cuda/w-mma.cu plugins/cuda/w-norm.cu plugins/cuda/w-products.cu \
	plugins/cuda/w-products-256.cu plugins/cuda/w-products-32.cu plugins/cuda/w-products-float.cu \
	plugins/cuda/w-products-two.cu \
	plugins/cuda/w-repack.cu plugins/cuda/w-rows.cu
EXTRA_DIST += $(W_CU) plugins/cuda/w-activation.cuh plugins/cuda/w-launch.h plugins/cuda/w-mma.cuh \
	plugins/cuda/w-products.cuh plugins/cuda/w-types.cuh plugins/cuda/w-work.cuh
# The objects of either flavour, and the race detector's.
W_HO = $(W_CU:.cu=.ho)
W_RHO = $(W_CU:.cu=.rho)
W_NVO = $(W_CU:.cu=.nvo)
if CUDA_SIMT
CUDA_OBJECTS += $(W_HO)
endif
if CUDA
CUDA_OBJECTS += $(W_NVO)
endif
