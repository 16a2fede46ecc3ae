# plugins/cuda
EXTRA_DIST += plugins/cuda/simt/rt.h plugins/cuda/simt/simt.h
EXTRA_DIST += plugins/cuda/kernels.h docs/cuda.md
