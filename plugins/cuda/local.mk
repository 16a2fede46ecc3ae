# plugins/cuda: the host code is one library for both flavours, each kernel file an object for each.
include plugins/cuda/simt/simt.mk
include plugins/cuda/attention.mk
include plugins/cuda/sampling.mk
include plugins/cuda/w.mk
EXTRA_DIST += plugins/cuda/kernels.h docs/cuda.md

CUDA_KERNELS = plugins/cuda/f-rows.cu $(CUDA_SAMPLING_SOURCES)
EXTRA_DIST += plugins/cuda/f-rows.cu

noinst_LIBRARIES += libcudahost.a
libcudahost_a_SOURCES = $(PLUGIN_COMMON_SOURCES) \
	plugins/cuda/collect.c plugins/cuda/copy-speed.c plugins/cuda/ctx.c plugins/cuda/ctx.h plugins/cuda/cuda.h plugins/cuda/device.c \
	plugins/cuda/forward.c plugins/cuda/graphs.c plugins/cuda/groups.c plugins/cuda/heights.c plugins/cuda/launcher.c plugins/cuda/load.c \
	plugins/cuda/model.c plugins/cuda/options.c plugins/cuda/options.h plugins/cuda/pass.h \
	plugins/cuda/passes.c plugins/cuda/plan.c plugins/cuda/plan.h plugins/cuda/planes.c plugins/cuda/plugin.c \
	plugins/cuda/products.c plugins/cuda/sequence.c plugins/cuda/submit.c
libcudahost_a_CFLAGS = $(AM_CFLAGS) -fPIC
EXTRA_DIST += plugins/cuda/plugin.map

# None of the objects in the library is named by another: the entry is asked for by name.
CUDA_SO_FLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) -Wl,-u,orcd_plugin_v1 \
	-Wl,--version-script=$(srcdir)/plugins/cuda/plugin.map
CUDA_HOST_KERNELS = $(CUDA_KERNELS:.cu=.ho)
CUDA_NV_KERNELS = $(CUDA_KERNELS:.cu=.nvo)

# For all architectures nvcc takes many minutes, so `make` builds the plugin where configure was told
# --with-cuda or --with-cuda-arch; elsewhere `make plugins/cuda.so` does.
if CUDA
if CUDA_WANTED
plugins_PROGRAMS += plugins/cuda.so
else
EXTRA_PROGRAMS = plugins/cuda.so
CLEANFILES += plugins/cuda.so
endif
CUDA_OBJECTS += $(CUDA_NV_KERNELS) $(W_NVO)
nodist_EXTRA_plugins_cuda_so_SOURCES = none.cc
plugins_cuda_so_SOURCES =
plugins_cuda_so_LDFLAGS = $(CUDA_SO_FLAGS)
plugins_cuda_so_LDADD = $(CUDA_NV_KERNELS) $(W_NVO) $(CUDA_ATTENTION_NV) libcudahost.a $(SIMT_CUDA_LIBS) -lm
endif

# The plugin of the tests: the same sources, run on the CPU.
if CUDA_SIMT
check_PROGRAMS += plugins/cuda-simt.so
CUDA_OBJECTS += $(CUDA_HOST_KERNELS) $(W_HO)
nodist_EXTRA_plugins_cuda_simt_so_SOURCES = none.cc
plugins_cuda_simt_so_SOURCES =
plugins_cuda_simt_so_LDFLAGS = $(CUDA_SO_FLAGS)
plugins_cuda_simt_so_LDADD = $(CUDA_HOST_KERNELS) $(W_HO) $(CUDA_ATTENTION_HOST) libcudahost.a $(SIMT_HOST_LIBS)
endif
