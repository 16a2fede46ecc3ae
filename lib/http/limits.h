/* What a client may send and hold, in bytes and numbers; docs/http.md says why. */
#ifndef ORCD_HTTP_LIMITS_H
#define ORCD_HTTP_LIMITS_H

#define HTTP_MAX_LOOPS 64
#define HTTP_INLINE_BODY_BYTES (16u * 1024) /* larger ones are parsed by the intake threads */
#define HTTP_DRAIN_BYTES (64u * 1024)       /* read of a refused body, to keep the connection */
#define HTTP_SPARE_CONNECTIONS 64           /* beyond the limit, for /health and holders of keys */
#define HTTP_HEAD_BYTES (16u * 1024)
#define HTTP_URI_BYTES 2048
#define HTTP_MAX_HEADERS 100
#define HTTP_KEY_BYTES 513 /* an API key, zero-padded */
#define HTTP_CORRELATION_MAX 64

#endif
