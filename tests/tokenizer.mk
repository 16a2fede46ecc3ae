# tests: tokenizer
check_PROGRAMS += tests/unit/tokenizer-probe
tests_unit_tokenizer_probe_SOURCES = tests/unit/tokenizer-probe.c
tests_unit_tokenizer_probe_LDADD = $(CORE_LIBS)
