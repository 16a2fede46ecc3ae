liborcd_a_SOURCES += \
	lib/json/out.c lib/json/out.h \
	lib/json/read.c lib/json/read.h \
	lib/json/scan.c lib/json/scan.h
