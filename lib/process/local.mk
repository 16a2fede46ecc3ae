liborcd_a_SOURCES += \
	lib/process/notify.c lib/process/notify.h \
	lib/process/shutdown-watch.c lib/process/shutdown-watch.h \
	lib/process/signals.c lib/process/signals.h \
	lib/process/spawn.c lib/process/spawn.h \
	lib/process/standard-streams.c lib/process/standard-streams.h
