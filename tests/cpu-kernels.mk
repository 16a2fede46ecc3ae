# tests: the cpu plugin's kernels
EXTRA_DIST += tests/lib/kernel-sets.h tests/lib/simde-avx512.h
if HAVE_CMOCKA
KERNEL_TESTS = tests/unit/test-cpu-kernels tests/unit/test-cpu-kernels-vec
tests_unit_test_cpu_kernels_SOURCES = tests/unit/test-cpu-kernels.c
tests_unit_test_cpu_kernels_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_LDADD = $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm
tests_unit_test_cpu_kernels_vec_SOURCES = tests/unit/test-cpu-kernels-vec.c
tests_unit_test_cpu_kernels_vec_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_vec_LDADD = $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm

if HAVE_SIMDE
# The AVX-512 kernels over emulated instructions, whatever the processor: the longest compilation of the tests.
check_LIBRARIES += libtestsimde.a
libtestsimde_a_SOURCES = plugins/cpu/kernels-avx512.c
libtestsimde_a_CPPFLAGS = $(AM_CPPFLAGS) -DKERNELS_SIMDE
libtestsimde_a_CFLAGS = $(CPU_KERNEL_CFLAGS) -Wno-psabi
KERNEL_TESTS += tests/unit/test-cpu-kernels-avx512 tests/unit/test-cpu-kernels-vec-avx512
SIMDE_LIBS = libtestsimde.a $(CPU_KERNEL_LIBS) $(TEST_LIBS) -lm
tests_unit_test_cpu_kernels_avx512_SOURCES = tests/unit/test-cpu-kernels.c
tests_unit_test_cpu_kernels_avx512_CPPFLAGS = $(AM_CPPFLAGS) -DKERNELS_SIMDE
tests_unit_test_cpu_kernels_avx512_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_avx512_LDADD = $(SIMDE_LIBS)
tests_unit_test_cpu_kernels_vec_avx512_SOURCES = tests/unit/test-cpu-kernels-vec.c
tests_unit_test_cpu_kernels_vec_avx512_CPPFLAGS = $(AM_CPPFLAGS) -DKERNELS_SIMDE
tests_unit_test_cpu_kernels_vec_avx512_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_cpu_kernels_vec_avx512_LDADD = $(SIMDE_LIBS)
endif
check_PROGRAMS += $(KERNEL_TESTS)
TESTS += $(KERNEL_TESTS)
endif
