"""What needs minutes, or luck, on a real clock: with tests/lib/seams.c in front of the worker."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import mmap
import re
import struct

SEAMS = os.path.join(os.environ.get("ORCD_BUILDDIR", "build"), "tests", "seams.so")
# The runtime of AddressSanitizer wants to be first; what comes before it here asks for nothing of it.
ENV = {"LD_PRELOAD": SEAMS, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
folder = tempfile.TemporaryDirectory()


class Clock:
    """The monotonic clocks of a worker, to be moved on."""

    def __init__(self):
        path = os.path.join(folder.name, "clock")
        with open(path, "wb") as f:
            f.write(bytes(8))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)
        self.ms = 0
        self.env = dict(ENV, SEAM_CLOCK=path)

    def advance(self, seconds, worker):
        """Once the worker is through with what was asked before: an answer that is not taken for
        write_stall_ms would end its connection, and its client may be faster than its completion."""
        worker.call("GET", "/health/live")
        self.ms += int(seconds * 1000)
        self.map[:] = struct.pack("<q", self.ms)


def ask(s, path="/health/live"):
    s.sendall(request("GET", path))
    return read_response(s).status


@case("an idle connection serves after 61 s and after 74 s, and is closed after 75 s")
def _():
    clock = Clock()
    with Worker(env=clock.env) as t:
        began = t.call("GET", "/health").json["uptime_seconds"]
        pool = [t.connect() for _ in range(3)]
        for s in pool:
            equal(ask(s), 200)
        clock.advance(61, t)
        check(t.call("GET", "/health").json["uptime_seconds"] >= began + 61, "the clock was not moved")
        for s in pool:
            equal(ask(s), 200)
        clock.advance(74, t)
        equal(ask(pool[0]), 200)  # its time begins anew
        clock.advance(3, t)
        for s in pool[1:]:
            equal(s.recv(1), b"")
        equal(ask(pool[0]), 200)
        clock.advance(78, t)
        equal(pool[0].recv(1), b"")
        for s in pool:
            s.close()


@case("keep_alive_ms says how long")
def _():
    clock = Clock()
    with Worker("http.keep_alive_ms=10000", env=clock.env) as t:
        s = t.connect()
        equal(ask(s), 200)
        clock.advance(9, t)
        equal(ask(s), 200)
        clock.advance(12, t)
        equal(s.recv(1), b"")
        s.close()


@case("a job that waits or streams for longer than keep_alive_ms lives on")
def _():
    clock = Clock()
    with Worker("http.keep_alive_ms=10000", "http.ping_ms=3600000", "http.write_stall_ms=3600000", "model.slots=1",
                env=clock.env, token_ms=1, fault="wait.hang@22", hang_ms=3000) as t:
        params = {"max_tokens": 40, "ignore_eos": True}
        a = t.stream(job_id="a", params=params).open()
        equal(a.event()[0], "started")
        b = t.stream(job_id="b", params=params)
        whole = t.connect()
        whole.sendall(request("POST", "/v2/execute", {"job_id": "c", "prompt": "c", "stream": False, "params": params}))
        t.wait_metric("orcd_requests_waiting", lambda v: v == 2)
        clock.advance(60, t)  # while the 22nd step hangs: a is parked, b and c wait
        equal(a.rest()[-1][0], "end")
        equal(b.open().rest()[-1][0], "end")
        equal(read_response(whole).status, 200)
        a.close(), b.close(), whole.close()


@case("a request that began and stops arriving is ended by request_read_ms, not by keep_alive_ms")
def _():
    clock = Clock()
    with Worker(env=clock.env) as t:
        s = t.connect()
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: local")
        clock.advance(11, t)
        equal(parse_response(read_all(s)).status, 408)
        s.close()


@case("a client that takes nothing is aborted after write_stall_ms of 30 s, not before; its log line says so")
def _():
    clock = Clock()
    with Worker("model.context=32768", env=clock.env, token_ms=1) as t:
        s = socket.socket(socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(t.address)
        s.sendall(request("POST", "/v2/execute", {"job_id": "deaf", "prompt": "a", "params": {
            "max_tokens": 30000, "ignore_eos": True, "logprobs": 20}}, {"X-Correlation-Id": "deaf-1"}))
        # No event tells that the buffers are full; hundreds of events of a kilobyte fill them.
        t.wait_metric("orcd_generation_tokens_total", lambda v: v > 3000)
        clock.advance(8, t)  # the first look at what the kernel holds for the client
        clock.advance(20, t)
        equal(t.call("GET", "/health").json["slots"]["busy"], 1)
        clock.advance(12, t)
        e = t.wait_log(lambda e: e.get("correlation_id") == "deaf-1")
        equal((e["message"], e["outcome"], e["phase"]), ("job ended", "CLIENT_DISCONNECTED", "decode"))
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        m = t.metrics()
        equal(m["orcd_client_disconnect_detection_ms_count"], 1)
        equal(m["orcd_client_disconnect_stop_ms_count"], 1)
        wasted = t.wait_metric('orcd_wasted_tokens_total{reason="disconnected"}', lambda v: v > 0)
        check(0 < wasted < m["orcd_generation_tokens_total"], wasted)  # what the kernel took was delivered
        s.close()


@case("a client that reads a long answer steadily is served to its end, however long that takes; one that stops is not")
def _():
    clock = Clock()
    with Worker(env=clock.env) as t:
        for stops in False, True:
            s = socket.socket(socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s.connect(t.address)
            s.settimeout(PATIENCE)
            s.sendall(request("POST", "/v2/tokenize", {"text": "ab " * 1000000}, {"Connection": "close"}))
            got = b""
            while len(got) < 8000000:
                for _ in range(0 if stops and got else 20):
                    part = s.recv(25000)
                    check(part, "the reader was cut after %d bytes" % len(got))
                    got += part
                clock.advance(9, t)
                if stops and clock.ms > 2000 * 1000:
                    break
            rest = read_all(s)
            head, body = (got + rest).split(b"\r\n\r\n", 1)
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            equal(len(body) == length, not stops, (len(body), length))
            s.close()


@case("cancel and health are answered while bodies of 4 MB are parsed")
def _():
    gate = os.path.join(folder.name, "gate")
    os.mkfifo(gate)
    with Worker("model.slots=1", "model.context=4096", env=dict(ENV, SEAM_PARSE_GATE=gate), token_ms=5) as t:
        s = t.stream(job_id="a", params={"max_tokens": 4000, "ignore_eos": True}).open()
        equal(s.event()[0], "started")
        large = []
        for i in range(4):  # more than there are threads for them
            c = t.connect()
            c.sendall(request("POST", "/v2/execute", {"job_id": "l%d" % i, "prompt": "x" * 4000000}))
            large.append(c)
        with open(gate, "wb"):  # a parser is there, and waits until this is closed
            equal(t.call("GET", "/health").status, 200)
            equal(s.event()[0], "token")
            r = t.call("POST", "/v2/cancel", {"job_id": "a"})
            equal((r.status, r.json["status"]), (202, "cancelling"))
            equal(s.rest()[-1][2]["code"], "CANCELLED")
            equal(t.call("DELETE", "/v2/jobs/a").json["status"], "finished")
            for c in large:
                c.setblocking(False)
                try:
                    raise AssertionError("answered: %r" % c.recv(100))
                except BlockingIOError:
                    c.settimeout(PATIENCE)
            os.unlink(gate)  # those that come later pass
        for c in large:
            equal(read_response(c).code, "CONTEXT_LENGTH_EXCEEDED")
            c.close()
        s.close()


@case("a client that is gone while its body is parsed: no job, counted, logged")
def _():
    gate = os.path.join(folder.name, "gate")
    os.mkfifo(gate)
    with Worker("model.context=4096", env=dict(ENV, SEAM_PARSE_GATE=gate)) as t:
        c = t.connect()
        body = b'{"job_id": "g", "prompt": "x"%s}' % (b" " * 2000000)
        c.sendall(request("POST", "/v2/execute", body, {"X-Correlation-Id": "gone-1"}))
        with open(gate, "wb"):
            c.close()
            equal(t.call("GET", "/health").status, 200)
        e = t.wait_log(lambda e: e.get("correlation_id") == "gone-1")
        equal((e["message"], e["code"]), ("job rejected", "CLIENT_DISCONNECTED"))
        equal({k: v for k, v in outcomes(t.metrics()).items() if v}, {"rejected": 1})
    os.unlink(gate)


class Sends:
    """How many sends past the HTTP library were cut."""

    def __init__(self, **env):
        path = os.path.join(folder.name, "sends")
        with open(path, "wb") as f:
            f.write(bytes(8))
        self.file = open(path, "rb")
        self.env = dict(ENV, SEAM_SENDS=path, **env)

    def cut(self):
        self.file.seek(0)
        return struct.unpack("<Q", self.file.read(8))[0]


def told(worker, n=40):
    s = Stream(worker, job_id="a", params={"max_tokens": n, "seed": 1, "ignore_eos": True}).open()
    events = s.rest()
    s.close()
    return events


@case("a chunk that the kernel takes in pieces arrives whole")
def _():
    with Worker(token_ms=1) as t:
        plain = told(t)
    sends = Sends(SEAM_SEND_CUT="5")
    with Worker(token_ms=1, env=sends.env) as t:
        pieces = told(t)
        equal(outcomes(t.metrics())["length"], 1)
    equal([e[0] for e in pieces], ["started"] + ["token"] * 40 + ["end"])
    equal([e[1:] for e in pieces[1:-1]], [e[1:] for e in plain[1:-1]])
    check(sends.cut() > 20, "the tokens took another way: %d were cut" % sends.cut())


@case("so do those of steps with tokens for many, which the loops send")
def _():
    with Worker("model.slots=6", token_ms=1) as t:
        plain = told(t, 200)
    sends = Sends(SEAM_SEND_CUT="5")
    with Worker("model.slots=6", token_ms=1, env=sends.env) as t:
        streams = [Stream(t, job_id="j%d" % i, params={"max_tokens": 200, "seed": 1, "ignore_eos": True}).open() for i in range(6)]
        for s in streams:
            events = s.rest()
            s.close()
            equal([e[0] for e in events], ["started"] + ["token"] * 200 + ["end"])
            equal([e[1:] for e in events[1:-1]], [e[1:] for e in plain[1:-1]])
    check(sends.cut() > 600, "the tokens took another way: %d were cut" % sends.cut())


@case("HTTP/1.0 gets its stream without chunks")
def _():
    sends = Sends(SEAM_SEND_CUT="5")
    with Worker(token_ms=1, env=sends.env) as t:
        s = t.connect()
        s.sendall(request("POST", "/v2/execute", {"job_id": "a", "prompt": "x", "params": {"max_tokens": 5}}).replace(b"HTTP/1.1", b"HTTP/1.0"))
        r = parse_response(read_all(s))
        s.close()
    check("transfer-encoding" not in r.headers, r.headers)
    check(r.body.startswith(b"event: started\n") and r.body.endswith(b"}\n\n"), r.body)
    equal(r.body.count(b"event: token\n"), 5)
    equal(sends.cut(), 0)


def stuck(**more):
    """A worker and a stream of which the kernel took five bytes of a token."""
    sends = Sends(SEAM_SEND_STUCK="5", **more)
    t = Worker("http.write_stall_ms=200", "model.slots=1", token_ms=1, env=sends.env)
    s = Stream(t, job_id="a", params={"max_tokens": 1000, "ignore_eos": True}).open()
    equal(s.event()[0], "started")
    while not sends.cut():
        check(t.process.poll() is None, "the worker ended")
    return t, s


@case("a client that takes no more of a chunk is aborted in time, its slot is free")
def _():
    t, s = stuck()
    with t:
        e = t.wait_log(lambda e: e.get("job_id") == "a" and e.get("outcome"))
        equal(e["outcome"], "CLIENT_DISCONNECTED")
        check(not s.socket.recv(100).endswith(b"\n\n\r\n"), "the chunk was ended")
        r = t.call("POST", "/v2/execute", {"job_id": "b", "prompt": "x", "stream": False, "params": {"max_tokens": 3}})
        equal(r.status, 200)


@case("one that leaves in the middle of a chunk")
def _():
    t, s = stuck()
    with t:
        s.reset()
        equal(t.wait_log(lambda e: e.get("job_id") == "a" and e.get("outcome"))["outcome"], "CLIENT_DISCONNECTED")


@case("the worker ends in the middle of a chunk")
def _():
    t, s = stuck()
    with t:
        t.process.terminate()
        equal(t.process.wait(PATIENCE), 0)


if not os.path.exists(SEAMS):
    print("1..0 # SKIP no tests/seams.so")
    sys.exit(77)
main()
