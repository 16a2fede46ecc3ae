# The cpu plugin's kernels by themselves.
noinst_PROGRAMS += bench/bench-kernels
bench_bench_kernels_SOURCES = bench/bench-kernels.c
bench_bench_kernels_LDADD = $(CPU_KERNEL_LIBS) $(CORE_LIBS) -lm
