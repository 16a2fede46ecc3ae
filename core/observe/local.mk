libcore_a_SOURCES += \
	core/observe/metrics.c core/observe/metrics.h core/observe/metrics-table.h \
	core/observe/health.c core/observe/health.h
