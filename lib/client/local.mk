liborcd_a_SOURCES += \
	lib/client/client.c lib/client/client.h \
	lib/client/sse.c
