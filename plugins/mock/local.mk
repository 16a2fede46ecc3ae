# The mock plugin, and what else is built from its sources in tests/plugin.mk.
plugins_PROGRAMS += plugins/mock.so
MOCK_SOURCES = \
	plugins/mock/context.c \
	plugins/mock/faults.c \
	plugins/mock/mock.c plugins/mock/mock.h \
	plugins/mock/options.c \
	plugins/mock/sequence.c \
	plugins/mock/submit.c \
	plugins/mock/words.c \
	plugins/mock/worker.c \
	lib/base/clock.c lib/base/error.c lib/base/thread.c \
	core/sample/philox.c \
	core/sample/sampler.c \
	core/sample/select.c \
	core/sample/softmax.c
EXTRA_DIST += plugins/mock/plugin.map

plugins_mock_so_SOURCES = $(MOCK_SOURCES)
plugins_mock_so_CFLAGS = $(AM_CFLAGS) -fPIC
plugins_mock_so_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) \
	-Wl,--version-script=$(srcdir)/plugins/mock/plugin.map
plugins_mock_so_LDADD = -lm
