# plugins/common: what the cpu and the cuda plugin share. Each compiles these files for itself.
PLUGIN_COMMON_SOURCES = $(QUANT_TYPES_SOURCES) \
	plugins/common/batch.c plugins/common/batch.h plugins/common/carve.h plugins/common/parts.c plugins/common/parts.h \
	plugins/common/rope-freqs.c plugins/common/rope-freqs.h plugins/common/source.c plugins/common/source.h \
	plugins/common/util.c plugins/common/util.h
