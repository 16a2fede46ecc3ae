liborcd_a_SOURCES += \
	lib/metrics/metrics.c lib/metrics/metrics.h lib/metrics/process.c lib/metrics/process.h
