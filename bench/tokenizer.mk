# bench: tokenizer
noinst_PROGRAMS += bench/bench-tokenizer
bench_bench_tokenizer_SOURCES = bench/bench-tokenizer.c
bench_bench_tokenizer_LDADD = $(CORE_LIBS)
