# Tests run each in its own process through automake's TAP driver; skip is 77.
TEST_EXTENSIONS = .py .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
PY_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_DRIVER = $(LOG_DRIVER)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/lib/run-test
PY_LOG_COMPILER = $(LOG_COMPILER) --python $(PYTHON3)
SH_LOG_COMPILER = $(LOG_COMPILER) $(SHELL)
if SANITIZED
sanitized_environment = ORCD_TEST_SANITIZED=1; export ORCD_TEST_SANITIZED;
endif
AM_TESTS_ENVIRONMENT = $(sanitized_environment) \
	ORCD="$(abs_top_builddir)/orcd"; export ORCD; \
	ORCD_SRCDIR="$(abs_top_srcdir)"; export ORCD_SRCDIR; \
	ORCD_BUILDDIR="$(abs_top_builddir)"; export ORCD_BUILDDIR; \
	ORCD_PLUGINS="$(abs_top_builddir)/plugins"; export ORCD_PLUGINS; \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT;
EXTRA_DIST += tests/lib/run-test tests/python-packages.txt tests/python-clients.txt
TEST_LIBS = $(CORE_LIBS) $(CMOCKA_LIBS)
TEST_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)

# Tests start in this order: groups with long ones come first, so that none of these runs on alone at the end.
include tests/tokenizer.mk
include tests/cuda.mk
include tests/gpu.mk
include tests/cpu.mk
include tests/oracle.mk
include tests/cuda-w.mk
include tests/cli.mk
include tests/model.mk
include tests/chat.mk
include tests/plugin.mk
include tests/sample.mk
include tests/engine.mk
include tests/http.mk
include tests/process.mk
include tests/bench.mk
include tests/fuzz.mk
include tests/walls.mk
include tests/scripts.mk

# What scripts/check --quick leaves out, as patterns of the shell: each takes 8 processor seconds or more, or minutes to
# compile.
SLOW_TESTS = tests/tokenizer/test-*.py | tests/cli/test-bench-ci.py | tests/cuda/test-*.sh \
	| tests/plugins/test-cpu-same | tests/plugins/test-cpu-oracle | tests/unit/test-cpu-kernels*-avx512 \
	| tests/cuda/test-cuda-* | tests/cuda/test-w-* | *-race

# Some of the tests, with those programs alone that they need. build-... only compiles.
#   check-quick    all but the slow ones, for scripts/check --quick
#   check-threads  those with threads of ours, which scripts/check runs under ThreadSanitizer
check-quick check-threads build-quick build-threads:
	@tests= programs=; \
	for t in $(TESTS); do \
		case $@:$$t in \
		*-quick:*) case $$t in $(SLOW_TESTS)) continue ;; esac ;; \
		*:*test-engine* | *:*test-http* | *:*test-health* | *:*test-job* | *:*/api/* | *:*/cli/*) ;; \
		*) continue ;; \
		esac; \
		tests="$$tests $$t"; \
	done; \
	for p in $(check_PROGRAMS); do \
		case " $(TESTS) " in *" $$p "*) case "$$tests " in *" $$p "*) ;; *) continue ;; esac ;; esac; \
		programs="$$programs $$p"; \
	done; \
	case $@ in build-*) tests= ;; esac; \
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$$tests" check_PROGRAMS="$$programs" check_LIBRARIES=
.PHONY: check-quick check-threads build-quick build-threads
