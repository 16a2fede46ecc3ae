# tests: the walls between the rooms, and between the files of a room
check_PROGRAMS += tests/lib/clock-daemon
tests_lib_clock_daemon_SOURCES = tests/lib/clock-daemon.c
tests_lib_clock_daemon_LDADD = $(LIB_LIBS)

EXTRA_DIST += tests/lib/tap.py
WALL_TESTS = tests/walls/test-circles.py tests/walls/test-daemon.py tests/walls/test-includes.py \
	tests/walls/test-lists.py tests/walls/test-map.py
dist_check_SCRIPTS += $(WALL_TESTS)
if HAVE_PYTHON3
TESTS += $(WALL_TESTS)
endif
