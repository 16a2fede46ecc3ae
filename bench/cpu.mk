# The cpu plugin alone: load, prefill, decode.
noinst_PROGRAMS += bench/bench-cpu
bench_bench_cpu_SOURCES = bench/bench-cpu.c
bench_bench_cpu_LDADD = $(CORE_LIBS)
