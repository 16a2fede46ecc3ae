# The start of a step and sampling: sources of both plugins.
CUDA_SAMPLING_SOURCES = plugins/cuda/s-begin.cu plugins/cuda/s-settle.cu plugins/cuda/s-draw.cu
CUDA_SAMPLING_HOST = $(CUDA_SAMPLING_SOURCES:.cu=.ho)
CUDA_SAMPLING_RACE = $(CUDA_SAMPLING_SOURCES:.cu=.rho)
CUDA_SAMPLING_NV = $(CUDA_SAMPLING_SOURCES:.cu=.nvo)
EXTRA_DIST += $(CUDA_SAMPLING_SOURCES) plugins/cuda/s-sample.cuh plugins/cuda/s-block.cuh \
	plugins/cuda/s-list.cuh
if CUDA_SIMT
CUDA_OBJECTS += $(CUDA_SAMPLING_HOST)
endif
if CUDA
CUDA_OBJECTS += $(CUDA_SAMPLING_NV)
endif
