# bench: what ends a job early, and health meanwhile
libbench_a_SOURCES += \
	bench/lib/ask.c bench/lib/ask.h \
	bench/cases/slot.c bench/cases/slot.h \
	bench/cases/cancellation_latency.c \
	bench/cases/client_disconnect_detection.c bench/cases/deadline_abort.c \
	bench/cases/health_endpoint.c \
	bench/cases/soak.c bench/cases/soak-clients.c bench/cases/soak.h
