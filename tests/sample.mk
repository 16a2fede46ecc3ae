# tests: sample
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-sampler
TESTS += tests/unit/test-sampler
tests_unit_test_sampler_SOURCES = tests/unit/test-sampler.c
tests_unit_test_sampler_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_sampler_LDADD = $(TEST_LIBS)
endif
EXTRA_DIST += docs/sampling.md

noinst_PROGRAMS += bench/bench-sampler
bench_bench_sampler_SOURCES = bench/bench-sampler.c
bench_bench_sampler_LDADD = $(CORE_LIBS)
