libcore_a_SOURCES += \
	core/plugin/answer.c \
	core/plugin/backend.c core/plugin/backend.h \
	core/plugin/handshake.c \
	core/plugin/host.c core/plugin/host.h \
	core/plugin/internal.h \
	core/plugin/options.c \
	core/plugin/search.c \
	core/plugin/sequence.c \
	core/plugin/step.c \
	core/plugin/table.c
