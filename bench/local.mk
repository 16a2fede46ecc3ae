# bench
EXTRA_DIST += docs/benchmarks.md
noinst_PROGRAMS += bench/synth-model
bench_synth_model_SOURCES = bench/synth-model.c $(TEST_MODEL_SOURCES)
bench_synth_model_CFLAGS = $(AM_CFLAGS) -O3
bench_synth_model_LDADD = libcore.a
# What `orcd bench` and its tests are made of: each group of files adds its own.
noinst_LIBRARIES += libbench.a
libbench_a_SOURCES =
libbench_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
include bench/lib/load.mk
include bench/tokenizer.mk
include bench/kernels.mk
include bench/cpu.mk
