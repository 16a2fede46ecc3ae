"""Every phase {queued, prefill, decode} x {streaming, whole} x {close, reset, half-close}: outcome,
slot, what is kept, log line, metrics. And clients that stop reading."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

# One slot; steps of 16 prompt tokens, 16 ms each; 5 ms a token.
w = Worker("http.threads=" + os.environ.get("DISCONNECT_THREADS", "1"), "model.slots=1", "model.context=8192",
           "model.max_batch_tokens=16", "http.ping_ms=3600000", token_ms=5, prefill_us_per_token=1000)
serial = 0
STEPS = "orcd_step_rows_count"
DETECTED = "orcd_client_disconnect_detection_ms_count"
STOPPED = "orcd_client_disconnect_stop_ms_count"
GONE = 'orcd_requests_total{outcome="disconnected"}'
PER_REQUEST = ["orcd_e2e_request_latency_seconds_count", "orcd_request_queue_time_seconds_count",
               "orcd_request_prefill_time_seconds_count", "orcd_request_decode_time_seconds_count",
               "orcd_time_to_first_token_seconds_count"]


def close(s):
    s.close()


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def half_close(s):
    s.shutdown(socket.SHUT_WR)


def fresh():
    global serial
    serial += 1
    return "%s-%d" % (chr(97 + serial % 26) * 2, serial)


def send(prompt, stream, max_tokens=2000):
    """A job on its way; returns its socket and its correlation id."""
    name = fresh()
    s = w.connect()
    s.sendall(request("POST", "/v2/execute", {
        "job_id": name, "prompt": prompt, "stream": stream,
        "params": {"max_tokens": max_tokens, "ignore_eos": True}}, {"X-Correlation-Id": name}))
    return s, name


def until(s, mark):
    data = b""
    while mark not in data:
        piece = s.recv(65536)
        check(piece, "ended before %r: %r" % (mark, data))
        data += piece


class InPhase:
    """A job caught in a phase; `other` holds the slot while it is queued."""

    def __init__(self, phase, stream):
        self.phase, self.other = phase, None
        self.before = w.metrics()
        if phase == "queue":
            self.other, _ = send("holds the slot", True)
            until(self.other, b"event: token")
            self.before = w.metrics()
        steps, tokens = self.before[STEPS], self.before["orcd_generation_tokens_total"]
        self.prompt = fresh() + "p" * (6000 if phase == "prefill" else 30)
        self.socket, self.name = send(self.prompt, stream)
        if phase == "queue":
            w.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        elif phase == "prefill":
            w.wait_metric(STEPS, lambda v: v >= steps + 3)  # the first is through
        elif stream:
            until(self.socket, b"event: token")
        else:
            w.wait_metric("orcd_generation_tokens_total", lambda v: v > tokens)

    def end(self):
        if self.other:
            self.other.close()
            w.wait_metric("orcd_requests_running", lambda v: v == 0)
        self.socket.close()


def is_gone(job):
    """What holds after a disconnect, whatever the phase."""
    e = w.wait_log(lambda e: e.get("correlation_id") == job.name and e.get("message") == "job ended")
    equal((e["outcome"], e["phase"]), ("CLIENT_DISCONNECTED", job.phase))
    w.wait_metric("orcd_requests_waiting", lambda v: v == 0)
    if not job.other:
        w.wait_metric("orcd_requests_running", lambda v: v == 0)
    w.wait_metric(STOPPED, lambda v: v == job.before[STOPPED] + 1)
    m = w.metrics()
    for name in [DETECTED, GONE] + PER_REQUEST:
        equal(m[name], job.before[name] + 1, name)


def kept(job):
    """Tokens of the prompt that the next job finds."""
    r = w.execute(job_id=fresh(), prompt=job.prompt[:30], stream=False, params={"max_tokens": 1})
    equal(r.status, 200, r.body)
    return r.json["cached_tokens"], r.json["prompt_tokens"]


for phase in ("queue", "prefill", "decode"):
    for stream in (True, False):
        for how in (close, reset, half_close):
            if how is half_close and stream and phase != "queue":
                continue  # below: no disconnect

            def gone(phase=phase, stream=stream, how=how):
                job = InPhase(phase, stream)
                how(job.socket)
                is_gone(job)
                if how is half_close:
                    equal(read_all(job.socket), b"")
                job.end()
                cached, prompt = kept(job)
                if phase == "queue":
                    check(cached <= 1, cached)  # the first token of any prompt
                elif phase == "prefill":
                    check(cached >= 16, cached)  # what had been computed stays as a prefix
                else:
                    equal(cached, prompt - 1)
            case("%s, %s, %s" % (phase, "streaming" if stream else "whole", how.__name__.replace("_", "-")))(gone)


for phase in ("prefill", "decode"):
    def reads_on(phase=phase):
        before = w.metrics()
        s, name = send(fresh() + "p" * (100 if phase == "prefill" else 10), True, 60)
        until(s, b"event: started" if phase == "prefill" else b"event: token")
        half_close(s)
        data = read_all(s)
        check(b"event: end" in data and b'"finish_reason":"length"' in data, data[-300:])
        e = w.wait_log(lambda e: e.get("correlation_id") == name)
        equal((e["outcome"], e["tokens"], e["wasted"]), ("length", 60, 0))
        m = w.metrics()
        for metric in (DETECTED, GONE):
            equal(m[metric], before[metric], metric)
        s.close()
    case("%s, streaming, half-closed and read on: no disconnect" % phase)(reads_on)


@case("half-closed in decode, then closed: gone")
def _():
    job = InPhase("decode", True)
    half_close(job.socket)
    until(job.socket, b"event: token")
    close(job.socket)
    is_gone(job)


def deaf(t, fields, headers):
    """A client with a small window that reads nothing."""
    s = socket.socket(socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(t.address)
    s.sendall(request("POST", "/v2/execute", fields, headers))
    return s


LARGE = {"max_tokens": 30000, "ignore_eos": True, "logprobs": 20}


@case("a stream that is not read: a bounded buffer, then gone; the next in the queue gets the slot")
def _():
    with Worker("model.slots=1", "model.context=32768", "http.write_stall_ms=300", token_ms=1) as t:
        s = deaf(t, {"job_id": "deaf", "prompt": "a", "params": LARGE}, {"X-Correlation-Id": "deaf"})
        t.wait_metric("orcd_requests_running", lambda v: v == 1)
        queued = t.stream(job_id="next", params={"max_tokens": 3})
        e = t.wait_log(lambda e: e.get("correlation_id") == "deaf")
        equal((e["outcome"], e["phase"]), ("CLIENT_DISCONNECTED", "decode"))
        check(0 < e["tokens"] < 30000, e)
        equal(queued.open().rest()[-1][0], "end")
        m = t.metrics()
        equal((m[DETECTED], m[STOPPED], m[GONE]), (1, 1, 1))
        t.wait_metric('orcd_wasted_tokens_total{reason="disconnected"}', lambda v: v > 0)
        read_all(s)  # ended by the worker
        s.close()


@case("a whole answer that is not read: the connection is ended, its tokens are wasted")
def _():
    with Worker("model.context=32768", "http.write_stall_ms=300") as t:
        s = deaf(t, {"job_id": "deaf", "prompt": "a", "stream": False, "params": LARGE}, {"X-Correlation-Id": "deaf"})
        e = t.wait_log(lambda e: e.get("correlation_id") == "deaf")
        equal((e["outcome"], e["tokens"], e["wasted"]), ("length", 30000, 30000))
        t.wait_metric('orcd_wasted_tokens_total{reason="disconnected"}', lambda v: v == 30000)
        read_all(s)
        s.close()


@case("a client that stops reading while its job is queued or prefills is like any other")
def _():
    with Worker("model.slots=1", "http.write_stall_ms=300", "model.max_batch_tokens=16", token_ms=1,
                prefill_us_per_token=1000) as t:
        params = {"max_tokens": 5, "ignore_eos": True}
        streams = [deaf(t, {"job_id": "d%d" % i, "prompt": "p" * 400, "stream": i % 2 == 0, "params": params}, {}) for i in range(4)]
        for i in range(4):  # a prompt takes longer than write_stall_ms; what is small fits into the kernel
            e = t.wait_log(lambda e: e.get("job_id") == "d%d" % i)
            equal((e["outcome"], e["wasted"]), ("length", 0), e)
        for s in streams:
            s.close()


@case("totals agree at the end: every job in every histogram, no slot lost")
def _():
    m = w.metrics()
    jobs = sum(outcomes(m).values()) - outcomes(m)["rejected"]
    equal(m["orcd_requests_running"], 0)
    for name in PER_REQUEST:
        equal(m[name], jobs, name)
    equal((m[DETECTED], m[STOPPED]), (m[GONE], m[GONE]))
    equal(w.stop(), 0)
    equal(len([e for e in w.events() if e["message"] == "job ended"]), jobs)


main()
