libcore_a_SOURCES += \
	core/chat/chat.h core/chat/chat-internal.h \
	core/chat/family.c core/chat/canonical.c core/chat/recognize.c core/chat/template.c \
	core/chat/text.c core/chat/render.c core/chat/render-chatml.c core/chat/render-turns.c \
	core/chat/render-inst.c core/chat/render-harmony.c core/chat/split.c
EXTRA_DIST += docs/chat.md
