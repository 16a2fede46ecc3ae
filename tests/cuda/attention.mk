# tests: the cuda plugin's attention, experts and sampling, kernel by kernel on the CPU, and once more under the
# race detector
EXTRA_DIST += tests/cuda/device.h tests/cuda/test-cuda-attention.c tests/cuda/test-cuda-rows.c \
	tests/cuda/test-cuda-sampling.c
EXTRA_DIST += tests/cuda/sample-weights.cu
if CUDA_SIMT
check_PROGRAMS += tests/cuda/test-sample-weights
TESTS += tests/cuda/test-sample-weights
CUDA_OBJECTS += tests/cuda/sample-weights.ho
nodist_EXTRA_tests_cuda_test_sample_weights_SOURCES = none.cc
tests_cuda_test_sample_weights_SOURCES =
tests_cuda_test_sample_weights_LDADD = tests/cuda/sample-weights.ho $(SIMT_HOST_LIBS) $(CORE_LIBS)
endif
if HAVE_CMOCKA
if CUDA_SIMT
CUDA_KERNEL_TESTS = tests/cuda/test-cuda-attention tests/cuda/test-cuda-rows \
	tests/cuda/test-cuda-sampling
tests_cuda_test_cuda_attention_SOURCES = tests/cuda/test-cuda-attention.c
tests_cuda_test_cuda_attention_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_cuda_attention_SOURCES = none.cc
tests_cuda_test_cuda_attention_LDADD = $(CUDA_ATTENTION_HOST) $(SIMT_HOST_LIBS) $(CMOCKA_LIBS)
tests_cuda_test_cuda_rows_SOURCES = tests/cuda/test-cuda-rows.c
tests_cuda_test_cuda_rows_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_cuda_rows_SOURCES = none.cc
tests_cuda_test_cuda_rows_LDADD = $(CUDA_ATTENTION_HOST) $(SIMT_HOST_LIBS) $(CMOCKA_LIBS)
tests_cuda_test_cuda_sampling_SOURCES = tests/cuda/test-cuda-sampling.c
tests_cuda_test_cuda_sampling_CFLAGS = $(TEST_CFLAGS)
nodist_EXTRA_tests_cuda_test_cuda_sampling_SOURCES = none.cc
tests_cuda_test_cuda_sampling_LDADD = $(CUDA_SAMPLING_HOST) $(SIMT_HOST_LIBS) $(TEST_LIBS)
if !SANITIZED
CUDA_KERNEL_TESTS += tests/cuda/test-cuda-attention-race tests/cuda/test-cuda-rows-race \
	tests/cuda/test-cuda-sampling-race
CUDA_OBJECTS += $(CUDA_ATTENTION_RACE) $(CUDA_SAMPLING_RACE)
tests_cuda_test_cuda_attention_race_SOURCES = tests/cuda/test-cuda-attention.c
nodist_EXTRA_tests_cuda_test_cuda_attention_race_SOURCES = none.cc
tests_cuda_test_cuda_attention_race_CFLAGS = $(TEST_CFLAGS) -DCUDA_FEWER
tests_cuda_test_cuda_attention_race_LDADD = $(CUDA_ATTENTION_RACE) $(SIMT_RACE_LIBS) $(CMOCKA_LIBS)
tests_cuda_test_cuda_rows_race_SOURCES = tests/cuda/test-cuda-rows.c
nodist_EXTRA_tests_cuda_test_cuda_rows_race_SOURCES = none.cc
tests_cuda_test_cuda_rows_race_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_rows_race_LDADD = $(CUDA_ATTENTION_RACE) $(SIMT_RACE_LIBS) $(CMOCKA_LIBS)
tests_cuda_test_cuda_sampling_race_SOURCES = tests/cuda/test-cuda-sampling.c
nodist_EXTRA_tests_cuda_test_cuda_sampling_race_SOURCES = none.cc
tests_cuda_test_cuda_sampling_race_CFLAGS = $(TEST_CFLAGS) -DCUDA_FEWER
tests_cuda_test_cuda_sampling_race_LDADD = $(CUDA_SAMPLING_RACE) $(SIMT_RACE_LIBS) $(TEST_LIBS)
endif
check_PROGRAMS += $(CUDA_KERNEL_TESTS)
TESTS += $(CUDA_KERNEL_TESTS)
endif
endif
