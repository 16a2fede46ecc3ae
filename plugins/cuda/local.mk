# plugins/cuda
include plugins/cuda/simt/simt.mk
EXTRA_DIST += plugins/cuda/kernels.h docs/cuda.md
