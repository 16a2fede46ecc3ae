# tests: the cuda plugin, as it runs on the CPU. Those of the cpu plugin serve here too.
EXTRA_DIST += tests/cuda/test-cuda-steps.c tests/cuda/test-cuda-faults.c tests/cuda/test-cuda-heights.c \
	tests/cuda/test-cuda-launches.c
if CUDA_SIMT
if HAVE_CMOCKA
check_LIBRARIES += libtestcuda.a
libtestcuda_a_SOURCES = tests/plugins/cpu-rig.c tests/plugins/cpu-rig.h tests/plugins/cpu-tiny.c \
	tests/plugins/cpu-tiny.h
libtestcuda_a_CPPFLAGS = $(AM_CPPFLAGS) -DRIG_CUDA
libtestcuda_a_CFLAGS = $(TEST_CFLAGS)
TESTCUDA_CPPFLAGS = $(AM_CPPFLAGS) -DRIG_CUDA
TESTCUDA_LIBS = libtestcuda.a libtestmodel.a $(ORACLE_LIBS) $(CMOCKA_LIBS)

CUDA_PLUGIN_TESTS = tests/cuda/test-cuda-abort tests/cuda/test-cuda-edges tests/cuda/test-cuda-steps \
	tests/cuda/test-cuda-faults tests/cuda/test-cuda-heights tests/cuda/test-cuda-launches tests/cuda/test-cuda-oracle
# With sanitizers this takes minutes, and the oracle's smaller models go through the same kernels.
if !SANITIZED
CUDA_PLUGIN_TESTS += tests/cuda/test-cuda-golden
endif
check_PROGRAMS += $(CUDA_PLUGIN_TESTS)
TESTS += $(CUDA_PLUGIN_TESTS)
tests_cuda_test_cuda_golden_SOURCES = tests/plugins/test-cpu-golden.c
tests_cuda_test_cuda_golden_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_golden_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_golden_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_abort_SOURCES = tests/plugins/test-cpu-abort.c
tests_cuda_test_cuda_abort_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_abort_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_abort_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_edges_SOURCES = tests/plugins/test-cpu-edges.c
tests_cuda_test_cuda_edges_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_edges_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_edges_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_oracle_SOURCES = tests/plugins/test-cpu-oracle.c
tests_cuda_test_cuda_oracle_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_oracle_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_oracle_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_steps_SOURCES = tests/cuda/test-cuda-steps.c
tests_cuda_test_cuda_steps_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_steps_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_steps_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_heights_SOURCES = tests/cuda/test-cuda-heights.c
tests_cuda_test_cuda_heights_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_heights_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_heights_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_launches_SOURCES = tests/cuda/test-cuda-launches.c
tests_cuda_test_cuda_launches_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_launches_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_launches_LDADD = $(TESTCUDA_LIBS)
tests_cuda_test_cuda_faults_SOURCES = tests/cuda/test-cuda-faults.c
tests_cuda_test_cuda_faults_CPPFLAGS = $(TESTCUDA_CPPFLAGS)
tests_cuda_test_cuda_faults_CFLAGS = $(TEST_CFLAGS)
tests_cuda_test_cuda_faults_LDADD = $(TESTCUDA_LIBS)
endif
endif
