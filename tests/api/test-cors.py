"""Pages of other origins, keys in X-Api-Key, compressed bodies: what browsers' and libraries' clients need."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

PAGE = "https://chat.example.org"
KEY = "a-key-for-this-test-0123"


def key_file():
    f = tempfile.NamedTemporaryFile("w")
    f.write(KEY + "\n")
    f.flush()
    return f


def ask(t, origin, method="GET", path="/v1/models", **headers):
    head = {"Origin": origin, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return t.call(method, path, headers=head)


def preflight(t, origin, path="/v1/chat/completions"):
    return ask(t, origin, "OPTIONS", path, Access_Control_Request_Method="POST",
               Access_Control_Request_Headers="authorization,content-type")


def no_cors(r):
    check(not any(k.startswith("access-control") for k in r.headers), r.headers)


@case("off by default: no header, and OPTIONS is no method of a route")
def _():
    with Worker() as t:
        r = ask(t, PAGE)
        equal(r.status, 200)
        no_cors(r)
        r = preflight(t, PAGE)
        equal(r.status, 405)
        no_cors(r)


@case("an allowed origin: preflight without a key, then the request with one; others get nothing")
def _():
    with key_file() as f, Worker("http.cors_origins=http://localhost:3000, " + PAGE, "http.api_keys_file=" + f.name) as t:
        r = preflight(t, PAGE)
        equal((r.status, r.body), (204, b""))
        equal((r.headers["access-control-allow-origin"], r.headers["vary"]), (PAGE, "Origin"))
        check("POST" in r.headers["access-control-allow-methods"], r.headers)
        for name in "Authorization", "Content-Type", "X-Api-Key", "X-Deadline":
            check(name in r.headers["access-control-allow-headers"], name)
        check("access-control-allow-credentials" not in r.headers)
        r = ask(t, PAGE, Authorization="Bearer " + KEY)
        equal((r.status, r.headers["access-control-allow-origin"]), (200, PAGE))
        r = ask(t, PAGE)  # the page can read the error, too
        equal((r.status, r.headers["access-control-allow-origin"]), (401, PAGE))
        for other in "https://evil.example", PAGE + ".evil.example", PAGE + "/", "null", "HTTPS://CHAT.EXAMPLE.ORG":
            no_cors(ask(t, other, Authorization="Bearer " + KEY))
            no_cors(preflight(t, other))


@case("any origin: *, and never credentials; streams too")
def _():
    with Worker("http.cors_origins=*") as t:
        equal(preflight(t, PAGE).headers["access-control-allow-origin"], "*")
        s = t.stream(job_id="a", headers={"Origin": PAGE}, params={"max_tokens": 2}).open()
        equal(s.response.getheader("Access-Control-Allow-Origin"), "*")
        equal(s.response.getheader("Access-Control-Allow-Credentials"), None)
        s.rest()


@case("what is no origin is refused at the start, and named")
def _():
    import subprocess
    for bad in "chat.example.org", "https://", "https://a/b", "https://A.org", "https://*.org":
        p = subprocess.run([ORCD, "serve", "--plugin", "mock", "--listen", "127.0.0.1:0", "--set", "http.cors_origins=" + bad],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
        check(p.returncode not in (0, None) and "http.cors_origins" in p.stderr.decode(), (bad, p.returncode, p.stderr))


@case("X-Api-Key is a key as Authorization is; where both are sent, Authorization counts")
def _():
    with key_file() as f, Worker("http.api_keys_file=" + f.name) as t:
        def status(**headers):
            return t.call("GET", "/v1/models", headers={k.replace("_", "-"): v for k, v in headers.items()}).status
        equal(status(X_Api_Key=KEY), 200)
        equal(status(X_Api_Key=KEY + " "), 200)
        equal(status(X_Api_Key="wrong-key"), 401)
        equal(status(X_Api_Key=KEY, Authorization="Bearer wrong"), 401)
        equal(status(X_Api_Key="wrong", Authorization="Bearer " + KEY), 200)


@case("a compressed body is 415 and says so; identity is no compression")
def _():
    with Worker() as t:
        def send(coding):
            return t.call("POST", "/v2/execute", {"job_id": "a", "prompt": "x", "stream": False, "params": {"max_tokens": 1}},
                          headers={"Content-Encoding": coding})
        for coding in "gzip", "deflate", "br":
            r = send(coding)
            equal((r.status, r.code), (415, "UNSUPPORTED_MEDIA_TYPE"))
            check("Content-Encoding: " + coding in r.json["error"]["message"], r.body)
        equal(send("identity").status, 200)


@case("a refused Host says which setting helps")
def _():
    with Worker() as t:
        r = t.call("GET", "/v1/models", headers={"Connection": "close"})
        equal(r.status, 200)
        r = parse_response(t.raw(b"GET /v2/model HTTP/1.1\r\nHost: my-machine.lan:8001\r\nConnection: close\r\n\r\n"))
        equal((r.status, r.code), (403, "FORBIDDEN_HOST"))
        check("http.api_keys_file" in r.json["error"]["message"], r.body)


main()
