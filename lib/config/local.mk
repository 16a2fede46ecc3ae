liborcd_a_SOURCES += \
	lib/config/config.c lib/config/config.h \
	lib/config/table.c lib/config/table.h \
	lib/config/file.c lib/config/environment.c lib/config/documents.c \
	lib/config/read-file.c lib/config/read-file.h \
	lib/config/secrets.c lib/config/secrets.h
