# plugins/cuda: the host code is one library for both flavours, each kernel file an object for each.
include plugins/cuda/simt/simt.mk
include plugins/cuda/attention.mk
include plugins/cuda/sampling.mk
include plugins/cuda/w.mk
EXTRA_DIST += plugins/cuda/kernels.h docs/cuda.md

CUDA_KERNELS = plugins/cuda/f-rows.cu $(CUDA_SAMPLING_SOURCES)
EXTRA_DIST += plugins/cuda/f-rows.cu

noinst_LIBRARIES += libcudahost.a
libcudahost_a_SOURCES = $(QUANT_TYPES_SOURCES) \
	plugins/cpu/source.c plugins/cpu/source.h plugins/cpu/util.c plugins/cpu/util.h \
	plugins/cpu/rope-freqs.c plugins/cpu/rope-freqs.h \
	plugins/cuda/collect.c plugins/cuda/copy-speed.c plugins/cuda/ctx.c plugins/cuda/ctx.h plugins/cuda/cuda.h plugins/cuda/device.c \
	plugins/cuda/forward.c plugins/cuda/graphs.c plugins/cuda/launcher.c plugins/cuda/load.c \
	plugins/cuda/model.c plugins/cuda/options.c plugins/cuda/options.h plugins/cuda/passes.c \
	plugins/cuda/plan.c plugins/cuda/plan.h plugins/cuda/planes.c plugins/cuda/plugin.c \
	plugins/cuda/sequence.c plugins/cuda/submit.c
libcudahost_a_CFLAGS = $(AM_CFLAGS) -fPIC
