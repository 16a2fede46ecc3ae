# Fuzz targets of small inputs, with a stored corpus in tests/fuzz/corpus. make check tries all of it and some
# mutations; make fuzz-smoke tries mutations for 20 seconds of processor time each (FUZZ_SECONDS).
FUZZ_TARGETS = tests/fuzz/fuzz-json tests/fuzz/fuzz-time tests/fuzz/fuzz-sse tests/fuzz/fuzz-config tests/fuzz/fuzz-chat \
	tests/fuzz/fuzz-params tests/fuzz/fuzz-text tests/fuzz/fuzz-http
EXTRA_DIST += tests/fuzz/fuzz.h tests/fuzz/driver.c tests/fuzz/corpus tests/fuzz/test-corpus.sh
check_PROGRAMS += $(FUZZ_TARGETS)
if FUZZING
FUZZ_DRIVER =
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
FUZZ_DRIVER = tests/fuzz/driver.c
FUZZ_LINK = $(AM_LDFLAGS)
TESTS += tests/fuzz/test-corpus.sh
endif
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz-json.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_json_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_json_LDADD = $(CORE_LIBS)
tests_fuzz_fuzz_time_SOURCES = tests/fuzz/fuzz-time.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_time_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_time_LDADD = $(CORE_LIBS)
tests_fuzz_fuzz_sse_SOURCES = tests/fuzz/fuzz-sse.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_sse_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_sse_LDADD = $(LIB_LIBS)
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_config_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_config_LDADD = $(CORE_LIBS)
tests_fuzz_fuzz_chat_SOURCES = tests/fuzz/fuzz-chat.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_chat_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_chat_LDADD = $(CORE_LIBS)
tests_fuzz_fuzz_params_SOURCES = tests/fuzz/fuzz-params.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_params_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_params_LDADD = $(CORE_LIBS)
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz-text.c $(FUZZ_DRIVER) tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_fuzz_fuzz_text_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_text_LDADD = libtestmodel.a $(CORE_LIBS)
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz-http.c $(FUZZ_DRIVER)
tests_fuzz_fuzz_http_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_http_LDADD = $(LIB_LIBS)

# libFuzzer keeps what it finds new in build/fuzz/TARGET, and stops by itself.
FUZZ_SECONDS = 20
if FUZZING
run_target = mkdir -p fuzz/$$t && $$p -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=fuzz-$$t.input- fuzz/$$t
else
run_target = $$p --seconds $(FUZZ_SECONDS)
endif
fuzz-smoke: $(FUZZ_TARGETS)
	@for p in $(FUZZ_TARGETS); do \
		t=$${p##*/fuzz-}; echo "$$t:"; \
		$(run_target) $(top_srcdir)/tests/fuzz/corpus/$$t || exit; \
	done
.PHONY: fuzz-smoke
CLEANFILES += fuzz-*.input*
