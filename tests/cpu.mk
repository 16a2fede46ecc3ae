# tests: cpu
include tests/cpu-kernels.mk
# The cpu plugin's tests load plugins/cpu.so under a host of their own.
if HAVE_CMOCKA
check_LIBRARIES += libtestcpu.a
libtestcpu_a_SOURCES = tests/plugins/cpu-rig.c tests/plugins/cpu-rig.h tests/plugins/cpu-tiny.c \
	tests/plugins/cpu-tiny.h
libtestcpu_a_CFLAGS = $(TEST_CFLAGS)
TESTCPU_LIBS = libtestcpu.a libtestmodel.a $(ORACLE_LIBS) $(CMOCKA_LIBS)

CPU_TESTS = tests/plugins/test-cpu-golden tests/plugins/test-cpu-oracle tests/plugins/test-cpu-same \
	tests/plugins/test-cpu-abort tests/plugins/test-cpu-edges
check_PROGRAMS += $(CPU_TESTS)
TESTS += $(CPU_TESTS)
tests_plugins_test_cpu_golden_SOURCES = tests/plugins/test-cpu-golden.c
tests_plugins_test_cpu_golden_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_cpu_golden_LDADD = $(TESTCPU_LIBS)
tests_plugins_test_cpu_oracle_SOURCES = tests/plugins/test-cpu-oracle.c
tests_plugins_test_cpu_oracle_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_cpu_oracle_LDADD = $(TESTCPU_LIBS)
tests_plugins_test_cpu_same_SOURCES = tests/plugins/test-cpu-same.c
tests_plugins_test_cpu_same_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_cpu_same_LDADD = $(TESTCPU_LIBS)
tests_plugins_test_cpu_abort_SOURCES = tests/plugins/test-cpu-abort.c
tests_plugins_test_cpu_abort_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_cpu_abort_LDADD = $(TESTCPU_LIBS)
tests_plugins_test_cpu_edges_SOURCES = tests/plugins/test-cpu-edges.c plugins/cpu/sys.c plugins/cpu/sys.h
tests_plugins_test_cpu_edges_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_cpu_edges_LDADD = $(TESTCPU_LIBS)
endif
