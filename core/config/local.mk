libcore_a_SOURCES += \
	core/config/config.c core/config/config.h \
	core/config/config-table.c core/config/config-table.h \
	core/config/config-file.c core/config/config-env.c core/config/config-doc.c \
	core/config/read-file.c core/config/read-file.h \
	core/config/secrets.c core/config/secrets.h \
	core/health.c core/health.h \
	core/metrics.c core/metrics.h core/metrics-table.h \
	core/worker.c core/worker.h core/worker-parts.h \
	core/worker-load.c core/worker-stop.c core/worker-callback.c
