# tests: plugin
TEST_PLUGIN_FILES = \
	tests/plugins/bad-magic.c tests/plugins/bad-name.c tests/plugins/crash.c \
	tests/plugins/huge-table.c tests/plugins/liar.c tests/plugins/minor-0.c \
	tests/plugins/no-entry.c tests/plugins/no-steps.c tests/plugins/no-submit.c \
	tests/plugins/no-version.c tests/plugins/null-entry.c \
	tests/plugins/options-deaf.c tests/plugins/options-default.c \
	tests/plugins/options-name.c tests/plugins/options-null.c \
	tests/plugins/options-range.c tests/plugins/options-stride.c \
	tests/plugins/options-twice.c tests/plugins/options-type.c \
	tests/plugins/recorder.c tests/plugins/short-table.c
TEST_PLUGINS = $(TEST_PLUGIN_FILES:.c=.so)
EXTRA_DIST += $(TEST_PLUGIN_FILES) tests/plugins/base.h
CLEANFILES += $(TEST_PLUGINS)

# One source file, one plugin; nothing but the public header.
SUFFIXES += .so
.c.so:
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) -I$(top_srcdir)/include $(CPPFLAGS) $(ORCD_CFLAGS) $(CFLAGS) \
		-fPIC -fvisibility=default $(ORCD_LDFLAGS) $(PLUGIN_LDFLAGS) $(LDFLAGS) -o $@ $<

if HAVE_CMOCKA
check_PROGRAMS += tests/plugins/test-host
TESTS += tests/plugins/test-host
RIG_SOURCES = tests/plugins/rig.c tests/plugins/rig.h
tests_plugins_test_host_SOURCES = tests/plugins/test-host.c $(RIG_SOURCES)
tests_plugins_test_host_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_host_LDADD = $(TEST_LIBS)
EXTRA_tests_plugins_test_host_DEPENDENCIES = $(TEST_PLUGINS)

# The mock as it was built against minor 0.
check_PROGRAMS += tests/plugins/mock-minor-0.so tests/plugins/test-mock
TESTS += tests/plugins/test-mock
tests_plugins_mock_minor_0_so_SOURCES = $(MOCK_SOURCES)
tests_plugins_mock_minor_0_so_CPPFLAGS = $(AM_CPPFLAGS) -DMOCK_MINOR=0
tests_plugins_mock_minor_0_so_CFLAGS = $(AM_CFLAGS) -fPIC
tests_plugins_mock_minor_0_so_LDFLAGS = $(plugins_mock_so_LDFLAGS)
tests_plugins_mock_minor_0_so_LDADD = -lm
tests_plugins_test_mock_SOURCES = tests/plugins/test-mock.c $(RIG_SOURCES)
tests_plugins_test_mock_CFLAGS = $(TEST_CFLAGS)
tests_plugins_test_mock_LDADD = $(TEST_LIBS)
endif

# The contract itself.
check_PROGRAMS += tests/abi/print-abi tests/plugins/say
tests_abi_print_abi_SOURCES = tests/abi/print-abi.c
tests_plugins_say_SOURCES = tests/plugins/say.c tests/plugins/rig.c tests/plugins/rig.h
tests_plugins_say_LDADD = $(CORE_LIBS)
TESTS += tests/abi/test-header.sh tests/abi/test-old-plugins.sh tests/plugins/test-manual.sh
EXTRA_DIST += tests/abi/test-header.sh tests/abi/test-old-plugins.sh tests/plugins/test-manual.sh \
	tests/abi/test-abi.py tests/abi/plugin-abi.txt tests/abi/README.md docs/plugins.md \
	man/orcd-plugin.pod
if HAVE_PYTHON3
TESTS += tests/abi/test-abi.py
endif

.PHONY: check-abi update-abi
check-abi:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='tests/abi/test-abi.py tests/abi/test-header.sh'
update-abi: tests/abi/print-abi$(EXEEXT)
	ORCD_SRCDIR=$(abs_top_srcdir) ORCD_BUILDDIR=$(abs_top_builddir) \
		$(PYTHON3) $(srcdir)/tests/abi/test-abi.py --update
