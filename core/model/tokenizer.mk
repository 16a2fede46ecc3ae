libcore_a_SOURCES += \
	core/model/tokenizer.c core/model/tokenizer.h core/model/tokenizer-internal.h \
	core/model/tokenizer-load.c core/model/tokenizer-merges.c core/model/tokenizer-mark.c \
	core/model/tokenizer-encode.c core/model/tokenizer-merge.c \
	core/model/tokenizer-special.c core/model/tokenizer-decode.c \
	core/model/tokenizer-pre.c core/model/tokenizer-pre.h core/model/tokenizer-pre-table.c \
	core/model/tokenizer-scan.c core/model/tokenizer-scan.h \
	core/model/tokenizer-regex.c core/model/tokenizer-regex.h \
	core/model/tokenizer-map.c core/model/tokenizer-map.h \
	core/model/tokenizer-json.c core/model/tokenizer-json.h core/model/tokenizer-json-pre.c \
	core/model/tokenizer-json-vocab.c \
	core/model/unicode-tables.c core/model/unicode.h \
	core/model/unicode-nfc.c core/model/unicode-nfc.h core/model/unicode-nfc-tables.c
EXTRA_DIST += tools/gen-unicode tools/gen-unicode-nfc
