liborcd_a_SOURCES += \
	lib/base/clock.c lib/base/clock.h \
	lib/base/error.c lib/base/error.h \
	lib/base/log.c lib/base/log.h lib/base/log-ring.c lib/base/log-ring.h \
	lib/base/log-limit.c lib/base/log-limit.h \
	lib/base/log-writer.c lib/base/log-writer.h \
	lib/base/nearest.c lib/base/nearest.h \
	lib/base/random.c lib/base/random.h \
	lib/base/thread.c lib/base/thread.h \
	lib/base/util.h
