"""When a worker is unhealthy, what brings it back, and that each change is one line of the log."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

SAMPLED_HERE = "plugin.options.sampling=false"


def fail_jobs(t, n):
    for i in range(n):
        r = t.execute(job_id="f%d" % i, stream=False, params={"max_tokens": 2})
        check(r.status in (502, 503), (r.status, r.body))


def lines(t, message):
    return [e for e in t.events() if e.get("message") == message]


@case("jobs that the device fails in a row make it unhealthy; a probe that succeeds brings it back")
def _():
    faults = " ".join("seq_open.fail@%d" % n for n in (2, 3, 4))  # the first call is the warm-up's
    with Worker("health.max_failures=3", fault=faults) as t:
        fail_jobs(t, 3)
        e = t.wait_log(lambda e: e.get("message") == "unhealthy")
        equal((e["level"], e["reason"]), ("warn", "the device fails every job"))
        t.wait_log(lambda e: e.get("message") == "no longer unhealthy")
        equal(t.call("GET", "/health/ready").status, 200)
        equal(t.execute(job_id="a", stream=False, params={"max_tokens": 2}).status, 200)
        equal((len(lines(t, "unhealthy")), len(lines(t, "no longer unhealthy"))), (1, 1))


@case("a device that goes on failing stays unhealthy, however it fails")
def _():
    for fault in "seq_open.oom@2!", "seq_open.fail@2!", "wait.row_fail@5!", "wait.fail@5!", "logits.nan!":
        with Worker("health.max_failures=3", SAMPLED_HERE, fault=fault) as t:
            fail_jobs(t, 2)
            equal(t.call("GET", "/health/ready").status, 200, fault)
            fail_jobs(t, 1)
            t.wait_log(lambda e: e.get("message") == "unhealthy")
            r = t.call("GET", "/health/ready")
            equal((r.status, r.json["status"], r.json["reason"]), (503, "unhealthy", "the device fails every job"), fault)
            equal(t.call("GET", "/health/live").status, 200)


@case("one token in between, and the count begins anew; 0: never")
def _():
    with Worker("health.max_failures=2", fault="seq_open.fail@2 seq_open.fail@4") as t:
        fail_jobs(t, 1)
        equal(t.execute(job_id="a", stream=False, params={"max_tokens": 2}).status, 200)
        equal(t.call("GET", "/health/ready").status, 200)
    with Worker("health.max_failures=0", fault="seq_open.fail@2!") as t:
        fail_jobs(t, 20)
        equal(t.call("GET", "/health/ready").status, 200)


@case("a query of the device that does not return is unhealthy after stall_ms, and logged")
def _():
    with Worker("health.refresh_ms=100", "health.stall_ms=100", fault="memory.slow@3") as t:
        e = t.wait_log(lambda e: e.get("message") == "unhealthy")
        equal(e["reason"], "a query of the device does not return")
        t.wait_log(lambda e: e.get("message") == "no longer unhealthy")
        equal(len(lines(t, "unhealthy")), 1)


@case("a device that is lost while a job is admitted: all jobs end with DEVICE_LOST")
def _():
    t = Worker("model.slots=2", token_ms=5, fault="seq_open.device_lost@3")
    try:
        first = t.stream(job_id="a", params={"max_tokens": 4000, "ignore_eos": True}).open()
        equal(first.event()[0], "started")
        second = t.stream(job_id="b", prompt="another", params={"max_tokens": 2}).open()
        equal((second.status, json.loads(second.response.read())["error"]["code"]), (503, "DEVICE_LOST"))
        last = first.rest()[-1]
        equal((last[0], last[2]["code"]), ("error", "DEVICE_LOST"))
        equal(t.process.wait(PATIENCE), 69)
    finally:
        t.stop()


main()
