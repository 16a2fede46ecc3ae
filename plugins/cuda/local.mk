# plugins/cuda
include plugins/cuda/simt/simt.mk
include plugins/cuda/attention.mk
EXTRA_DIST += plugins/cuda/kernels.h docs/cuda.md
