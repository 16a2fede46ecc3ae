libcore_a_SOURCES += \
	lib/http/server.c lib/http/server.h lib/http/internal.h \
	lib/http/listen.c lib/http/loop.c lib/http/wake.c lib/http/wake.h lib/http/conn.c lib/http/conn.h \
	lib/http/refuse.c lib/http/refuse.h lib/http/exchange.c lib/http/stream.c lib/http/direct.c \
	lib/http/gate.c lib/http/routes.c lib/http/routes.h lib/http/service.h \
	core/http/api.c core/http/api.h core/http/error-openai.c core/http/error-openai.h lib/http/intake.c \
	core/http/sse.c core/http/sse.h \
	core/http/choice.c core/http/dialect.h core/http/answer-native.c \
	core/http/api-native.c core/http/api-native.h core/http/params.c core/http/params.h \
	core/http/params-internal.h core/http/params-openai.c core/http/params-openai.h \
	core/http/api-openai.c core/http/api-openai.h core/http/answer-openai.c core/http/answer-openai.h \
	core/http/answer-completions.c core/http/answer-chat.c \
	core/http/params-chat.c core/http/params-chat.h core/http/params-openai-chat.c
