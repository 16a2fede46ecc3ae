libcore_a_SOURCES += \
	core/base/json-out.c core/base/json-out.h \
	core/observe/metrics.c core/observe/metrics.h core/observe/metrics-table.h \
	core/observe/health.c core/observe/health.h
