libcore_a_SOURCES += \
	core/config/config.c core/config/config.h \
	core/config/table.c core/config/config-table.h \
	core/config/config-file.c core/config/config-env.c core/config/config-doc.c \
	core/config/read-file.c core/config/read-file.h \
	core/config/secrets.c core/config/secrets.h
