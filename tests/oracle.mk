# The float reference of model families, and what reads the golden files. The cpu
# plugin's tests link libtestoracle.a too.
check_LIBRARIES += libtestoracle.a libtestmatmul.a
libtestoracle_a_SOURCES = tests/oracle/oracle.c tests/oracle/oracle.h tests/oracle/oracle-internal.h \
	tests/oracle/oracle-load.c tests/lib/golden.c tests/lib/golden.h
libtestoracle_a_CFLAGS = $(AM_CFLAGS) -O3
# One loop is most of the oracle's time: it has vectors, and no instrumentation, with every CFLAGS.
libtestmatmul_a_SOURCES = tests/oracle/oracle-matmul.c
libtestmatmul_a_CFLAGS = $(AM_CFLAGS) -fno-sanitize=all -O3 -ftree-vectorize
ORACLE_LIBS = libtestoracle.a libtestmatmul.a $(CORE_LIBS)

# What the oracle says to a prompt, for tests in other languages.
check_PROGRAMS += tests/oracle/oracle-greedy
tests_oracle_oracle_greedy_SOURCES = tests/oracle/oracle-greedy.c
tests_oracle_oracle_greedy_LDADD = $(ORACLE_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/oracle/test-oracle
TESTS += tests/oracle/test-oracle
tests_oracle_test_oracle_SOURCES = tests/oracle/test-oracle.c
tests_oracle_test_oracle_CFLAGS = $(TEST_CFLAGS)
tests_oracle_test_oracle_LDADD = $(ORACLE_LIBS) $(CMOCKA_LIBS)
endif
