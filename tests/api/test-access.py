"""Who may ask what: keys, Host, routes and methods, correlation ids, and what must not leak."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import tempfile

SRCDIR = os.environ.get("ORCD_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KEY, OTHER = "k-" + "a" * 510, "the-second-key-is-short"
folder = tempfile.TemporaryDirectory()
key_file = os.path.join(folder.name, "keys")
with open(key_file, "w") as f:
    f.write(KEY + " role=admin\n" + OTHER + " role=admin\n")
os.chmod(key_file, 0o600)


def routes():
    """(method, path, flags) from the table in the source."""
    with open(os.path.join(SRCDIR, "core/api/route-table.c")) as f:
        rows = re.findall(r'\{"([A-Z]+)", "([^"]+)", ([A-Z_| 0]+),', f.read())
    check(len(rows) > 10, "the route table was not found")
    return rows


GUESSES_ARE_FAST = "http.wrong_key_delay_ms=0"
locked = Worker("http.api_keys_file=" + key_file, GUESSES_ARE_FAST)
w = Worker()
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO")


def concrete(path):
    return path + "some-id" if path.endswith("/") else path


@case("every route and method, with no key, a wrong one, the right one")
def _():
    known = {}
    for method, path, flags in routes():
        known.setdefault(path, {})[method] = flags
    for path, methods in known.items():
        is_open = any("ROUTE_OPEN" in f for f in methods.values())
        for method in METHODS:
            if path == "/v2/shutdown" and method == "POST":
                continue  # has a case of its own
            body = {} if method in ("POST", "PUT", "PATCH") else None
            allowed = method in methods or (method == "HEAD" and "GET" in methods)
            for key in (None, "wrong", KEY[:-1], KEY + "a", KEY, OTHER):
                r = locked.call(method, concrete(path), body, key=key)
                what = (method, path, key, r.status)
                if not is_open and key not in (KEY, OTHER):
                    equal(r.status, 401, what)
                    equal(r.headers["WWW-Authenticate"], "Bearer", what)
                elif not allowed:
                    equal(r.status, 405, what)
                    wanted = set(methods) | ({"HEAD"} if "GET" in methods else set())
                    equal(set(r.headers["Allow"].split(", ")), wanted, what)
                else:
                    check(r.status not in (401, 405), what)
                check(r.headers["X-Correlation-Id"], what)
                check(r.headers.get("Access-Control-Allow-Origin") is None, what)


@case("unknown routes are 401 without a key, 404 with one")
def _():
    for path in ("/nope", "/v2", "/", "/health/x", "/v2/jobs", "/v2/jobs/a/b", "/metrics/"):
        equal(locked.call("GET", path).status, 401, path)
        equal(locked.call("GET", path, key=KEY).code, "NOT_FOUND", path)
        equal(w.call("GET", path).code, "NOT_FOUND", path)


@case("how a key is presented")
def _():
    def status(value):
        return locked.call("GET", "/metrics", headers={"Authorization": value}).status
    for good in ("Bearer " + KEY, "bearer " + KEY, "BEARER  " + KEY, "Bearer " + KEY + " \t"):
        equal(status(good), 200, good)
    for bad in ("", "Bearer", "Bearer ", "Basic " + KEY, KEY, "Bearer \t" + KEY, "Bearer " + KEY + "," + OTHER, "Bearer " + "a" * 5000):
        equal(status(bad), 401, bad)
    equal(locked.raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + KEY.encode() + b"\r\nAuthorization: Bearer x\r\n\r\n")[9:12], b"400")


@case("who guesses keys does not fill the log: a line a second at most, with the address and never the key")
def _():
    with Worker("http.api_keys_file=" + key_file, GUESSES_ARE_FAST) as t:
        def lines():
            return [e for e in t.events() if e.get("message") == "a request without a valid API key"]

        sent = 0
        while not any(e.get("not_logged") for e in lines()):
            for method, path in ("GET", "/metrics"), ("GET", "/v2/model"), ("POST", "/v1/completions"):
                equal(t.call(method, path, headers={"Authorization": "Bearer guess-%d" % sent}).status, 401)
                sent += 1
        new = lines()
        check(len(new) < sent, (len(new), sent))
        check(all(re.fullmatch(r"127\.0\.0\.1:\d+", e["client"]) and e["level"] == "warn" for e in new), new)
        check(not any("guess" in line for line in t.lines if line), "a key is in the log")
        check(not [e for e in t.events() if e.get("code") == "UNAUTHORIZED"])


@case("shutdown needs configured keys, and one of them")
def _():
    equal(w.call("POST", "/v2/shutdown").status, 404)
    equal(locked.call("POST", "/v2/shutdown").status, 401)
    with Worker("http.api_keys_file=" + key_file) as t:
        r = t.call("POST", "/v2/shutdown", key=KEY)
        equal((r.status, r.json["status"]), (202, "shutting_down"))
        equal(t.process.wait(PATIENCE), 0)


@case("Host on loopback without keys")
def _():
    port = w.address[1]
    def status(worker, host):
        return parse_response(worker.raw(b"GET /v2/model HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n"))
    for good in ("localhost", "LOCALHOST", "localhost:%d" % port, "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8001"):
        equal(status(w, good).status, 200, good)
    for bad in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:", "localhost:x", "127.0.0.2", "[::2]", "", "0.0.0.0", "127.0.0.1:80:80"):
        r = status(w, bad)
        equal((r.status, json.loads(r.body)["error"]["code"]), (403, "FORBIDDEN_HOST"), bad)
    # With keys a name of the machine is fine: a page that was rebound knows no key.
    equal(status(locked, "gpu1.example").status, 401)


@case("beyond loopback without keys it does not start, and says what to do")
def _():
    def start(*settings):
        argv = [ORCD, "serve", "--plugin", "mock", "--listen", "0.0.0.0:0"]
        for s in settings:
            argv += ["--set", s]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    p = start()
    out = p.communicate(timeout=PATIENCE)[1].decode()
    check(p.returncode != 0)
    check("http.api_keys_file" in out and "http.allow_unauthenticated" in out, out)
    with Worker("http.allow_unauthenticated=true", listen="0.0.0.0:0") as t:
        equal(t.call("GET", "/v2/model").status, 200)
    with Worker("http.api_keys_file=" + key_file, listen="0.0.0.0:0") as t:
        equal(t.call("GET", "/v2/model").status, 401)


@case("a port in use is an error, also with several loops")
def _():
    for threads in (1, 3):
        for mine in (1, 3):
            with Worker("http.threads=%d" % mine) as t:
                p = subprocess.run([ORCD, "serve", "--plugin", "mock", "--listen", "127.0.0.1:%d" % t.address[1], "--set", "http.threads=%d" % threads],
                                   stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
                check(p.returncode != 0)
                check(b"in use" in p.stderr, p.stderr)


@case("correlation ids: a good one is kept, others are replaced, one log line each")
def _():
    uuid = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
    for good in ("a", "x" * 64, "A-b_c.9"):
        equal(w.call("GET", "/health", headers={"X-Correlation-Id": good}).headers["X-Correlation-Id"], good)
    seen = set()
    for bad in ("", "x" * 65, "a b", "a;b", "x" * 4096, "ä", "a/b"):
        got = w.call("GET", "/health", headers={"X-Correlation-Id": bad.encode().decode("latin-1")}).headers["X-Correlation-Id"]
        check(uuid.match(got), got)
        seen.add(got)
    equal(len(seen), 7)
    for byte in (b"\r", b"\n", b"\0", b"\x1b"):
        data = w.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Correlation-Id: a" + byte + b"Set-Cookie: x\r\nConnection: close\r\n\r\n")
        head = data.split(b"\r\n\r\n")[0]
        check(b"Set-Cookie" not in head, data)
    for i, value in enumerate(("ok-1", "bad id", "x" * 4096)):
        r = w.execute(job_id="log%d" % i, stream=False, params={"max_tokens": 1}, headers={"X-Correlation-Id": value})
        e = w.wait_log(lambda e: e.get("job_id") == "log%d" % i)
        equal(e["correlation_id"], r.headers["X-Correlation-Id"])
        equal(r.json["correlation_id"], r.headers["X-Correlation-Id"])
        equal(len([1 for e in w.events() if e.get("job_id") == "log%d" % i]), 1)


@case("errors, metrics, health and the log tell no prompt, no path, no key")
def _():
    secret = "zanzibar-secret"
    with Worker("http.api_keys_file=" + key_file, "log.level=debug") as t:
        said = b""
        for fields in ({"prompt": secret}, {"prompt": secret, "foo": secret + "x"}, {"prompt": secret, "params": {"top_p": 3}},
                       {"prompt": secret * 2000}, {"prompt": secret, "model_ref": "../" + "etc/passwd"}, {"prompt": secret, "params": {"stop": secret}}):
            fields.update(job_id="j", stream=False)
            r = t.call("POST", "/v2/execute", fields, key=KEY)
            if r.status != 200 and "foo" not in fields:
                said += r.body
        said += t.call("POST", "/v2/execute", ('{"prompt":"%s"' % secret).encode(), key=KEY).body
        said += t.call("GET", "/metrics", key=KEY).body + t.call("GET", "/health").body + t.call("GET", "/v2/model", key=KEY).body
        said += t.call("GET", "/" + secret, key="wrong-key-7").body
        t.stop()
        said += "\n".join(l for l in t.lines if l).encode()
        for word in (secret, KEY, OTHER, "wrong-key-7", "passwd"):
            check(word.encode() not in said, word)


@case("a job of another key: 404, as one that nobody knows; its id is free")
def _():
    clients = os.path.join(folder.name, "clients")
    with open(clients, "w") as f:
        f.write(KEY + "\n" + OTHER + "\n")
    os.chmod(clients, 0o600)
    with Worker("http.api_keys_file=" + clients, token_ms=10) as t:
        def cancel(job, key):
            by_body = t.call("POST", "/v2/cancel", {"job_id": job}, key=key)
            by_path = t.call("DELETE", "/v2/jobs/" + job, key=key)
            equal(by_body.status, by_path.status)
            by_body.json["error"].pop("correlation_id") if by_body.status == 404 else None
            return by_body.status, by_body.json.get("status") or by_body.json["error"]["message"]
        params = {"max_tokens": 4000, "ignore_eos": True}
        unknown = cancel("never", OTHER)
        equal(unknown[0], 404)
        mine = t.stream(job_id="mine", key=KEY, params=params).open()
        equal(mine.event()[0], "started")
        equal(cancel("mine", OTHER), unknown)
        equal(t.call("POST", "/v2/cancel", {"job_id": "mine"}).status, 401)
        theirs = t.stream(job_id="mine", key=OTHER, params=params).open()  # no 409, which would tell
        equal(theirs.event()[0], "started")
        equal(t.execute(job_id="mine", key=KEY).status, 409)
        equal(t.execute(job_id="mine", key=OTHER).status, 409)
        equal(cancel("mine", OTHER)[0], 202)
        equal(theirs.rest()[-1][2]["code"], "CANCELLED")
        equal(mine.event()[0], "token")  # goes on
        equal(cancel("mine", OTHER), (202, "finished"))
        equal(cancel("mine", KEY)[0], 202)
        equal(mine.rest()[-1][2]["code"], "CANCELLED")
        equal(cancel("mine", KEY), (202, "finished"))
        mine.close(), theirs.close()


@case("a unix socket has its mode and group before anybody can connect")
def _():
    import grp
    import stat
    mine = grp.getgrgid(os.getegid()).gr_name
    for settings, mode in ((), 0o660), (("http.socket_mode=0600", "http.socket_group=" + mine), 0o600), (("http.socket_mode=666",), 0o666):
        path = os.path.join(folder.name, "s")
        mask = os.umask(0o077)
        try:
            with Worker(*settings, listen="unix:" + path) as t:
                equal(stat.S_IMODE(os.stat(path).st_mode), mode, settings)
                equal(os.stat(path).st_gid, os.getegid())
                equal(t.call("GET", "/v2/model").status, 200)
        finally:
            os.umask(mask)
        check(not os.path.exists(path))
    for setting, says in ("http.socket_group=no-such-group", b"no-such-group"), ("http.socket_mode=0888", b"octal"):
        p = subprocess.run([ORCD, "serve", "--plugin", "mock", "--listen", "unix:" + path, "--set", setting],
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        check(p.returncode != 0 and says in p.stderr and not os.path.exists(path), p.stderr)


@case("the workers end cleanly")
def _():
    equal(w.stop(), 0)
    equal(locked.stop(), 0)
    folder.cleanup()


main()
