# tests: http
http_api_tests = tests/api/test-gate.py tests/api/test-execute.py tests/api/test-abort.py tests/api/test-deadline.py \
	tests/api/test-access.py tests/api/test-limits.py tests/api/test-shares.py tests/api/test-health-change.py tests/api/test-cors.py tests/api/test-compat.py tests/api/test-keys.py tests/api/test-metrics.py tests/api/test-models.py tests/api/test-families.py \
	tests/api/test-seams.py tests/api/test-disconnect.py tests/api/test-disconnect-threads.py tests/api/test-vanish.py \
	tests/api/test-accounting.py tests/api/test-chat.py tests/api/test-openai.py tests/api/test-openai-client.py tests/api/test-clients.py \
	tests/api/test-channels.py tests/api/test-chat-hostile.py
if HAVE_PYTHON3
TESTS += $(http_api_tests)
endif
EXTRA_DIST += docs/http.md tests/api/lib/orcd_api.py tests/api/lib/script_model.py $(http_api_tests)
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-json-scan tests/unit/test-http-turns
TESTS += tests/unit/test-json-scan tests/unit/test-http-turns
tests_unit_test_http_turns_SOURCES = tests/unit/test-http-turns.c
tests_unit_test_http_turns_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_http_turns_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_json_scan_SOURCES = tests/unit/test-json-scan.c
tests_unit_test_json_scan_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_json_scan_LDADD = $(TEST_LIBS)
endif

# Loaded before the C library of a worker: moves its clock, holds its parser.
check_PROGRAMS += tests/seams.so
tests_seams_so_SOURCES = tests/lib/seams.c
tests_seams_so_CFLAGS = -fPIC -Wall -Wextra -Wshadow
tests_seams_so_LDFLAGS = -shared
tests_seams_so_LDADD = -ldl
