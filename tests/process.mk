# tests: processes of ours and their signals
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-process
TESTS += tests/unit/test-process
tests_unit_test_process_SOURCES = tests/unit/test-process.c
tests_unit_test_process_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_process_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
endif
