"""The gate: heads and bodies that must not get through, by raw sockets."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import struct

w = Worker("http.request_read_ms=700", "http.max_body_kb=64")
OVER_THE_CAP = "request body exceeds the limit of 65536 bytes"
GOOD = b'{"job_id":"g%d","prompt":"hi","stream":false,"params":{"max_tokens":1}}'
count = 0


def good_body():
    global count
    count += 1
    return GOOD % count


def canary():
    r = w.call("POST", "/v2/execute", good_body())
    equal(r.status, 200, "canary")


def refused(data, status=400, code="INVALID_REQUEST", ours=True):
    """That status, our error body, and then the end of the connection."""
    r = parse_response(w.raw(data))
    equal(r.status, status, r.body)
    if ours:
        equal(json.loads(r.body)["error"]["code"], code)
        check(r.headers.get("x-correlation-id"), "no correlation id")
    equal(r.headers.get("connection", "").lower(), "close")
    canary()
    return r


def post(headers, body=b"", version=b"HTTP/1.1", path=b"/v2/execute"):
    return b"POST " + path + b" " + version + b"\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers + b"\r\n" + body


@case("a plain request passes, twice on one connection")
def _():
    with w.connect() as s:
        for _ in range(2):
            s.sendall(request("POST", "/v2/execute", good_body()))
            equal(read_response(s).status, 200)


@case("white space behind a header's value is no part of it; of lengths and codings it is refused")
def _():
    head = {"Host": "localhost", "Content-Type": "application/json", "X-Deadline": "2099-01-01T00:00:00Z",
            "Request-Timeout-Ms": "100000", "X-Correlation-Id": "corr-1"}
    for name in head:
        lines = ["%s: %s%s\r\n" % (k, v, " \t" if k == name else "") for k, v in head.items()]
        body = good_body()
        body = json.dumps(body).encode() if not isinstance(body, bytes) else body
        data = "POST /v2/execute HTTP/1.1\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n" % ("".join(lines), len(body))
        r = parse_response(w.raw(data.encode() + body))
        equal((r.status, r.headers["x-correlation-id"]), (200, "corr-1"), name)
    refused(post(b"Transfer-Encoding: chunked \r\n", b"0\r\n\r\n"))
    refused(post(b"Content-Length: 5 \r\n", b"abcde"), ours=False)


@case("two requests sent at once are answered in order")
def _():
    with w.connect() as s:
        s.sendall(request("GET", "/health/live") + request("GET", "/nope") + request("GET", "/health/live", headers={"Connection": "close"}))
        data = read_all(s)
        equal(re.findall(rb"HTTP/1.1 (\d+)", data), [b"200", b"404", b"200"])


@case("Transfer-Encoding together with Content-Length")
def _():
    refused(post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"))
    refused(post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"))


@case("Transfer-Encoding that is not chunked, or comes twice")
def _():
    for coding in (b"xchunked", b"gzip, chunked", b"identity", b"chunked, chunked", b"", b"chunked;q=1", b"\"chunked\""):
        refused(post(b"Transfer-Encoding: " + coding + b"\r\n", b"0\r\n\r\n"))
    refused(post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"))


@case("Transfer-Encoding in HTTP/1.0")
def _():
    refused(post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"HTTP/1.0"))


@case("Content-Length twice, the same or not")
def _():
    body = good_body()
    n = b"Content-Length: %d\r\n" % len(body)
    refused(post(n + n, body))
    refused(post(n + b"Content-Length: 1\r\n", body))


@case("Content-Length that is no number")
def _():
    for n in (b"-1", b"+5", b"0x10", b"1e2", b"5, 5", b"5 5"):
        r = parse_response(w.raw(post(b"Content-Length: " + n + b"\r\n", b"{}")))
        equal(r.status, 400, n)
    canary()


@case("Content-Length beyond 64 bits")
def _():
    r = parse_response(w.raw(post(b"Content-Length: 99999999999999999999999\r\n", b"{}")))
    equal(r.status, 413)
    canary()


@case("Host twice, missing, or malformed")
def _():
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    r = parse_response(w.raw(b"GET /health HTTP/1.1\r\n\r\n"))
    equal(r.status, 400)
    for host in (b"x/v1?", b"a b", b"user@localhost", b"localhost/"):
        refused(b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")


@case("a space before the colon, an empty or malformed header name")
def _():
    body = good_body()
    refused(post(b"Content-Length : %d\r\n" % len(body), body))
    refused(post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"))
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX(y): 1\r\n\r\n")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\n: 1\r\n\r\n")


@case("bare LF anywhere in the head")
def _():
    refused(b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\n\r\n")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\n")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n")
    refused(b"GET /health HTTP/1.1\nHost: localhost\n\n")


@case("NUL, CR and other control bytes in a header")
def _():
    for byte in (b"\0", b"\x01", b"\x1b", b"\x7f", b"\r"):
        refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a" + byte + b"b\r\n\r\n")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\0\r\nX-A: b\r\n\r\n")


@case("a folded header line")
def _():
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n")


@case("heads in many small pieces, with many headers, pass")
def _():
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-H%d: %s\r\n" % (i, b"v" * i) for i in range(60)) + b"Connection: close\r\n\r\n"
    with w.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(head), 7):
            s.sendall(head[i:i + 7])
        equal(parse_response(read_all(s)).status, 200)


@case("targets that are no path, NUL in the path")
def _():
    for target in (b"http://localhost/health", b"*", b"health", b"/health%00", b"/a%0", b"/a%zz", b"/\xc3\xa4"):
        refused(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    equal(parse_response(w.raw(b"GET /health\0/live HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 400)
    for target in (b"//health", b"/v2/../health", b"/%2e%2e/health", b"/health/"):
        r = parse_response(w.raw(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        equal((r.status, json.loads(r.body)["error"]["code"]), (404, "NOT_FOUND"), target)


@case("a query string is ignored")
def _():
    equal(w.call("GET", "/health/live?verbose=1&x=%41").status, 200)


@case("URI too long, head too large, too many headers")
def _():
    refused(b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "URI_TOO_LONG")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 17000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE")
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-H%d: v\r\n" % i for i in range(120)) + b"\r\n", 431, "HEADERS_TOO_LARGE")
    # Beyond the library's memory it answers itself.
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 40000 + b"\r\n\r\n", 431, ours=False)
    refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-H%d: v\r\n" % i for i in range(3000)) + b"\r\n", 431, ours=False)
    refused(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, ours=False)


@case("a body over the cap, announced")
def _():
    r = refused(post(b"Content-Length: 900000\r\n", b"{}"), 413, "PAYLOAD_TOO_LARGE")
    equal(json.loads(r.body)["error"]["message"], OVER_THE_CAP)
    refused(post(b"Content-Length: 900000\r\nExpect: 100-continue\r\n"), 413, "PAYLOAD_TOO_LARGE")


@case("a body a little over the cap is drained and the connection lives")
def _():
    with w.connect() as s:
        s.sendall(request("POST", "/v2/execute", b" " * 65537))
        r = read_response(s)
        equal(r.status, 413)
        s.close()
    canary()


@case("a body over the cap, chunked")
def _():
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    r = parse_response(w.raw(post(b"Transfer-Encoding: chunked\r\n", chunk * 20 + b"0\r\n\r\n")))
    equal((r.status, json.loads(r.body)["error"]["code"]), (413, "PAYLOAD_TOO_LARGE"))
    equal(json.loads(r.body)["error"]["message"], OVER_THE_CAP)
    canary()


@case("Expect: 100-continue gets its interim answer")
def _():
    body = good_body()
    with w.connect() as s:
        s.sendall(post(b"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n" % len(body)))
        got = b""
        while b"\r\n\r\n" not in got:
            got += s.recv(100)
        check(got.startswith(b"HTTP/1.1 100 "), got)
        s.sendall(body)
        equal(parse_response(read_all(s)).status, 200)


@case("a chunked body passes; one byte a chunk too")
def _():
    body = good_body()
    pieces = b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\n\r\n"
    r = parse_response(w.raw(post(b"Transfer-Encoding: chunked\r\nConnection: close\r\n", pieces)))
    equal(r.status, 200, r.body)


@case("malformed chunks")
def _():
    for chunk in (b"zz\r\nhi\r\n0\r\n\r\n", b"-1\r\nh\r\n", b"1;x\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n"):
        r = parse_response(w.raw(post(b"Transfer-Encoding: chunked\r\n", chunk)))
        check(r.status in (400, 413), (chunk, r.status))
    canary()


@case("a slow head ends with 408, absolute")
def _():
    with w.connect() as s:
        s.sendall(b"GET /health HTTP/1.1\r\n")
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < PATIENCE:
                s.sendall(b"X-A: 1\r\n")  # never idle
                s.settimeout(0.05)
                try:
                    if s.recv(1, socket.MSG_PEEK):
                        break
                except socket.timeout:
                    continue
        except OSError:
            pass
        s.settimeout(PATIENCE)
        r = parse_response(read_all(s))
        equal(r.status, 408)
        equal(json.loads(r.body)["error"]["code"], "REQUEST_TIMEOUT")
    canary()


@case("a slow body ends with 408")
def _():
    r = parse_response(w.raw(post(b"Content-Length: 100\r\n", b'{"job_id":')))
    equal(r.status, 408)
    canary()


@case("a second request on a connection that never ends its head ends with 408")
def _():
    with w.connect() as s:
        s.sendall(request("GET", "/health/live"))
        equal(read_response(s).status, 200)
        s.sendall(b"GET /hea")
        equal(parse_response(read_all(s)).status, 408)


@case("an idle connection between requests is left alone")
def _():
    with w.connect() as s, w.connect() as slow:
        s.sendall(request("GET", "/health/live"))
        equal(read_response(s).status, 200)
        slow.sendall(b"G")
        equal(parse_response(read_all(slow)).status, 408)  # that much time has passed
        s.sendall(request("GET", "/health/live"))
        equal(read_response(s).status, 200)


@case("busy connections that fall idle are left alone")
def _():
    kept = [w.connect() for _ in range(30)]
    for i in range(40):
        for s in kept:
            s.sendall(request("GET", "/health/live"))
        for s in kept:
            equal(read_response(s).status, 200)
    with w.connect() as slow:
        slow.sendall(b"G")
        equal(parse_response(read_all(slow)).status, 408)
    with w.connect() as slow:
        slow.sendall(b"G")
        equal(parse_response(read_all(slow)).status, 408)  # that much time has passed
    for s in kept:
        s.sendall(request("GET", "/health/live"))
        equal(read_response(s).status, 200)
        s.close()


@case("content types")
def _():
    for t in ("text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""):
        r = w.call("POST", "/v2/execute", good_body(), {"Content-Type": t})
        equal((r.status, r.code), (415, "UNSUPPORTED_MEDIA_TYPE"), t)
    for t in ("application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;x"):
        equal(w.call("POST", "/v2/execute", good_body(), {"Content-Type": t}).status, 200, t)


@case("HTTP/2 preface, TLS hello, garbage")
def _():
    for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500 + b"\n",
                 b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET /health\r\n\r\n", b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n"):
        w.raw(data, half_close=True)
    canary()


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
