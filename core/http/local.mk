libcore_a_SOURCES += \
	core/http/answer-chat.c core/http/answer-completions.c core/http/answer-native.c \
	core/http/answer-openai.c core/http/answer-openai.h \
	core/http/api.c core/http/api.h \
	core/http/api-native.c core/http/api-native.h core/http/api-openai.c core/http/api-openai.h \
	core/http/choice.c \
	core/http/dialect.h core/http/error-openai.c core/http/error-openai.h core/http/events.c \
	core/http/generation.c core/http/generation.h \
	core/http/params.c core/http/params.h core/http/params-internal.h \
	core/http/params-chat.c core/http/params-chat.h \
	core/http/params-openai.c core/http/params-openai.h core/http/params-openai-chat.c \
	core/http/sse.c core/http/sse.h
