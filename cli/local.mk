# cli: the orcd program, one file per verb
bin_PROGRAMS += orcd
orcd_SOURCES = \
	cli/main.c cli/cli.h cli/verbs.c cli/args.c cli/help.c \
	cli/settings.c cli/progress.c cli/remote.c \
	cli/serve.c cli/run.c cli/chat.c cli/query.c cli/query.h cli/private-worker.c cli/private-worker.h \
	cli/cancel.c cli/health.c cli/metrics.c cli/plugins.c \
	cli/inspect.c cli/eval.c cli/config-verb.c cli/bench.c cli/bench-ci.c
orcd_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench -DORCD_SOURCE_DIR='"$(abs_top_srcdir)"'
orcd_LDADD = $(BENCH_LIBS)
