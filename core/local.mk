# libcore.a: everything that the worker is made of.
noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	core/base/error.c core/base/error.h \
	core/base/log.c core/base/log.h \
	core/base/clock.c core/base/clock.h core/base/thread.c core/base/thread.h \
	core/base/util.h
CORE_LIBS = libcore.a $(JSONC_LIBS) $(YAML_LIBS) $(MHD_LIBS)

include core/model/local.mk
include core/chat/local.mk
include core/sample/local.mk
include core/plugin/local.mk
include core/engine/local.mk
include core/observe/local.mk
include core/http/local.mk
include core/config/local.mk
