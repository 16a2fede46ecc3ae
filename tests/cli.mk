# tests: configuration, the client and the command line
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-config tests/unit/test-config-given
TESTS += tests/unit/test-config tests/unit/test-config-given
tests_unit_test_config_SOURCES = tests/unit/test-config.c
tests_unit_test_config_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_config_LDADD = $(TEST_LIBS)
tests_unit_test_config_given_SOURCES = tests/unit/test-config-given.c
tests_unit_test_config_given_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_config_given_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
endif

# The client, for tests/cli/test-client.py.
check_PROGRAMS += tests/lib/client-probe
tests_lib_client_probe_SOURCES = tests/lib/client-probe.c
tests_lib_client_probe_LDADD = $(LIB_LIBS)

EXTRA_DIST += tests/cli/harness.py
cli_py_tests = tests/cli/test-docs.py tests/cli/test-config.py tests/cli/test-client.py tests/cli/test-start.py \
	tests/cli/test-run.py tests/cli/test-chat.py tests/cli/test-shutdown.py tests/cli/test-log.py tests/cli/test-loading.py \
	tests/cli/test-models.py tests/cli/test-bench-ci.py tests/cli/test-bench.py \
	tests/cli/test-soak.py tests/cli/test-tokenizer.py
EXTRA_DIST += $(cli_py_tests)
if HAVE_PYTHON3
TESTS += $(cli_py_tests)
endif
