# bench: the load generator, what drives it, and the cases of latency
libbench_a_SOURCES += \
	bench/lib/load.c bench/lib/load.h bench/lib/load-internal.h \
	bench/lib/load-call.c bench/lib/load-conn.c bench/lib/load-time.c \
	bench/lib/load-events.c bench/lib/load-events.h \
	bench/lib/load-reply.c bench/lib/load-reply.h \
	bench/lib/echo.c bench/lib/echo.h bench/lib/fleet.c bench/lib/fleet.h \
	bench/cases/first_token_latency.c bench/cases/per_token_latency.c \
	bench/cases/streams.c bench/cases/noisy_neighbour.c bench/cases/admission.c
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-load
TESTS += tests/unit/test-load
tests_unit_test_load_SOURCES = tests/unit/test-load.c
tests_unit_test_load_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench
tests_unit_test_load_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_load_LDADD = libbench.a $(TEST_LIBS)
endif
