# plugins/cpu
include plugins/cpu/kernels.mk
