# bench: a server's start, its end, and what it holds in between
libbench_a_SOURCES += \
	bench/cases/model_loading.c bench/cases/graceful_shutdown.c bench/cases/footprint.c \
	bench/cases/receiver.c bench/cases/receiver.h \
	bench/cases/file-copy.c bench/cases/file-copy.h
