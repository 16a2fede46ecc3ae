# Leaf sources that plugins compile too (they can't link libcore.a: it is not PIC).
QUANT_TYPES_SOURCES = core/model/quant-types.c core/model/quant-types.h core/model/quant-codec.h \
	core/model/quant-decode.c core/model/quant-decode-k.c core/model/quant-encode.c core/model/quant-encode-k.c

libcore_a_SOURCES += $(QUANT_TYPES_SOURCES) \
	core/model/gguf.c core/model/gguf.h core/model/gguf-internal.h \
	core/model/gguf-parse.c core/model/gguf-value.c core/model/gguf-index.c core/model/gguf-split.c \
	core/model/model.c core/model/model.h core/model/model-internal.h \
	core/model/model-arch.c core/model/model-hparams.c core/model/model-rope.c core/model/model-window.c core/model/model-experts.c \
	core/model/model-scales.c \
	core/model/model-tensors.c \
	core/model/model-kind.c
EXTRA_DIST += docs/formats.md
include core/model/tokenizer.mk
