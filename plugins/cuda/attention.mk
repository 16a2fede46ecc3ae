# Attention and experts: sources of both plugins.
CUDA_ATTENTION_SOURCES = plugins/cuda/a-qkv.cu plugins/cuda/a-decode.cu plugins/cuda/a-combine.cu \
	plugins/cuda/a-prefill.cu plugins/cuda/a-experts.cu
CUDA_ATTENTION_HOST = $(CUDA_ATTENTION_SOURCES:.cu=.ho)
CUDA_ATTENTION_RACE = $(CUDA_ATTENTION_SOURCES:.cu=.rho)
CUDA_ATTENTION_NV = $(CUDA_ATTENTION_SOURCES:.cu=.nvo)
EXTRA_DIST += $(CUDA_ATTENTION_SOURCES) plugins/cuda/a-attn.cuh plugins/cuda/a-decode.cuh
if CUDA_SIMT
CUDA_OBJECTS += $(CUDA_ATTENTION_HOST)
endif
if CUDA
CUDA_OBJECTS += $(CUDA_ATTENTION_NV)
endif
