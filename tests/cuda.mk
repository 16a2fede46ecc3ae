# tests: cuda
EXTRA_DIST += tests/cuda/tap.h tests/cuda/layer.cu

if CUDA_SIMT
check_PROGRAMS += tests/cuda/test-layer
TESTS += tests/cuda/test-layer
CUDA_OBJECTS += tests/cuda/layer.ho
nodist_EXTRA_tests_cuda_test_layer_SOURCES = none.cc
tests_cuda_test_layer_SOURCES =
tests_cuda_test_layer_LDADD = tests/cuda/layer.ho $(SIMT_HOST_LIBS)
endif

# The same on a GPU; skipped where there is none.
if CUDA
check_PROGRAMS += tests/cuda/test-layer-cuda
TESTS += tests/cuda/test-layer-cuda
CUDA_OBJECTS += tests/cuda/layer.nvo
nodist_EXTRA_tests_cuda_test_layer_cuda_SOURCES = none.cc
tests_cuda_test_layer_cuda_SOURCES =
tests_cuda_test_layer_cuda_LDADD = tests/cuda/layer.nvo $(SIMT_CUDA_LIBS)
endif

include tests/cuda/attention.mk
