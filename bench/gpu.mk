# What scripts/gpu-check runs: any plugin alone, as the engine drives it; two files of logits.
noinst_PROGRAMS += bench/bench-infer bench/compare-logits
bench_bench_infer_SOURCES = bench/bench-infer.c
bench_bench_infer_CFLAGS = $(AM_CFLAGS) -O3
bench_bench_infer_LDADD = $(CORE_LIBS)
bench_compare_logits_SOURCES = bench/compare-logits.c tests/lib/golden.c tests/lib/golden.h
bench_compare_logits_LDADD = $(JSONC_LIBS) -lm
