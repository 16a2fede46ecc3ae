# tests: cpu
include tests/cpu-kernels.mk
