"""Floods, exhaustion and slow clients: refused by us, recovered from, memory flat."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * 4096


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def until(what, fn):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if fn():
                return
        except OSError:
            pass
        check(time.monotonic() < end, what)


@case("busy connections at the cap: others get 503 from us, /health is served, and room comes back")
def _():
    with Worker("http.max_connections=20", "model.slots=20", token_ms=5) as t:
        busy = [t.stream(job_id="b%d" % i, params={"max_tokens": 4000, "ignore_eos": True}).open() for i in range(20)]
        for i in range(100):
            r = t.execute(job_id="more%d" % i)
            equal((r.status, r.code), (503, "TOO_MANY_CONNECTIONS"))
            check(r.headers["retry-after"])
            equal(t.call("GET", "/health/live").status, 200)
        spare = []
        for _ in range(64):  # they stay open, and are all that is accepted beyond the cap
            spare.append(t.connect())
            spare[-1].sendall(request("GET", "/health/live"))
            equal(read_response(spare[-1]).status, 200)
        equal(busy[0].event()[0], "started")  # who is in is still served
        for s in busy:
            s.close()
        until("no room comes back", lambda: t.execute(job_id="a", stream=False, params={"max_tokens": 1}).status == 200)
        for s in spare:
            s.close()


@case("at the cap the connection that was idle longest makes room")
def _():
    with Worker("http.max_connections=20") as t:
        kept = []
        for _ in range(20):
            kept.append(t.connect())
            kept[-1].sendall(request("GET", "/health/live"))
            equal(read_response(kept[-1]).status, 200)
        kept[0].sendall(request("GET", "/health/live"))  # now kept[1] is idle longest
        equal(read_response(kept[0]).status, 200)
        equal(t.execute(job_id="a", stream=False, params={"max_tokens": 1}).status, 200)
        equal(kept[1].recv(1), b"")
        for s in [kept[0]] + kept[2:]:
            s.sendall(request("GET", "/health/live"))
            equal(read_response(s).status, 200)
        for s in kept:
            s.close()


@case("out of file descriptors: answered, no spinning, recovers")
def _():
    with Worker(nofile=64) as t:
        kept, refused = [], 0
        for _ in range(90):
            s = t.connect()
            s.settimeout(PATIENCE)
            s.sendall(request("GET", "/health/live"))
            try:
                r = read_response(s)
            except (OSError, http.client.HTTPException):
                continue
            if r.status == 200:
                kept.append(s)
            else:
                equal((r.status, r.code), (503, "TOO_MANY_CONNECTIONS"))
                refused += 1
                s.close()
        check(refused > 10 and len(kept) > 10, (refused, len(kept)))
        before = cpu_seconds(t.process.pid)
        time.sleep(1)  # measures idling; nothing is waited for
        check(cpu_seconds(t.process.pid) - before < 0.5, "it spins")
        for s in kept:
            s.close()
        until("it does not recover", lambda: t.call("GET", "/health/live").status == 200)
        equal(t.execute(job_id="a", stream=False, params={"max_tokens": 1}).status, 200)


@case("slow heads and bodies end by the deadline while others are served")
def _():
    with Worker("http.request_read_ms=500") as t:
        slow = []
        for i in range(60):
            s = t.connect()
            s.sendall(b"GET / HT" if i % 2 else request("POST", "/v2/execute", None, {"Content-Type": "application/json", "Content-Length": "50"}) + b'{"job')
            slow.append(s)
        for i in range(20):
            equal(t.execute(job_id="a%d" % i, stream=False, params={"max_tokens": 1}).status, 200)
        for s in slow:
            equal(parse_response(read_all(s)).status, 408)
            s.close()


@case("three megabytes in chunks of one byte")
def _():
    with Worker() as t:
        body = json.dumps({"job_id": "a", "prompt": "a", "stream": False, "params": {"max_tokens": 1}}).encode()
        body = b" " * 1000000 + body
        data = b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\n\r\n"
        with t.connect() as s:
            s.sendall(request("POST", "/v2/execute", None, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))
            s.sendall(data)
            equal(read_response(s).status, 200)


@case("a thousand connections that come and go leave nothing behind")
def _():
    with Worker() as t:
        def round(n):
            for i in range(n):
                s = t.connect()
                kind = i % 6
                if kind == 1:
                    s.sendall(b"GET /health")
                elif kind == 2:
                    s.sendall(request("GET", "/metrics"))
                elif kind == 3:
                    s.sendall(request("POST", "/v2/execute", {"job_id": "j%d" % i, "prompt": "a", "params": {"max_tokens": 50}}))
                elif kind == 4:
                    s.sendall(b"\x00\xff garbage\r\n\r\n")
                elif kind == 5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
            equal(t.call("GET", "/health/live").status, 200)
            t.wait_metric("orcd_requests_running", lambda v: v == 0)
        round(300)
        until("descriptors stay open", lambda: fds(t.process.pid) < 40)
        n, bytes_before = fds(t.process.pid), rss(t.process.pid)
        round(1000)
        until("descriptors leak", lambda: fds(t.process.pid) <= n + 2)
        if "ORCD_TEST_SANITIZED" not in os.environ:
            check(rss(t.process.pid) - bytes_before < 8 << 20, "memory grows")


@case("large heads and bodies over the cap leave memory flat")
def _():
    with Worker("http.max_body_kb=256") as t:
        t.raw(request("POST", "/v2/execute", b" " * 300000))
        before = rss(t.process.pid)
        for i in range(60):
            equal(parse_response(t.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40000 + b"\r\n\r\n")).status, 431)
            equal(parse_response(t.raw(request("POST", "/v2/execute", b"[" + b" " * 1000000))).status, 413)
        if "ORCD_TEST_SANITIZED" not in os.environ:
            check(rss(t.process.pid) - before < 16 << 20)
        equal(t.execute(job_id="a", stream=False, params={"max_tokens": 1}).status, 200)


@case("an idle worker with an open stream uses no processor")
def _():
    with Worker(prefill_us_per_token=20000) as t:  # many seconds of prefill
        s = t.stream(job_id="a", prompt="p" * 1000).open()
        s.event()
        s.socket.shutdown(socket.SHUT_WR)
        before = cpu_seconds(t.process.pid)
        time.sleep(1)  # measures idling; nothing is waited for
        check(cpu_seconds(t.process.pid) - before < 0.2, "it spins")
        s.close()


main()
