# tests: the weights' kernels of the cuda plugin, on the CPU, under the race detector and on a GPU
EXTRA_DIST += tests/cuda/inputs.h tests/cuda/weights.h $(W_TEST_CU)
W_TEST_CU = tests/cuda/w-values.cu tests/cuda/w-rows.cu tests/cuda/w-products.cu tests/cuda/w-mma.cu

if CUDA_SIMT
W_TESTS = tests/cuda/test-w-values tests/cuda/test-w-rows tests/cuda/test-w-products tests/cuda/test-w-mma
check_PROGRAMS += $(W_TESTS)
TESTS += $(W_TESTS)
CUDA_OBJECTS += $(W_TEST_CU:.cu=.ho)
W_TEST_LIBS = $(W_HO) $(SIMT_HOST_LIBS) libcore.a liborcd.a -lm
nodist_EXTRA_tests_cuda_test_w_values_SOURCES = none.cc
tests_cuda_test_w_values_SOURCES =
tests_cuda_test_w_values_LDADD = tests/cuda/w-values.ho libcudahost.a $(W_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_w_rows_SOURCES = none.cc
tests_cuda_test_w_rows_SOURCES =
tests_cuda_test_w_rows_LDADD = tests/cuda/w-rows.ho $(W_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_w_products_SOURCES = none.cc
tests_cuda_test_w_products_SOURCES =
tests_cuda_test_w_products_LDADD = tests/cuda/w-products.ho $(W_TEST_LIBS)
nodist_EXTRA_tests_cuda_test_w_mma_SOURCES = none.cc
tests_cuda_test_w_mma_SOURCES =
tests_cuda_test_w_mma_LDADD = tests/cuda/w-mma.ho $(W_TEST_LIBS)
if !SANITIZED
check_PROGRAMS += tests/cuda/test-w-races
TESTS += tests/cuda/test-w-races
CUDA_OBJECTS += $(W_RHO) tests/cuda/w-races.ho
nodist_EXTRA_tests_cuda_test_w_races_SOURCES = none.cc
tests_cuda_test_w_races_SOURCES =
tests_cuda_test_w_races_LDADD = tests/cuda/w-races.ho $(W_RHO) $(SIMT_RACE_LIBS) libcore.a liborcd.a -lm
endif
endif
EXTRA_DIST += tests/cuda/w-races.cu

# The same on a GPU; skipped where there is none.
if CUDA
W_TESTS_CUDA = tests/cuda/test-w-values-cuda tests/cuda/test-w-rows-cuda \
	tests/cuda/test-w-products-cuda tests/cuda/test-w-mma-cuda
check_PROGRAMS += $(W_TESTS_CUDA)
TESTS += $(W_TESTS_CUDA)
CUDA_OBJECTS += $(W_TEST_CU:.cu=.nvo)
W_TEST_CUDA_LIBS = $(W_NVO) $(SIMT_CUDA_TEST_LIBS) libcore.a liborcd.a -lm
nodist_EXTRA_tests_cuda_test_w_values_cuda_SOURCES = none.cc
tests_cuda_test_w_values_cuda_SOURCES =
tests_cuda_test_w_values_cuda_LDADD = tests/cuda/w-values.nvo libcudahost.a $(W_TEST_CUDA_LIBS)
nodist_EXTRA_tests_cuda_test_w_rows_cuda_SOURCES = none.cc
tests_cuda_test_w_rows_cuda_SOURCES =
tests_cuda_test_w_rows_cuda_LDADD = tests/cuda/w-rows.nvo $(W_TEST_CUDA_LIBS)
nodist_EXTRA_tests_cuda_test_w_products_cuda_SOURCES = none.cc
tests_cuda_test_w_products_cuda_SOURCES =
tests_cuda_test_w_products_cuda_LDADD = tests/cuda/w-products.nvo $(W_TEST_CUDA_LIBS)
nodist_EXTRA_tests_cuda_test_w_mma_cuda_SOURCES = none.cc
tests_cuda_test_w_mma_cuda_SOURCES =
tests_cuda_test_w_mma_cuda_LDADD = tests/cuda/w-mma.nvo $(W_TEST_CUDA_LIBS)
endif
