liborcd_a_SOURCES += \
	lib/client/client.c lib/client/client.h \
	lib/client/transfer.c lib/client/transfer.h lib/client/transfer-failure.c lib/client/transfer-failure.h \
	lib/client/address.c lib/client/address.h lib/client/libcurl.c lib/client/libcurl.h \
	lib/client/sse.c lib/client/sse.h
