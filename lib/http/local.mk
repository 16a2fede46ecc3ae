liborcd_a_SOURCES += \
	lib/http/codes.c lib/http/codes.h \
	lib/http/error.c lib/http/error.h \
	lib/http/json-in.c lib/http/json-in.h
