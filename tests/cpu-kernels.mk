# tests: the cpu plugin's kernels
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-cpu-kernels tests/unit/test-cpu-kernels-vec
TESTS += tests/unit/test-cpu-kernels tests/unit/test-cpu-kernels-vec
tests_unit_test_cpu_kernels_SOURCES = tests/unit/test-cpu-kernels.c tests/lib/kernel-sets.h
tests_unit_test_cpu_kernels_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_LDADD = $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm
tests_unit_test_cpu_kernels_vec_SOURCES = tests/unit/test-cpu-kernels-vec.c tests/lib/kernel-sets.h
tests_unit_test_cpu_kernels_vec_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_vec_LDADD = $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm
endif
