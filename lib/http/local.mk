liborcd_a_SOURCES += \
	lib/http/body.c lib/http/body.h \
	lib/http/codes.c lib/http/codes.h \
	lib/http/conn.c lib/http/conn.h \
	lib/http/cors.c lib/http/cors.h \
	lib/http/direct.c lib/http/direct.h \
	lib/http/error.c lib/http/error.h \
	lib/http/exchange.c lib/http/exchange.h lib/http/exchange-internal.h \
	lib/http/gate.c lib/http/gate.h \
	lib/http/guess.c lib/http/guess.h \
	lib/http/intake.c lib/http/intake.h \
	lib/http/json-in.c lib/http/json-in.h \
	lib/http/keys.c lib/http/keys.h \
	lib/http/limits.h \
	lib/http/listen.c lib/http/listen.h \
	lib/http/loop.c lib/http/loop.h \
	lib/http/peer.c lib/http/peer.h \
	lib/http/refuse.c lib/http/refuse.h \
	lib/http/routes.c lib/http/routes.h \
	lib/http/server.c lib/http/server.h lib/http/server-internal.h \
	lib/http/service.h \
	lib/http/share.c lib/http/share.h \
	lib/http/stream.c lib/http/stream.h \
	lib/http/wake.c lib/http/wake.h
