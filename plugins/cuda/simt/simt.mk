# The layer under plugins/cuda: headers, the CPU's implementation, the GPU's.
EXTRA_DIST += plugins/cuda/simt/device-cuda.h plugins/cuda/simt/device-host.h \
	plugins/cuda/simt/half.h plugins/cuda/simt/rt.h plugins/cuda/simt/simt.h
