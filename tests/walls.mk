# tests: the walls between the rooms
check_PROGRAMS += tests/lib/clock-daemon
tests_lib_clock_daemon_SOURCES = tests/lib/clock-daemon.c
tests_lib_clock_daemon_LDADD = $(LIB_LIBS)

dist_check_SCRIPTS += tests/walls/test-daemon.py tests/walls/test-includes.py
if HAVE_PYTHON3
TESTS += tests/walls/test-daemon.py tests/walls/test-includes.py
endif
