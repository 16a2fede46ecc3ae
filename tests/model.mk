# Writers of model files for tests: other rooms link $(TEST_MODEL_LIBS).
TEST_MODEL_SOURCES = tests/lib/gguf-writer.c tests/lib/gguf-writer.h tests/lib/model-plan.c tests/lib/model-plan.h \
	tests/lib/plan-fill.c tests/lib/synth-vocab.c tests/lib/synth-vocab.h
check_LIBRARIES += libtestmodel.a
libtestmodel_a_SOURCES = $(TEST_MODEL_SOURCES) tests/lib/gguf-edit.c tests/lib/gguf-edit.h \
	tests/lib/consume.c tests/lib/consume.h
TEST_MODEL_LIBS = libtestmodel.a $(CORE_LIBS)

if HAVE_CMOCKA
MODEL_TESTS = tests/model/test-gguf tests/model/test-quant tests/model/test-model tests/model/test-mutate tests/model/test-plan
check_PROGRAMS += $(MODEL_TESTS)
TESTS += $(MODEL_TESTS)
tests_model_test_gguf_SOURCES = tests/model/test-gguf.c
tests_model_test_gguf_CFLAGS = $(TEST_CFLAGS)
tests_model_test_gguf_LDADD = $(TEST_MODEL_LIBS) $(CMOCKA_LIBS)
tests_model_test_quant_SOURCES = tests/model/test-quant.c
tests_model_test_quant_CFLAGS = $(TEST_CFLAGS)
tests_model_test_quant_LDADD = $(TEST_MODEL_LIBS) $(CMOCKA_LIBS)
tests_model_test_model_SOURCES = tests/model/test-model.c
tests_model_test_model_CFLAGS = $(TEST_CFLAGS)
tests_model_test_model_LDADD = $(TEST_MODEL_LIBS) $(CMOCKA_LIBS)
tests_model_test_mutate_SOURCES = tests/model/test-mutate.c
tests_model_test_mutate_CFLAGS = $(TEST_CFLAGS)
tests_model_test_mutate_LDADD = $(TEST_MODEL_LIBS) $(CMOCKA_LIBS)
tests_model_test_plan_SOURCES = tests/model/test-plan.c
tests_model_test_plan_CFLAGS = $(TEST_CFLAGS)
tests_model_test_plan_LDADD = libtestmodel.a $(ORACLE_LIBS) $(CMOCKA_LIBS)
endif

# Fuzzing: CC=clang ../configure --enable-fuzzing
EXTRA_DIST += tests/fuzz/fuzz-gguf.c tests/fuzz/make-corpus.c
if FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-gguf tests/fuzz/make-corpus
tests_fuzz_fuzz_gguf_SOURCES = tests/fuzz/fuzz-gguf.c tests/lib/consume.c
tests_fuzz_fuzz_gguf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_gguf_LDADD = libcore.a liborcd.a
tests_fuzz_make_corpus_SOURCES = tests/fuzz/make-corpus.c $(TEST_MODEL_SOURCES)
tests_fuzz_make_corpus_CFLAGS = $(AM_CFLAGS)
tests_fuzz_make_corpus_LDADD = libcore.a liborcd.a
endif
