libcore_a_SOURCES += \
	core/api/answer-chat.c core/api/answer-completions.c core/api/answer-native.c \
	core/api/answer-openai.c core/api/answer-openai.h \
	core/api/api.c core/api/api.h \
	core/api/native.c core/api/native.h core/api/openai.c core/api/openai.h \
	core/api/choice.c core/api/compat.c core/api/compat.h \
	core/api/dialect.h core/api/error-openai.c core/api/error-openai.h core/api/events.c \
	core/api/generation.c core/api/generation.h \
	core/api/params.c core/api/params.h core/api/params-bias.c core/api/params-fields.c core/api/params-fields.h \
	core/api/params-chat.c core/api/params-chat.h \
	core/api/params-openai.c core/api/params-openai.h core/api/params-openai-chat.c \
	core/api/route-table.c \
	core/api/sse.c core/api/sse.h
