libcore_a_SOURCES += \
	core/http/server.c core/http/server.h core/http/internal.h \
	core/http/listen.c core/http/loop.c core/http/wake.c core/http/wake.h core/http/conn.c core/http/conn.h \
	core/http/refuse.c core/http/refuse.h core/http/exchange.c core/http/stream.c core/http/direct.c \
	core/http/gate.c core/http/routes.c core/http/routes.h core/http/service.h \
	core/http/api.c core/http/api.h core/http/error-openai.c core/http/error-openai.h core/http/intake.c \
	core/http/sse.c core/http/sse.h \
	core/http/choice.c core/http/dialect.h core/http/answer-native.c \
	core/http/api-native.c core/http/api-native.h core/http/params.c core/http/params.h \
	core/http/params-internal.h core/http/params-openai.c core/http/params-openai.h \
	core/http/api-openai.c core/http/api-openai.h core/http/answer-openai.c core/http/answer-openai.h \
	core/http/answer-completions.c core/http/answer-chat.c \
	core/http/params-chat.c core/http/params-chat.h core/http/params-openai-chat.c
