# bench
EXTRA_DIST += docs/benchmarks.md bench/soak-hogs.py
noinst_PROGRAMS += bench/synth-model
bench_synth_model_SOURCES = bench/synth-model.c $(TEST_MODEL_SOURCES)
bench_synth_model_CFLAGS = $(AM_CFLAGS) -O3
bench_synth_model_LDADD = libcore.a liborcd.a
include bench/tokenizer.mk
include bench/kernels.mk
include bench/cpu.mk
include bench/gpu.mk

# The suite behind orcd bench: lib/ is what every case uses, cases/ has one file a case.
noinst_LIBRARIES += libbench.a
libbench_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
libbench_a_SOURCES = bench/cases.c \
	bench/lib/bench.c bench/lib/bench.h \
	bench/lib/stats.c bench/lib/stats.h \
	bench/lib/result.c bench/lib/result.h \
	bench/lib/target.c bench/lib/target.h bench/lib/target-internal.h \
	bench/lib/target-process.c bench/lib/target-request.c \
	bench/lib/report.c bench/lib/report.h bench/lib/report-table.c bench/lib/report-json.c \
	bench/lib/report-html.c bench/lib/html-page.h bench/lib/html-measure.c bench/lib/report-style.c \
	bench/lib/svg.c bench/lib/svg.h bench/lib/svg-distribution.c bench/lib/svg-plot.c \
	bench/lib/baseline.c bench/lib/baseline.h
BENCH_LIBS = libbench.a $(CORE_LIBS)
# Fragments add to libbench_a_SOURCES.
include bench/lib/load.mk
include bench/cases/aborts.mk
include bench/cases/life.mk
include bench/ci.mk
libbench_a_SOURCES += bench/cases/deadline_load.c bench/cases/deadline_load.h bench/cases/deadline_value.c
