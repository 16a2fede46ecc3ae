liborcd_a_SOURCES += \
	lib/metrics/metrics.c lib/metrics/metrics.h
