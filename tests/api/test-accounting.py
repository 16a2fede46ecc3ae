"""What is counted adds up: requests, jobs, tokens generated, delivered and wasted."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

REASONS = ("cancelled", "disconnected", "deadline", "error", "stop_sequence")
PER_REQUEST = ["orcd_e2e_request_latency_seconds_count", "orcd_request_queue_time_seconds_count",
               "orcd_request_prefill_time_seconds_count", "orcd_request_decode_time_seconds_count",
               "orcd_time_to_first_token_seconds_count"]
LONG = {"max_tokens": 3000, "ignore_eos": True}


def wasted(m):
    return {r: int(m['orcd_wasted_tokens_total{reason="%s"}' % r]) for r in REASONS}


class Books:
    """Runs a block; then `delivered` tokens went to clients, and what else was generated was wasted
    for `reason`, to the token."""

    def __init__(self, worker, reason):
        self.w, self.reason, self.delivered = worker, reason, 0

    def __enter__(self):
        self.before = self.w.metrics()
        return self

    def __exit__(self, kind, *rest):
        if kind:
            return
        w = self.w
        w.wait_metric("orcd_requests_running", lambda v: v == 0)
        end = time.monotonic() + PATIENCE
        while True:  # the books are closed when nobody has the job any more
            m = w.metrics()
            generated = int(m["orcd_generation_tokens_total"] - self.before["orcd_generation_tokens_total"])
            old = wasted(self.before)
            delta = {r: n - old[r] for r, n in wasted(m).items() if n != old[r]}
            want = {self.reason: generated - self.delivered} if generated != self.delivered else {}
            if delta == want:
                break
            check(time.monotonic() < end, "generated %d, delivered %d, wasted %r" % (generated, self.delivered, delta))
        self.generated, self.wasted = generated, sum(delta.values())


def tokens(events):
    return sum(e[0] == "token" and "id" in e[2] for e in events)


@case("answers to their end waste nothing, streamed or whole")
def _():
    with Worker(token_ms=1) as t:
        with Books(t, None) as b:
            for stream in (True, False):
                for n in (1, 2, 17):
                    params = {"max_tokens": n, "ignore_eos": True}
                    if stream:
                        b.delivered += tokens(t.stream(job_id="s%d" % n, params=params).open().rest())
                    else:
                        b.delivered += len(t.execute(job_id="w%d" % n, stream=False, params=params).json["tokens"])
        equal((b.generated, b.wasted), (40, 0))


@case("cancelled: what the client read is delivered, the rest is wasted; a whole answer is wasted entirely")
def _():
    with Worker(token_ms=5) as t:
        with Books(t, "cancelled") as b:
            s = t.stream(job_id="a", params=LONG).open()
            events = [s.event() for _ in range(6)]
            equal(t.call("POST", "/v2/cancel", {"job_id": "a"}).status, 202)
            events += s.rest()
            equal(events[-1][2]["code"], "CANCELLED")
            equal(events[-1][2]["tokens_out"], tokens(events))
            b.delivered = tokens(events)
        check(b.delivered >= 5)
        with Books(t, "cancelled") as b, t.connect() as s:
            s.sendall(request("POST", "/v2/execute", {"job_id": "b", "prompt": "b", "stream": False, "params": LONG}))
            t.wait_metric("orcd_generation_tokens_total", lambda v: v >= b.before["orcd_generation_tokens_total"] + 10)
            equal(t.call("POST", "/v2/cancel", {"job_id": "b"}).status, 202)
            equal(read_response(s).status, 499)
        check(b.wasted >= 10)


@case("deadline: a whole answer is wasted entirely, a partial one is not")
def _():
    with Worker("deadlines.admission=off", token_ms=5) as t:
        with Books(t, "deadline") as b:
            r = t.execute(job_id="a", stream=False, params=LONG, headers={"Request-Timeout-Ms": "300"})
            equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
        check(b.wasted >= 1)
        with Books(t, "deadline") as b:
            r = t.execute(job_id="b", stream=False, params=dict(LONG, on_deadline="partial"), headers={"Request-Timeout-Ms": "300"})
            equal((r.status, r.json["finish_reason"]), (200, "deadline"))
            b.delivered = r.json["tokens_out"]
        check(b.delivered >= 1)


@case("error: the twelfth step fails")
def _():
    for stream in (True, False):
        with Worker(fault="wait.fail@12") as t, Books(t, "error") as b:
            if stream:
                events = t.stream(job_id="a", params=LONG).open().rest()
                equal(events[-1][2]["code"], "BACKEND_ERROR")
                b.delivered = tokens(events)
            else:
                equal(t.execute(job_id="a", stream=False, params=LONG).code, "BACKEND_ERROR")
        check(b.generated >= 5)  # four steps were the warm-up


@case("disconnected: what was handed to the kernel is delivered")
def _():
    with Worker(token_ms=5) as t:
        with Books(t, "disconnected") as b:
            s = t.stream(job_id="a", params=LONG).open()
            for _ in range(6):
                s.event()
            s.close()
            e = t.wait_log(lambda e: e.get("job_id") == "a")
            b.delivered = e["tokens"] - e["wasted"]
        check(b.delivered >= 5)
        with Books(t, "disconnected") as b:
            s = t.connect()
            s.sendall(request("POST", "/v2/execute", {"job_id": "b", "prompt": "b", "stream": False, "params": LONG}))
            t.wait_metric("orcd_generation_tokens_total", lambda v: v >= b.before["orcd_generation_tokens_total"] + 10)
            s.close()
        check(b.wasted >= 10)


@case("stop sequence: what was computed while it was found")
def _():
    with Worker(text="one two three four five six seven", token_ms=1) as t:
        for stream in (True, False):
            with Books(t, "stop_sequence") as b:
                params = {"max_tokens": 30, "stop": ["three"], "temperature": 0}
                if stream:
                    events = t.stream(job_id="a", params=params).open().rest()
                    equal((text_of(events), events[-1][2]["finish_reason"]), ("one two ", "stop_sequence"))
                    b.delivered = tokens(events)
                else:
                    r = t.execute(job_id="b", stream=False, params=params)
                    equal((r.json["text"], r.json["finish_reason"]), ("one two ", "stop_sequence"))
                    b.delivered = r.json["tokens_out"]
            check(b.wasted <= 2, b.wasted)  # steps in flight, unless the plugin could cut them short


@case("outcomes add up to the requests sent, and each histogram to the jobs among them")
def _():
    with Worker("model.slots=2", "queue.capacity=4", "deadlines.admission=off", token_ms=2, fault="wait.fail@302") as t:
        sent = 0
        for i in range(6):
            equal(t.execute(job_id="ok%d" % i, stream=i % 2 == 0, params={"max_tokens": 5, "ignore_eos": True}).status, 200)
            sent += 1
        for bad in (b"{", b"[]", b'{"job_id": "x"}', b'{"job_id": "x", "prompt": "y", "params": {"top_p": 7}}'):
            equal(t.call("POST", "/v2/execute", bad).status, 400)
            sent += 1
        equal(t.execute(job_id="late", headers={"Request-Timeout-Ms": "0"}).status, 504)
        sent += 1
        hold = [t.stream(job_id="h%d" % i, params=LONG).open() for i in range(2)]
        queue = [t.stream(job_id="q%d" % i, params=LONG) for i in range(4)]
        t.wait_metric("orcd_requests_waiting", lambda v: v == 4)
        equal(t.execute(job_id="full").status, 429)
        equal(t.execute(job_id="h0").status, 409)
        sent += 8
        t.call("POST", "/v2/cancel", {"job_id": "q0"})
        queue[1].close()
        t.wait_metric("orcd_requests_waiting", lambda v: v == 2)
        equal(t.execute(job_id="d", headers={"Request-Timeout-Ms": "30"}).status, 504)  # in the queue
        sent += 1
        hold[0].close()
        t.call("DELETE", "/v2/jobs/h1")
        for s in queue[2:]:
            equal(s.open().rest()[-1][2]["code"], "BACKEND_ERROR")  # the 300th step
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        m = t.metrics()
        counted = outcomes(m)
        equal({k: v for k, v in counted.items() if v},
              {"length": 6, "rejected": 7, "cancelled": 2, "disconnected": 2, "deadline": 1, "error": 2})
        equal(sum(counted.values()), sent)
        equal(sum(v for k, v in m.items() if k.startswith("orcd_rejections_total")), counted["rejected"])
        for name in PER_REQUEST:
            equal(m[name], sent - counted["rejected"], name)
        for name in ("orcd_cancellation_detection_latency_ms_count", "orcd_cancellation_stop_ms_count"):
            equal(m[name], counted["cancelled"], name)
        for name in ("orcd_client_disconnect_detection_ms_count", "orcd_client_disconnect_stop_ms_count"):
            equal(m[name], counted["disconnected"], name)
        t.stop()
        ended = [e for e in t.events() if e["message"] in ("job ended", "job rejected")]
        equal(len(ended), sent)
        check(all(e["correlation_id"] for e in ended))


main()
