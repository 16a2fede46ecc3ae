# tests: processes of ours, their signals and their log
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-process tests/unit/test-log
TESTS += tests/unit/test-process tests/unit/test-log
tests_unit_test_log_SOURCES = tests/unit/test-log.c
tests_unit_test_log_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_log_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_process_SOURCES = tests/unit/test-process.c
tests_unit_test_process_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_process_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
endif
