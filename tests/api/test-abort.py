"""Cancel, disconnect, deadline: in the queue, in prefill, in decode, streaming or not."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import datetime

# One slot, 5 ms a token, 2 ms a prompt token: a job can be caught in every phase.
w = Worker("model.slots=1", "deadlines.admission=simple", "model.context=4096", "deadlines.max_ms=3600000", "http.ping_ms=100", token_ms=5, prefill_us_per_token=2000)
serial = 0
LONG = {"max_tokens": 2000, "ignore_eos": True}
PROMPT = "p" * 2000  # 4 s of prefill


def new_id():
    global serial
    serial += 1
    return "x%d" % serial


def decoding(**fields):
    s = w.stream(job_id=new_id(), params=LONG, **fields).open()
    equal(s.event()[0], "started")
    equal(s.event()[0], "token")
    return s


def prefilling(**fields):
    s = w.stream(job_id=new_id(), params=LONG, prompt=PROMPT, **fields).open()
    equal(s.event()[0], "started")
    return s


def idle():
    """The slot is free again: the next job runs."""
    r = w.execute(job_id=new_id(), stream=False, params={"max_tokens": 1})
    equal(r.status, 200, r.body)
    w.wait_metric("orcd_requests_running", lambda v: v == 0)


def last_error(s, code, phase):
    events = s.rest()
    equal(events[-1][0], "error")
    d = events[-1][2]
    equal(set(d), {"code", "message", "retriable", "http_status", "phase", "tokens_out", "correlation_id"})
    equal((d["code"], d["phase"]), (code, phase))
    equal(sum(e[0] in ("end", "error") for e in events), 1)
    return events


def counted(outcome, n=1):
    """Runs a block and expects so many more jobs of that outcome, and no other."""
    class Block:
        def __enter__(self):
            self.before = outcomes(w.metrics())
        def __exit__(self, kind, *rest):
            if kind:
                return
            name = 'orcd_requests_total{outcome="%s"}' % outcome
            w.wait_metric(name, lambda v: v >= self.before[outcome] + n)
            equal(outcomes(w.metrics())[outcome], self.before[outcome] + n)
    return Block()


# --- cancel

@case("cancel in decode, by POST")
def _():
    with counted("cancelled"):
        s = decoding()
        r = w.call("POST", "/v2/cancel", {"job_id": "x%d" % serial})
        equal((r.status, r.json), (202, {"job_id": "x%d" % serial, "status": "cancelling"}))
        last_error(s, "CANCELLED", "decode")
    idle()


@case("cancel in prefill, by the alias; again says finished")
def _():
    with counted("cancelled"):
        s = prefilling()
        j = "x%d" % serial
        equal(w.call("POST", "/cancel", {"job_id": j}).json["status"], "cancelling")
        last_error(s, "CANCELLED", "prefill")
        equal(w.call("POST", "/v2/cancel", {"job_id": j}).json["status"], "finished")
    idle()


@case("cancel in the queue, by DELETE, is a plain HTTP error")
def _():
    with counted("cancelled"):
        a = decoding()
        b = w.stream(job_id="queued:1", params=LONG)
        w.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        r = w.call("DELETE", "/v2/jobs/queued%3A1")
        equal((r.status, r.json["status"]), (202, "cancelling"))
        b.open()
        equal(b.status, 499)
        equal(json.loads(b.response.read())["error"]["code"], "CANCELLED")
        a.close()
        w.wait_metric("orcd_requests_running", lambda v: v == 0)
    idle()


@case("cancel of a job that does not stream is status 499")
def _():
    with w.connect() as s:
        s.sendall(request("POST", "/v2/execute", {"job_id": "ns", "prompt": "a", "stream": False, "params": LONG}))
        w.wait_metric("orcd_requests_running", lambda v: v == 1)
        equal(w.call("POST", "/v2/cancel", {"job_id": "ns"}).status, 202)
        r = read_response(s)
        equal((r.status, r.code), (499, "CANCELLED"))
    idle()


@case("cancel of an unknown, a similar, a malformed id")
def _():
    s = decoding()
    j = "x%d" % serial
    for other in (j + "0", j[:-1] + "?", j.upper() + "X"):
        r = w.call("POST", "/v2/cancel", {"job_id": other})
        check(r.status in (400, 404), r.status)
    equal(w.call("POST", "/v2/cancel", {"job_id": "never"}).code, "NOT_FOUND")
    for path in ("/v2/jobs/never", "/v2/jobs/a%20b", "/v2/jobs/" + "x" * 200, "/v2/jobs/"):
        equal(w.call("DELETE", path).status, 404, path)
    for body in ({}, {"job_id": 1}, {"job_id": "a", "x": 1}, [], {"job_id": ""}):
        equal(w.call("POST", "/v2/cancel", body).status, 400, body)
    equal(s.event()[0], "token")
    s.close()
    idle()


# --- disconnect

@case("close in decode, in prefill; reset in both")
def _():
    for begin in (decoding, prefilling):
        for end in (Stream.close, Stream.reset):
            with counted("disconnected"):
                end(begin())
            idle()


@case("close in the queue, before any answer")
def _():
    with counted("disconnected", 2):
        a = decoding()
        b = w.stream(job_id=new_id(), params=LONG)
        w.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        b.close()
        w.wait_metric("orcd_requests_waiting", lambda v: v == 0)
        a.close()
    idle()


@case("close while an answer that does not stream is made")
def _():
    with counted("disconnected"):
        s = w.connect()
        s.sendall(request("POST", "/v2/execute", {"job_id": new_id(), "prompt": "a", "stream": False, "params": LONG}))
        w.wait_metric("orcd_requests_running", lambda v: v == 1)
        s.close()
    idle()


@case("a half-closed client that reads an open stream goes on to its end")
def _():
    with counted("length"):
        s = w.stream(job_id=new_id(), params={"max_tokens": 40, "ignore_eos": True}).open()
        s.event()
        s.socket.shutdown(socket.SHUT_WR)
        events = s.rest()
        equal([e[0] for e in events], ["token"] * 40 + ["end"])
        s.close()


@case("half-closed in prefill goes on as well; the probe is a comment")
def _():
    with counted("length"):
        s = w.stream(job_id=new_id(), prompt="p" * 100, params={"max_tokens": 4, "ignore_eos": True}).open()
        s.event()
        s.socket.shutdown(socket.SHUT_WR)
        equal([e[0] for e in s.rest()], ["token"] * 4 + ["end"])
        check(s.comments >= 1)


@case("half-closed before the head of the answer counts as gone")
def _():
    with counted("disconnected", 2):
        a = decoding()
        s = w.connect()
        s.sendall(request("POST", "/v2/execute", {"job_id": new_id(), "prompt": "a", "params": LONG}))
        w.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        s.shutdown(socket.SHUT_WR)
        equal(read_all(s), b"")
        a.close()
    idle()


@case("a job whose request comes with the end of input is gone as well")
def _():
    a = decoding()
    for _ in range(10):  # some are noticed before they are jobs, some after
        equal(w.raw(request("POST", "/v2/execute", {"job_id": new_id(), "prompt": "a", "params": LONG}), half_close=True), b"")
    w.wait_metric("orcd_requests_waiting", lambda v: v == 0)
    a.close()
    idle()


@case("a half-closed request for something quick is answered")
def _():
    for _ in range(50):  # the end of input may come with the request or after it
        r = parse_response(w.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", half_close=True))
        equal(r.status, 200)
    data = w.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, half_close=True)
    equal(data.count(b"HTTP/1.1 200 "), 3)


@case("HTTP/1.0 gets its stream too, ended by the connection's end")
def _():
    body = b'{"job_id":"old","prompt":"a","params":{"max_tokens":3}}'
    data = w.raw(b"POST /v2/execute HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    r = parse_response(data)
    equal(r.status, 200)
    check("transfer-encoding" not in r.headers)
    equal((r.body.count(b"event: token\n"), r.body.count(b"event: end\n")), (3, 1))


@case("over a unix socket: close in decode, half-close goes on")
def _():
    with tempfile.TemporaryDirectory() as d, Worker(listen="unix:%s/w.sock" % d, token_ms=5) as t:
        s = t.stream(job_id="a", params=LONG).open()
        s.event()
        s.close()
        t.wait_metric('orcd_requests_total{outcome="disconnected"}', lambda v: v == 1)
        s = t.stream(job_id="b", params={"max_tokens": 20, "ignore_eos": True}).open()
        s.event()
        s.socket.shutdown(socket.SHUT_WR)
        equal(s.rest()[-1][0], "end")


@case("disconnect detection is measured")
def _():
    m = w.metrics()
    n, total = (m["orcd_client_disconnect_detection_ms_" + k] for k in ("count", "sum"))
    check(n >= 4, n)
    check(total < n * PATIENCE * 1e3, "%g ms for %d: from when was it counted?" % (total, n))


@case("pings while nothing else is sent")
def _():
    s = prefilling()
    begin = time.monotonic()
    while s.comments < 2:
        line = s.response.readline()
        s.comments += line.startswith(b": ping")
        check(time.monotonic() - begin < PATIENCE)
    s.close()
    idle()


@case("a client that reads nothing is aborted in time")
def _():
    with Worker("http.write_stall_ms=1000", "model.context=32768") as t:
        s = t.connect()
        s.close()
        s = socket.socket(socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(t.address)
        s.sendall(request("POST", "/v2/execute", {"job_id": "a", "prompt": "a", "params": {"max_tokens": 30000, "ignore_eos": True, "logprobs": 5}}))
        e = t.wait_log(lambda e: e.get("message") == "job ended")
        check(e["outcome"] in ("length", "CLIENT_DISCONNECTED"), e)
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        equal(t.execute(job_id="b", stream=False, params={"max_tokens": 1}).status, 200)
        s.settimeout(PATIENCE)
        read_all(s)  # the connection was ended
        s.close()


# --- deadlines

def deadline(ms):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=ms)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


@case("a deadline in decode, absolute, never early")
def _():
    with counted("deadline"):
        begin = time.monotonic()
        s = w.stream(job_id=new_id(), params=LONG, headers={"X-Deadline": deadline(300)}).open()
        events = last_error(s, "DEADLINE_EXCEEDED", "decode")
        check(time.monotonic() - begin >= 0.299)
        check(events[-1][2]["retriable"])
        equal(events[-1][2]["http_status"], 504)
    idle()


@case("a deadline in the queue is a plain 504")
def _():
    with Worker("model.slots=1", "deadlines.admission=simple", token_ms=5) as t:
        a = t.stream(job_id="a", params=LONG).open()
        a.event()
        begin = time.monotonic()
        r = t.execute(job_id="b", headers={"Request-Timeout-Ms": "200"})
        equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
        equal(r.json["error"]["details"]["phase"], "queue")
        check(time.monotonic() - begin >= 0.199)
        a.close()


@case("deadlines in prefill and decode without prediction; partial ends with what there is")
def _():
    with Worker("model.slots=1", "deadlines.admission=off", token_ms=5, prefill_us_per_token=2000) as t:
        s = t.stream(job_id="a", prompt=PROMPT, params=LONG, headers={"Request-Timeout-Ms": "200"}).open()
        e = s.rest()[-1]
        equal((e[0], e[2]["code"], e[2]["phase"]), ("error", "DEADLINE_EXCEEDED", "prefill"))
        s = t.stream(job_id="b", params=dict(LONG, on_deadline="partial"), headers={"X-Request-Timeout-Ms": "200"}).open()
        events = s.rest()
        equal((events[-1][0], events[-1][2]["finish_reason"]), ("end", "deadline"))
        check(events[-1][2]["tokens_out"] >= 1)
        m = outcomes(t.metrics())
        equal((m["deadline"], m["deadline_partial"]), (1, 1))


@case("what a partial answer holds back comes before its end")
def _():
    # Each letter may begin the stop string, so it is held until the next one.
    with Worker("deadlines.admission=off", token_ms=3, text="a" * 4000) as t:
        p = dict(LONG, on_deadline="partial", stop=["ab"])
        events = t.stream(job_id="a", params=p, headers={"Request-Timeout-Ms": "300"}).open().rest()
        equal(events[-1][2]["finish_reason"], "deadline")
        n = events[-1][2]["tokens_out"]
        check(n >= 1, n)
        equal(len([e for e in events if e[0] == "token" and "id" in e[2]]), n)
        equal((events[-2][0], events[-2][1], events[-2][2]), ("token", None, {"t": "a"}))
        equal(text_of(events), "a" * n)
        r = t.execute(job_id="b", stream=False, params=p, headers={"Request-Timeout-Ms": "300"}).json
        equal((r["finish_reason"], r["text"]), ("deadline", "a" * len(r["tokens"])))
        check(len(r["tokens"]) >= 1)


@case("a deadline in the past is 504 from the head alone")
def _():
    for name, value in (("X-Deadline", deadline(-1000)), ("X-Deadline", "1970-01-01T00:00:00Z"), ("X-Deadline", "0001-01-01T00:00:00Z"), ("Request-Timeout-Ms", "0")):
        with w.connect() as s:
            s.sendall(request("POST", "/v2/execute", None, {"Content-Type": "application/json", "Content-Length": "1000", name: value}))
            r = read_response(s)
            equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))


@case("garbage for a deadline is 400")
def _():
    for value in ("tomorrow", "", "2026-11-30", "2026-11-30T19:30:00", "2026-13-30T19:30:00Z", "2026-11-30T25:30:00Z", "2026-11-30T19:30:00.1234567890Z", "2026-02-30T00:00:00Z", "1e9", "2026-11-30T19:30:00Z "+"x"):
        r = w.execute(job_id="g", headers={"X-Deadline": value})
        equal((r.status, r.code), (400, "INVALID_REQUEST"), value)
    for value in ("", "abc", "-1", "1.5", "1e3", "0x10", "9" * 19, "1 000", "+5"):
        for name in ("Request-Timeout-Ms", "X-Request-Timeout-Ms"):
            r = w.execute(job_id="g", headers={name: value})
            equal((r.status, r.code), (400, "INVALID_REQUEST"), value)


@case("spellings of RFC 3339 are taken; the earlier deadline wins")
def _():
    for value in ("2999-11-30t19:30:00z", "2999-12-31T23:59:60Z", "2999-11-30T19:30:00.123456789+02:30", "2999-11-30T19:30:00-23:59", "9999-12-31T23:59:59Z"):
        r = w.execute(job_id=new_id(), stream=False, params={"max_tokens": 1}, headers={"X-Deadline": value})
        equal(r.status, 200, r.body)
        equal(r.json["deadline_clamped"], True)
    r = w.execute(job_id="g", headers={"X-Deadline": "2999-01-01T00:00:00Z", "Request-Timeout-Ms": "0"})
    equal(r.status, 504)
    r = w.execute(job_id="g", headers={"X-Deadline": deadline(-5), "Request-Timeout-Ms": "100000"})
    equal(r.status, 504)


@case("beyond max_ms a deadline is clamped and reported; within it is not")
def _():
    with Worker("deadlines.max_ms=5000") as t:
        s = t.stream(job_id="a", params={"max_tokens": 1}, headers={"Request-Timeout-Ms": "999999999999"}).open()
        d = s.event()[2]
        equal(d["deadline_clamped"], True)
        at = datetime.datetime.fromisoformat(d["deadline"].replace("Z", "+00:00"))
        left = (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        check(left <= 5.001, left)
        s.rest()
        s = t.stream(job_id="b", params={"max_tokens": 1}, headers={"Request-Timeout-Ms": "4000"}).open()
        check("deadline_clamped" not in s.event()[2])


@case("min_remaining_ms holds for relative deadlines; default_ms for none")
def _():
    with Worker("deadlines.min_remaining_ms=100", "deadlines.default_ms=150", "deadlines.admission=off", token_ms=5) as t:
        r = t.execute(job_id="a", headers={"Request-Timeout-Ms": "99"})
        equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
        equal(r.json["error"]["details"]["min_remaining_ms"], 100)
        s = t.stream(job_id="b", params=LONG).open()
        equal(s.rest()[-1][2]["code"], "DEADLINE_EXCEEDED")
        equal(t.metrics()['orcd_deadline_rejections_total{when="arrival"}'], 1)


@case("a plugin that hangs leaves no client without an answer")
def _():
    with Worker("health.stall_ms=1000", "shutdown.drain_ms=100", "shutdown.grace_ms=1000",
                token_ms=2, fault="wait.hang@22", hang_ms=4000) as t:
        s = t.stream(job_id="a", params=LONG, headers={"Request-Timeout-Ms": "600"}).open()
        e = s.rest()[-1]
        equal((e[0], e[2]["code"]), ("error", "DEADLINE_EXCEEDED"))
        # Somebody waits, no step ends: health tells, the process lives.
        s = t.stream(job_id="b", params=LONG)
        end = time.monotonic() + PATIENCE
        while t.call("GET", "/health/ready").json["status"] != "unhealthy":
            check(time.monotonic() < end, "never unhealthy")
        equal(t.call("GET", "/health").status, 503)
        equal(t.call("GET", "/health/live").status, 200)
        # The hang ends and all is well.
        equal(s.open().event()[0], "started")
        s.close()
        while t.call("GET", "/health/ready").json["status"] != "healthy":
            check(time.monotonic() < end + PATIENCE, "never healthy again")


@case("a plugin that hangs for ever: cancels and disconnects are answered and counted, health tells")
def _():
    t = Worker("health.stall_ms=100", "model.slots=2", "shutdown.drain_ms=0", "shutdown.grace_ms=500", token_ms=2,
               fault="wait.hang@22")
    a = t.stream(job_id="a", params=LONG).open()
    equal(a.event()[0], "started")
    b = t.connect()
    b.sendall(request("POST", "/v2/execute", {"job_id": "b", "prompt": "b", "stream": False, "params": LONG}))
    end = time.monotonic() + PATIENCE
    while t.call("GET", "/health/ready").json["status"] != "unhealthy":
        check(time.monotonic() < end, "never unhealthy")
    queued, left = t.stream(job_id="c", params=LONG), t.stream(job_id="d", params=LONG)
    while True:  # all four are jobs; b has a slot unless the hang was faster
        m = t.metrics()
        if m["orcd_requests_running"] + m["orcd_requests_waiting"] == 4:
            break
        check(time.monotonic() < end + PATIENCE, "not all of them came")
    left.close()
    t.wait_metric('orcd_requests_total{outcome="disconnected"}', lambda v: v == 1)
    for job in "abc":
        equal(t.call("POST", "/v2/cancel", {"job_id": job}).json["status"], "cancelling", job)
        equal(t.call("POST", "/v2/cancel", {"job_id": job}).json["status"], "finished", job)
    equal(a.rest()[-1][2]["code"], "CANCELLED")
    equal(read_response(b).code, "CANCELLED")
    equal(queued.open().status, 499)
    equal({k: v for k, v in outcomes(t.metrics()).items() if v}, {"cancelled": 3, "disconnected": 1})
    check(t.metrics()["orcd_requests_running"] >= 1)  # the slot is the plugin's until it answers
    equal(t.call("GET", "/health/live").status, 200)
    equal(t.call("GET", "/health/ready").status, 503)
    equal(t.stop(), 79)
    a.close(), b.close(), queued.close()


@case("a slow memory query delays no answer of health")
def _():
    with Worker("health.refresh_ms=100", fault="memory.slow!") as t:
        begin = time.monotonic()
        for _ in range(20):
            equal(t.call("GET", "/health").status, 200)
        check(time.monotonic() - begin < 0.5 * 20, "health waited for the device")


# --- shutdown

@case("SIGTERM mid-stream: the stream ends with SHUTTING_DOWN, new jobs get 503 until then")
def _():
    t = Worker("shutdown.drain_ms=700", token_ms=5)
    s = t.stream(job_id="a", params=LONG).open()
    s.event()
    t.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while t.call("GET", "/health").json["status"] != "draining":
        check(time.monotonic() < end)
    r = t.execute(job_id="b")
    equal((r.status, r.code), (503, "SHUTTING_DOWN"))
    equal(r.headers["Connection"], "close")
    e = s.rest()[-1]
    equal((e[0], e[2]["code"]), ("error", "SHUTTING_DOWN"))
    equal(t.stop(0), 0)


@case("shutdown with streams, queued jobs, idle connections and one that reads nothing")
def _():
    t = Worker("shutdown.drain_ms=50", "model.slots=2", "model.context=32768", token_ms=1)
    stuck = socket.socket(socket.AF_INET)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(t.address)
    stuck.sendall(request("POST", "/v2/execute", {"job_id": "stuck", "prompt": "a", "params": {"max_tokens": 30000, "ignore_eos": True, "logprobs": 20}}))
    idle_one = t.connect()
    half = t.connect()
    half.sendall(b"POST /v2/execute HT")
    a = t.stream(job_id="a", params=LONG).open()
    a.event()
    queued = [t.stream(job_id="q%d" % i) for i in range(10)]
    t.wait_metric("orcd_requests_waiting", lambda v: v == 10)
    t.process.send_signal(signal.SIGTERM)
    for q in queued:
        equal(q.open().status, 503)
    equal(a.rest()[-1][2]["code"], "SHUTTING_DOWN")
    equal(t.stop(0), 0)  # a second SIGTERM would end it at once
    idle_one.close(), half.close(), stuck.close()


@case("totals of outcomes agree with the jobs that were asked for")
def _():
    with Worker(token_ms=1) as t:
        for i in range(5):
            equal(t.execute(job_id="a%d" % i, stream=False, params={"max_tokens": 3, "ignore_eos": True}).status, 200)
        for _ in range(3):
            equal(t.execute(job_id="", stream=False).status, 400)
        equal(t.call("POST", "/v2/execute", b"{").status, 400)
        equal(t.call("POST", "/v2/execute", b"{}", {"Content-Type": "text/plain"}).status, 415)
        equal(t.execute(job_id="d", headers={"X-Deadline": "x"}).status, 400)
        equal(t.execute(job_id="d", headers={"Request-Timeout-Ms": "0"}).status, 504)
        s = t.stream(job_id="c", params=LONG).open()
        s.event()
        t.call("POST", "/v2/cancel", {"job_id": "c"})
        s.rest()
        s = t.stream(job_id="e", params=LONG).open()
        s.event()
        s.close()
        t.wait_metric('orcd_requests_total{outcome="disconnected"}', lambda v: v == 1)
        m = t.metrics()
        equal({k: v for k, v in outcomes(m).items() if v}, {"length": 5, "rejected": 7, "cancelled": 1, "disconnected": 1})
        equal(sum(v for k, v in m.items() if k.startswith("orcd_rejections_total")), 7)
        for h in ("orcd_e2e_request_latency_seconds", "orcd_request_queue_time_seconds", "orcd_time_to_first_token_seconds"):
            equal(m[h + "_count"], 7, h)
        t.stop()
        ended = [e for e in t.events() if e["message"] == "job ended"]
        equal(sorted(e["job_id"] for e in ended), sorted(["a%d" % i for i in range(5)] + ["c", "e"]))
        equal(len([e for e in t.events() if e["message"] == "job rejected"]), 7)


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
