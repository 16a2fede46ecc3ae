# The cpu plugin alone: load, prefill, decode.
noinst_PROGRAMS += bench/bench-cpu
bench_bench_cpu_SOURCES = bench/bench-cpu.c
bench_bench_cpu_CFLAGS = $(AM_CFLAGS) -O3
bench_bench_cpu_LDADD = $(CORE_LIBS)
