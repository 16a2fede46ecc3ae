# tests: the cpu plugin's kernels
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-cpu-kernels
TESTS += tests/unit/test-cpu-kernels
tests_unit_test_cpu_kernels_SOURCES = tests/unit/test-cpu-kernels.c
tests_unit_test_cpu_kernels_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_LDADD = $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm
endif
