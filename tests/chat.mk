# tests: chat
if HAVE_CMOCKA
CHAT_TESTS = tests/unit/test-chat tests/unit/test-chat-recognize tests/unit/test-chat-split
check_PROGRAMS += $(CHAT_TESTS)
TESTS += $(CHAT_TESTS)
tests_unit_test_chat_SOURCES = tests/unit/test-chat.c tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_unit_test_chat_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chat_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_chat_recognize_SOURCES = tests/unit/test-chat-recognize.c tests/lib/vocab-writer.c \
	tests/lib/vocab-writer.h
tests_unit_test_chat_recognize_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chat_recognize_LDADD = libtestmodel.a $(TEST_LIBS)
tests_unit_test_chat_split_SOURCES = tests/unit/test-chat-split.c tests/lib/vocab-writer.c tests/lib/vocab-writer.h
tests_unit_test_chat_split_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chat_split_LDADD = libtestmodel.a $(TEST_LIBS)
endif
EXTRA_DIST += tests/chat/expected.json tests/chat/make-expected.py
