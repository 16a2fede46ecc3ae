liborcd_a_SOURCES += \
	lib/process/notify.c lib/process/notify.h
