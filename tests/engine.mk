# tests: engine
if HAVE_CMOCKA
engine_tests = tests/test-engine tests/test-engine-abort tests/test-engine-races \
	tests/test-engine-pipeline tests/test-engine-two tests/test-engine-abort-two tests/test-engine-races-two \
	tests/test-check
check_PROGRAMS += $(engine_tests)
TESTS += $(engine_tests)
engine_harness = tests/lib/engine-harness.c tests/lib/engine-harness.h \
	tests/lib/fake-backend.c tests/lib/fake-backend.h
tests_test_engine_SOURCES = tests/unit/test-engine.c $(engine_harness)
tests_test_engine_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_LDADD = $(TEST_LIBS)
tests_test_engine_abort_SOURCES = tests/unit/test-engine-abort.c $(engine_harness)
tests_test_engine_abort_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_abort_LDADD = $(TEST_LIBS)
tests_test_engine_races_SOURCES = tests/unit/test-engine-races.c $(engine_harness)
tests_test_engine_races_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_races_LDADD = $(TEST_LIBS)
# The same over two steps in flight.
tests_test_engine_two_SOURCES = $(tests_test_engine_SOURCES)
tests_test_engine_two_CPPFLAGS = $(tests_test_engine_CPPFLAGS) -DHARNESS_TWO_STEPS
tests_test_engine_two_LDADD = $(TEST_LIBS)
tests_test_engine_abort_two_SOURCES = $(tests_test_engine_abort_SOURCES)
tests_test_engine_abort_two_CPPFLAGS = $(tests_test_engine_CPPFLAGS) -DHARNESS_TWO_STEPS
tests_test_engine_abort_two_LDADD = $(TEST_LIBS)
tests_test_engine_races_two_SOURCES = $(tests_test_engine_races_SOURCES)
tests_test_engine_races_two_CPPFLAGS = $(tests_test_engine_CPPFLAGS) -DHARNESS_TWO_STEPS
tests_test_engine_races_two_LDADD = $(TEST_LIBS)
tests_test_engine_pipeline_SOURCES = tests/unit/test-engine-pipeline.c $(engine_harness)
tests_test_engine_pipeline_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_pipeline_LDADD = $(TEST_LIBS)
tests_test_check_SOURCES = tests/unit/test-check.c
tests_test_check_LDADD = $(TEST_LIBS)
engine_tests += tests/test-engine-admission
tests_test_engine_admission_SOURCES = tests/unit/test-admission.c $(engine_harness)
tests_test_engine_admission_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_admission_LDADD = $(TEST_LIBS) -lm
engine_tests += tests/test-engine-granule
tests_test_engine_granule_SOURCES = tests/unit/test-granule.c $(engine_harness)
tests_test_engine_granule_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_test_engine_granule_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/test-predict tests/unit/test-outtext
TESTS += tests/unit/test-predict tests/unit/test-outtext
tests_unit_test_outtext_SOURCES = tests/unit/test-outtext.c tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_unit_test_outtext_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_outtext_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_predict_SOURCES = tests/unit/test-predict.c
tests_unit_test_predict_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_predict_LDADD = $(TEST_LIBS) -lm
endif
