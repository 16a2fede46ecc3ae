# bench
EXTRA_DIST += docs/benchmarks.md
noinst_PROGRAMS += bench/synth-model
bench_synth_model_SOURCES = bench/synth-model.c $(TEST_MODEL_SOURCES)
bench_synth_model_CFLAGS = $(AM_CFLAGS) -O3
bench_synth_model_LDADD = libcore.a
include bench/tokenizer.mk
include bench/kernels.mk
include bench/cpu.mk
