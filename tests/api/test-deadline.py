"""Deadlines: how they are told, when they fire, and what is refused because it cannot keep them."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import datetime

LONG = {"max_tokens": 2000, "ignore_eos": True}
UTC = datetime.timezone.utc


def slow(*settings, **mock):
    """5 ms a token, 1 ms a prompt token, one slot."""
    return Worker("model.slots=1", *settings, **dict(dict(token_ms=5, prefill_us_per_token=1000), **mock))


def at(ms, zone=UTC):
    return datetime.datetime.now(zone) + datetime.timedelta(milliseconds=ms)


def rejections(t, when):
    return t.metrics()['orcd_deadline_rejections_total{when="%s"}' % when]


def taught(t):
    """The worker knows its rates and that answers have 40 tokens."""
    for i in range(5):
        r = t.execute(job_id="teach-%d" % i, stream=False, prompt="t%d" % i * 20, params={"max_tokens": 40})
        equal((r.status, r.json["tokens_out"]), (200, 40))
    # An answer is sent before its slot is free, and a slot that is not counts in a prediction's queue_ms.
    while t.call("GET", "/health").json["slots"]["busy"]:
        pass


# --- how they are told

@case("a deadline fires at its moment in any time zone and spelling, never early")
def _():
    with slow("deadlines.admission=simple") as t:
        east = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        west = datetime.timezone(datetime.timedelta(hours=-11))
        spellings = (
            lambda: at(300).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            lambda: at(300).strftime("%Y-%m-%dt%H:%M:%S.%fz"),
            lambda: at(300, east).isoformat(),
            lambda: at(300, west).strftime("%Y-%m-%dT%H:%M:%S.%f000-11:00"),
        )
        for i, spell in enumerate(spellings):
            begin = time.monotonic()
            s = t.stream(job_id="z%d" % i, params=LONG, headers={"X-Deadline": spell()}).open()
            e = s.rest()[-1]
            equal((e[0], e[2]["code"], e[2]["phase"]), ("error", "DEADLINE_EXCEEDED", "decode"), i)
            check(e[2]["tokens_out"] > 0)
            check(time.monotonic() - begin >= 0.299, i)


@case("second 60 is the next minute's first")
def _():
    with slow("deadlines.max_ms=86400000", "deadlines.admission=simple") as t:
        minute = at(120000).replace(second=0, microsecond=0)
        leap = (minute - datetime.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:60Z")
        r = t.execute(job_id="l", stream=False, params={"max_tokens": 1}, headers={"X-Deadline": leap})
        equal(r.status, 200, r.body)
        past = at(-120000).strftime("%Y-%m-%dT%H:%M:60Z")
        equal(t.execute(job_id="m", headers={"X-Deadline": past}).code, "DEADLINE_EXCEEDED")


@case("of three deadlines the earliest counts, whatever its header")
def _():
    names = ("X-Deadline", "Request-Timeout-Ms", "X-Request-Timeout-Ms")
    with slow("deadlines.admission=simple") as t:
        for early in names:
            headers = {n: ("%d" % (300 if n == early else 60000)) for n in names}
            headers["X-Deadline"] = at(int(headers["X-Deadline"])).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            begin = time.monotonic()
            e = t.stream(job_id=early, params=LONG, headers=headers).open().rest()[-1]
            equal(e[2]["code"], "DEADLINE_EXCEEDED", early)
            check(0.299 <= time.monotonic() - begin < 30, early)


@case("a number too large is as far as can be, never a wrapped one")
def _():
    with slow("deadlines.max_ms=60000") as t:
        for i, value in enumerate(("9" * 18, "1000000000001", "18446744073709")):
            s = t.stream(job_id="h%d" % i, params={"max_tokens": 1}, headers={"Request-Timeout-Ms": value}).open()
            equal(s.event()[2]["deadline_clamped"], True, value)
            equal(s.rest()[-1][0], "end")
        for value in ("9" * 19, "18446744073709551617", "-5", "", "1e3", "١"):
            r = t.execute(job_id="g", headers={"Request-Timeout-Ms": value.encode().decode("latin-1")})
            equal(r.status, 400, value)
        equal(t.execute(job_id="g", headers={"X-Deadline": "9999-99-99T99:99:99Z"}).status, 400)


# --- what the end looks like

@case("an answer in one piece that is late is a 504 with its phase")
def _():
    with slow("deadlines.admission=simple") as t:
        for i, (prompt, phase) in enumerate((("x", "decode"), ("p" * 2000, "prefill"))):
            r = t.execute(job_id="w%d" % i, stream=False, prompt=prompt, params=LONG, headers={"Request-Timeout-Ms": "250"})
            equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
            equal(r.json["error"]["details"]["phase"], phase)


@case("a partial answer in prefill ends without a token")
def _():
    with slow("deadlines.admission=simple") as t:
        s = t.stream(job_id="a", prompt="p" * 2000, params=dict(LONG, on_deadline="partial"), headers={"Request-Timeout-Ms": "250"}).open()
        e = s.rest()[-1]
        equal((e[0], e[2]["finish_reason"], e[2]["tokens_out"]), ("end", "deadline", 0))
        # In the queue there is nothing to be partial.
        a = t.stream(job_id="b", params=LONG).open()
        a.event()
        r = t.execute(job_id="c", params=dict(LONG, on_deadline="partial"), headers={"Request-Timeout-Ms": "250"})
        equal((r.status, r.json["error"]["details"]["phase"]), (504, "queue"))
        a.close()


# --- what is refused

@case("a worker that knows nothing refuses nothing")
def _():
    with slow() as t:
        s = t.stream(job_id="a", params=LONG, headers={"Request-Timeout-Ms": "300"}).open()
        equal(s.rest()[-1][2]["code"], "DEADLINE_EXCEEDED")
        equal(rejections(t, "predicted"), 0)


@case("what cannot be in time is refused at once, and told why")
def _():
    with slow() as t:
        taught(t)
        begin = time.monotonic()
        r = t.execute(job_id="a", params=LONG, headers={"Request-Timeout-Ms": "5000"})
        check(time.monotonic() - begin < 4)
        equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
        d = r.json["error"]["details"]
        equal(sorted(d), ["decode_ms", "margin_ms", "predicted_ms", "prefill_ms", "queue_ms", "remaining_ms"])
        check(9000 < d["predicted_ms"] < 30000, d)
        check(d["remaining_ms"] <= 5000 and d["queue_ms"] == 0, d)
        check(abs(d["predicted_ms"] - d["queue_ms"] - d["prefill_ms"] - d["decode_ms"]) < 3, d)
        check("the answer is predicted to take" in r.json["error"]["message"])
        equal(r.headers.get("Retry-After"), None)  # it never could
        equal(rejections(t, "predicted"), 1)
        # What is usual ends by itself after 40 tokens at most, as far as is known.
        s = t.stream(job_id="b", params={"max_tokens": 2000}, headers={"Request-Timeout-Ms": "5000"}).open()
        equal(s.event()[0], "started")
        s.close()
        # The first token is enough for a partial answer.
        s = t.stream(job_id="c", params=dict(LONG, on_deadline="partial"), headers={"Request-Timeout-Ms": "3000"}).open()
        equal(s.rest()[-1][2]["finish_reason"], "deadline")
        r = t.execute(job_id="d", prompt="p" * 2000, params=dict(LONG, on_deadline="partial"), headers={"Request-Timeout-Ms": "1000"})
        equal(r.status, 504)
        check("the first token is predicted to take" in r.json["error"]["message"])


@case("Retry-After when others are in the way")
def _():
    with slow() as t:
        taught(t)
        a = t.stream(job_id="a", params=dict(LONG, max_tokens=1500)).open()
        equal(a.event()[0], "started")
        b = t.stream(job_id="b", params=dict(LONG, max_tokens=600), headers={"Request-Timeout-Ms": "60000"})
        t.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        r = t.execute(job_id="c", params=dict(LONG, max_tokens=200), headers={"Request-Timeout-Ms": "3000"})
        equal((r.status, r.code), (504, "DEADLINE_EXCEEDED"))
        check(1 <= int(r.headers["Retry-After"]) <= 60, r.headers["Retry-After"])
        check(r.json["error"]["details"]["queue_ms"] > 1000)
        a.close()
        b.close()


@case("a prediction is in the log, its error in the metrics")
def _():
    with slow() as t:
        taught(t)
        r = t.execute(job_id="a", stream=False, params=dict(LONG, max_tokens=50), headers={"Request-Timeout-Ms": "60000"})
        equal(r.status, 200)
        m = t.metrics()
        equal(m["orcd_prediction_error_seconds_count"], 1)
        check(-0.2 <= m["orcd_prediction_margin_ratio"] <= 1)
        line = t.wait_log(lambda e: e.get("message") == "job ended" and e["job_id"] == "a")
        check(100 < line["predicted_ms"] < 2000, line)
        check("predicted_ms" not in t.wait_log(lambda e: e.get("job_id") == "teach-0"))


@case("probes are taken although they are predicted to be late")
def _():
    with slow("deadlines.probe_percent=100") as t:
        taught(t)
        s = t.stream(job_id="a", params=LONG, headers={"Request-Timeout-Ms": "400"}).open()
        equal(s.rest()[-1][2]["code"], "DEADLINE_EXCEEDED")
        equal(t.metrics()['orcd_prediction_probes_total{result="late"}'], 1)
        equal(rejections(t, "predicted"), 0)


main()
