# tests: http
http_api_tests = tests/api/test-gate.py tests/api/test-execute.py tests/api/test-abort.py \
	tests/api/test-access.py tests/api/test-limits.py tests/api/test-metrics.py tests/api/test-models.py
if HAVE_PYTHON3
TESTS += $(http_api_tests)
endif
EXTRA_DIST += tests/api/lib/orcd_api.py $(http_api_tests)
