# tests: the benchmark suite
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-bench-stats
TESTS += tests/unit/test-bench-stats
tests_unit_test_bench_stats_SOURCES = tests/unit/test-bench-stats.c
tests_unit_test_bench_stats_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
tests_unit_test_bench_stats_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_bench_stats_LDADD = $(BENCH_LIBS) $(CMOCKA_LIBS)
endif
