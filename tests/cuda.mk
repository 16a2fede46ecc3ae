# tests: cuda
EXTRA_DIST += tests/cuda/blas.cu tests/cuda/bugs.cu tests/cuda/layer-matrix.cu \
	tests/cuda/layer-values.cu tests/cuda/layer.cu tests/cuda/layer.h tests/cuda/tap.h

# The layer (plugins/cuda/simt), on the CPU.
if CUDA_SIMT
SIMT_TESTS = tests/cuda/test-layer tests/cuda/test-layer-values tests/cuda/test-layer-matrix \
	tests/cuda/test-blas tests/cuda/test-bugs tests/cuda/test-half tests/cuda/test-misuse tests/cuda/test-runtime
check_PROGRAMS += $(SIMT_TESTS)
TESTS += $(SIMT_TESTS)
CUDA_OBJECTS += tests/cuda/layer.ho tests/cuda/layer-values.ho tests/cuda/layer-matrix.ho tests/cuda/blas.ho \
	tests/cuda/bugs.ho
nodist_EXTRA_tests_cuda_test_layer_SOURCES = none.cc
tests_cuda_test_layer_SOURCES =
tests_cuda_test_layer_LDADD = tests/cuda/layer.ho $(SIMT_HOST_LIBS)
nodist_EXTRA_tests_cuda_test_layer_values_SOURCES = none.cc
tests_cuda_test_layer_values_SOURCES =
tests_cuda_test_layer_values_LDADD = tests/cuda/layer-values.ho $(SIMT_HOST_LIBS)
nodist_EXTRA_tests_cuda_test_layer_matrix_SOURCES = none.cc
tests_cuda_test_layer_matrix_SOURCES =
tests_cuda_test_layer_matrix_LDADD = tests/cuda/layer-matrix.ho $(SIMT_HOST_LIBS)
nodist_EXTRA_tests_cuda_test_blas_SOURCES = none.cc
tests_cuda_test_blas_SOURCES =
tests_cuda_test_blas_LDADD = tests/cuda/blas.ho $(SIMT_HOST_LIBS)
nodist_EXTRA_tests_cuda_test_bugs_SOURCES = none.cc
tests_cuda_test_bugs_SOURCES =
tests_cuda_test_bugs_LDADD = tests/cuda/bugs.ho $(SIMT_HOST_LIBS)
tests_cuda_test_half_SOURCES = tests/cuda/half.cc
tests_cuda_test_half_CXXFLAGS = $(ORCD_CXXFLAGS)
tests_cuda_test_half_LDADD = $(SIMT_HOST_LIBS)
tests_cuda_test_misuse_SOURCES = tests/cuda/misuse.cc tests/cuda/runtime.h
tests_cuda_test_misuse_CXXFLAGS = $(ORCD_CXXFLAGS)
tests_cuda_test_misuse_LDADD = $(SIMT_HOST_LIBS)
tests_cuda_test_runtime_SOURCES = tests/cuda/runtime.cc tests/cuda/runtime.h
tests_cuda_test_runtime_CXXFLAGS = $(ORCD_CXXFLAGS)
tests_cuda_test_runtime_LDADD = $(SIMT_HOST_LIBS)

# cuBLASLt's calls, over a library that is none and CUDA's headers that are none.
EXTRA_DIST += tests/cuda/stub/cuda-errors.h tests/cuda/stub/cuda_runtime_api.h tests/cuda/stub/library_types.h
check_PROGRAMS += tests/cuda/test-lt
TESTS += tests/cuda/test-lt
tests_cuda_test_lt_SOURCES = tests/cuda/lt.cc tests/cuda/lt-fake.cc tests/cuda/lt-fake.h \
	plugins/cuda/simt/rt-common.cc
tests_cuda_test_lt_CPPFLAGS = -I$(srcdir)/tests/cuda/stub $(AM_CPPFLAGS)
tests_cuda_test_lt_CXXFLAGS = $(ORCD_CXXFLAGS)

# The runtime's calls, over a runtime that is none.
check_PROGRAMS += tests/cuda/test-cudart
TESTS += tests/cuda/test-cudart
tests_cuda_test_cudart_SOURCES = tests/cuda/cudart.cc plugins/cuda/simt/cuda-memory.cc \
	plugins/cuda/simt/cuda-pdl.cc plugins/cuda/simt/cuda-stream.cc plugins/cuda/simt/rt-common.cc
tests_cuda_test_cudart_CPPFLAGS = -I$(srcdir)/tests/cuda/stub $(AM_CPPFLAGS)
tests_cuda_test_cudart_CXXFLAGS = $(ORCD_CXXFLAGS)

# With the race detector: kernels as .rho, whose calls of it take it out of the library.
if !SANITIZED
check_LIBRARIES += libtestrace.a
libtestrace_a_SOURCES = plugins/cuda/simt/race.cc
libtestrace_a_CXXFLAGS = $(ORCD_CXXFLAGS)
SIMT_RACE_LIBS = libtestrace.a $(SIMT_HOST_LIBS)
SIMT_RACE_TESTS = tests/cuda/test-bugs-race tests/cuda/test-layer-race tests/cuda/test-layer-matrix-race
check_PROGRAMS += $(SIMT_RACE_TESTS)
TESTS += $(SIMT_RACE_TESTS)
CUDA_OBJECTS += tests/cuda/bugs.rho tests/cuda/layer.rho tests/cuda/layer-matrix.rho
nodist_EXTRA_tests_cuda_test_bugs_race_SOURCES = none.cc
tests_cuda_test_bugs_race_SOURCES =
tests_cuda_test_bugs_race_LDADD = tests/cuda/bugs.rho $(SIMT_RACE_LIBS)
nodist_EXTRA_tests_cuda_test_layer_race_SOURCES = none.cc
tests_cuda_test_layer_race_SOURCES =
tests_cuda_test_layer_race_LDADD = tests/cuda/layer.rho $(SIMT_RACE_LIBS)
nodist_EXTRA_tests_cuda_test_layer_matrix_race_SOURCES = none.cc
tests_cuda_test_layer_matrix_race_SOURCES =
tests_cuda_test_layer_matrix_race_LDADD = tests/cuda/layer-matrix.rho $(SIMT_RACE_LIBS)
endif
endif

# What is declared of cuBLASLt, against the toolkit's header and library.
if CUDA
check_PROGRAMS += tests/cuda/test-lt-header
TESTS += tests/cuda/test-lt-header
tests_cuda_test_lt_header_SOURCES = tests/cuda/lt-header.cc
tests_cuda_test_lt_header_CPPFLAGS = $(AM_CPPFLAGS) $(CUDA_CPPFLAGS)
tests_cuda_test_lt_header_CXXFLAGS = $(ORCD_CXXFLAGS)
tests_cuda_test_lt_header_LDADD = -ldl
endif

# The same on a GPU; skipped where there is none.
if CUDA
SIMT_GPU_TESTS = tests/cuda/test-layer-cuda tests/cuda/test-layer-values-cuda \
	tests/cuda/test-layer-matrix-cuda tests/cuda/test-blas-cuda
check_PROGRAMS += $(SIMT_GPU_TESTS)
TESTS += $(SIMT_GPU_TESTS)
CUDA_OBJECTS += tests/cuda/layer.nvo tests/cuda/layer-values.nvo tests/cuda/layer-matrix.nvo tests/cuda/blas.nvo
nodist_EXTRA_tests_cuda_test_layer_cuda_SOURCES = none.cc
tests_cuda_test_layer_cuda_SOURCES =
tests_cuda_test_layer_cuda_LDADD = tests/cuda/layer.nvo $(SIMT_CUDA_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_layer_values_cuda_SOURCES = none.cc
tests_cuda_test_layer_values_cuda_SOURCES =
tests_cuda_test_layer_values_cuda_LDADD = tests/cuda/layer-values.nvo $(SIMT_CUDA_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_layer_matrix_cuda_SOURCES = none.cc
tests_cuda_test_layer_matrix_cuda_SOURCES =
tests_cuda_test_layer_matrix_cuda_LDADD = tests/cuda/layer-matrix.nvo $(SIMT_CUDA_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_blas_cuda_SOURCES = none.cc
tests_cuda_test_blas_cuda_SOURCES =
tests_cuda_test_blas_cuda_LDADD = tests/cuda/blas.nvo $(SIMT_CUDA_TEST_LIBS)
if HAVE_CMOCKA
CUDA_GPU_TESTS = tests/cuda/test-attention-cuda tests/cuda/test-rows-cuda tests/cuda/test-sampling-cuda
check_PROGRAMS += $(CUDA_GPU_TESTS)
TESTS += $(CUDA_GPU_TESTS)
tests_cuda_test_attention_cuda_SOURCES = tests/cuda/test-cuda-attention.c
tests_cuda_test_attention_cuda_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_attention_cuda_SOURCES = none.cc
tests_cuda_test_attention_cuda_LDADD = $(CUDA_ATTENTION_NV) $(SIMT_CUDA_TEST_LIBS) $(TEST_LIBS) -lm
tests_cuda_test_rows_cuda_SOURCES = tests/cuda/test-cuda-rows.c
tests_cuda_test_rows_cuda_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_rows_cuda_SOURCES = none.cc
tests_cuda_test_rows_cuda_LDADD = $(CUDA_ATTENTION_NV) $(SIMT_CUDA_TEST_LIBS) $(TEST_LIBS) -lm
tests_cuda_test_sampling_cuda_SOURCES = tests/cuda/test-cuda-sampling.c
tests_cuda_test_sampling_cuda_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_sampling_cuda_SOURCES = none.cc
tests_cuda_test_sampling_cuda_LDADD = $(CUDA_SAMPLING_NV) $(SIMT_CUDA_TEST_LIBS) $(TEST_LIBS) -lm
endif
endif

include tests/cuda/attention.mk
include tests/cuda/plugin.mk
