# Writers of model files for tests: other rooms link libtestmodel.a.
check_LIBRARIES += libtestmodel.a
libtestmodel_a_SOURCES = tests/lib/gguf-writer.c tests/lib/gguf-writer.h
