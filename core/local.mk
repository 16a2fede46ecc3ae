# libcore.a: everything that the worker is made of.
noinst_LIBRARIES += libcore.a
libcore_a_SOURCES =
CORE_LIBS = libcore.a $(LIB_LIBS) $(PCRE2_LIBS)

include core/model/local.mk
include core/chat/local.mk
include core/sample/local.mk
include core/plugin/local.mk
include core/engine/local.mk
include core/api/local.mk

libcore_a_SOURCES += \
	core/config-table.c core/config-table.h core/config-options.c \
	core/health.c core/health.h \
	core/metrics.c core/metrics.h core/metrics-table.h \
	core/worker.c core/worker.h core/worker-parts.h \
	core/worker-keys.c core/worker-load.c core/worker-stop.c core/worker-callback.c
