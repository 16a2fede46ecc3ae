# tests: tokenizer
check_PROGRAMS += tests/unit/tokenizer-probe
tests_unit_tokenizer_probe_SOURCES = tests/unit/tokenizer-probe.c
tests_unit_tokenizer_probe_LDADD = $(CORE_LIBS)

dist_check_SCRIPTS += tests/tokenizer/test-pretokenizers.py tests/tokenizer/test-merges.py \
	tests/tokenizer/test-hf-json.py
EXTRA_DIST += tests/tokenizer/probe.py tests/tokenizer/expressions.py tests/tokenizer/tokjson.py tests/tokenizer/texts.py tests/tokenizer/gguf.py tests/tokenizer/trained.py \
	tests/lib/vocab-writer.c tests/lib/vocab-writer.h
if HAVE_PYTHON3
TESTS += tests/tokenizer/test-hf-json.py tests/tokenizer/test-pretokenizers.py tests/tokenizer/test-merges.py
endif

if HAVE_CMOCKA
TOKENIZER_TESTS = tests/unit/test-tokenizer tests/unit/test-tokenizer-hostile tests/unit/test-tokenizer-files \
	tests/unit/test-tokenizer-json tests/unit/test-pretokenizer
check_PROGRAMS += $(TOKENIZER_TESTS)
TESTS += $(TOKENIZER_TESTS)
tests_unit_test_tokenizer_SOURCES = tests/unit/test-tokenizer.c tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_unit_test_tokenizer_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tokenizer_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_tokenizer_hostile_SOURCES = tests/unit/test-tokenizer-hostile.c \
	tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_unit_test_tokenizer_hostile_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tokenizer_hostile_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_tokenizer_json_SOURCES = tests/unit/test-tokenizer-json.c
tests_unit_test_tokenizer_json_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tokenizer_json_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_pretokenizer_SOURCES = tests/unit/test-pretokenizer.c
tests_unit_test_pretokenizer_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_pretokenizer_LDADD = $(TEST_LIBS)
tests_unit_test_tokenizer_files_SOURCES = tests/unit/test-tokenizer-files.c
tests_unit_test_tokenizer_files_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tokenizer_files_LDADD = $(TEST_LIBS)
endif

EXTRA_DIST += tests/fuzz/fuzz-tokenizer-json.c
if FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-tokenizer-json
tests_fuzz_fuzz_tokenizer_json_SOURCES = tests/fuzz/fuzz-tokenizer-json.c
tests_fuzz_fuzz_tokenizer_json_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_tokenizer_json_LDADD = $(CORE_LIBS)
endif
