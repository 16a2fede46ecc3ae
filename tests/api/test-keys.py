"""The file of API keys: names, roles, limits, reading it again, short keys, guesses."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

ADMIN, ALICE, ALICE_NEW, BOB = ("%s-0123456789abcdef" % n for n in ("admin", "alice", "alice-new", "bob"))
RUNS = {"max_tokens": 4000, "ignore_eos": True}


class Keys:
    """A file of keys, replaced as editors do."""

    def __init__(self, *lines):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "keys")
        self.write(*lines)

    def write(self, *lines):
        with open(self.path + ".new", "w") as f:
            f.write("\n".join(lines) + "\n")
        os.chmod(self.path + ".new", 0o600)
        os.rename(self.path + ".new", self.path)

    def worker(self, *settings, **mock):
        return Worker("http.api_keys_file=" + self.path, *settings, **mock)


def started(t, job, key):
    s = t.stream(job_id=job, key=key, params=RUNS).open()
    equal((s.status, s.event()[0]), (200, "started"))
    return s


def cancel(t, job, key):
    return t.call("POST", "/v2/cancel", {"job_id": job}, key=key).status


def refused(r, status, code):
    equal((r.status, r.code), (status, code), r.body)
    return r


def reread(t, n=1):
    t.wait_log(lambda e: len([1 for e in t.events() if e.get("message") == "the API keys were read again"]) >= n)


@case("an admin shuts down and cancels the jobs of others; clients do neither, nor does a key without a role")
def _():
    keys = Keys("# ours", ADMIN + " name=ops role=admin", ALICE + " name=alice role=client", BOB)
    with keys.worker(token_ms=5) as t:
        s = started(t, "a", ALICE)
        equal((cancel(t, "a", BOB), cancel(t, "nobody", ADMIN)), (404, 404))
        for key in (ALICE, BOB):
            refused(t.call("POST", "/v2/shutdown", key=key), 403, "FORBIDDEN")
        equal(cancel(t, "a", ADMIN), 202)
        equal(s.rest()[-1][2]["code"], "CANCELLED")
        equal(t.call("POST", "/v2/shutdown", key=ADMIN).status, 202)
        equal(t.process.wait(PATIENCE), 0)


@case("the log names clients, of jobs and of refusals, and never a key")
def _():
    keys = Keys(ALICE + " name=alice", BOB)
    with keys.worker("log.level=debug") as t:
        equal(t.execute(job_id="a", key=ALICE, stream=False, params={"max_tokens": 1}).status, 200)
        equal(t.execute(job_id="b", key=BOB, stream=False, params={"max_tokens": 1}).status, 200)
        equal(t.execute(job_id="c", key=ALICE, params={"top_p": 3}).status, 400)
        names = [t.wait_log(lambda e: e.get("message") == "job ended" and e["job_id"] == j)["key"] for j in "ab"]
        equal(names, ["alice", "key-2"])
        job = t.wait_log(lambda e: e.get("message") == "job ended")
        check({"model", "client", "route", "tokens", "wasted"} <= set(job), job)
        equal(t.wait_log(lambda e: e.get("message") == "job rejected")["key"], "alice")
        check(not any(k in line for line in t.lines if line for k in (ALICE, BOB)), "a key is in the log")
    with Worker() as t:  # without keys nothing is left out but the key
        t.execute(job_id="a", stream=False, params={"max_tokens": 1}, headers={"Request-Timeout-Ms": "60000"})
        job = t.wait_log(lambda e: e.get("message") == "job ended")
        check({"model", "tokens", "wasted", "deadline_slack_ms"} <= set(job) and "key" not in job, job)


@case("rps: what comes too early is 429 and told when to come again; other clients, cancels and /metrics are not")
def _():
    keys = Keys(ALICE + " name=alice rps=0.01", ALICE_NEW + " name=alice rps=0.01", BOB)
    with keys.worker() as t:
        equal(t.execute(key=ALICE, job_id="a", stream=False, params={"max_tokens": 1}).status, 200)
        for key in (ALICE, ALICE_NEW):
            r = refused(t.execute(key=key, job_id="b"), 429, "RATE_LIMITED")
            check(90 < int(r.headers["Retry-After"]) <= 100, r.headers)
        r = t.call("POST", "/v1/completions", {"prompt": "a"}, key=ALICE)
        equal((r.status, r.json["error"]["code"], r.json["error"]["type"]), (429, "rate_limited", "rate_limit_error"))
        equal(t.execute(key=BOB, job_id="b", stream=False, params={"max_tokens": 1}).status, 200)
        equal((cancel(t, "a", ALICE), t.call("GET", "/metrics", key=ALICE).status), (202, 200))


@case("rps: a second's worth may come at once")
def _():
    with Keys(ALICE + " rps=5").worker("model.slots=8", "queue.capacity=64") as t:
        got = [t.execute(key=ALICE, job_id="j%d" % i, stream=False, params={"max_tokens": 1}).status for i in range(5)]
        equal(got, [200] * 5)


@case("max_running: one more waits though slots are free, and others pass it; max_queued: one more is 429")
def _():
    keys = Keys(ALICE + " name=alice max_running=2 max_queued=1", BOB)
    with keys.worker("model.slots=4", token_ms=5) as t:
        running = [started(t, "a%d" % i, ALICE) for i in range(2)]
        waits = t.stream(job_id="a2", key=ALICE, params={"max_tokens": 2})
        end = time.monotonic() + PATIENCE
        while t.metrics(BOB)["orcd_requests_waiting"] != 1:
            check(time.monotonic() < end, "the third does not wait")
        r = refused(t.execute(key=ALICE, job_id="a3"), 429, "RATE_LIMITED")
        check(r.headers["Retry-After"])
        equal(t.execute(key=BOB, job_id="b", stream=False, params={"max_tokens": 5}).status, 200)
        equal(t.metrics(BOB)["orcd_requests_waiting"], 1)
        equal(cancel(t, "a0", ALICE), 202)
        equal(waits.open().rest()[-1][0], "end")  # the freed place is its own
        for s in running:
            s.close()


@case("a changed file is read: new keys, names that stay the same client, keys that are gone; streams go on")
def _():
    keys = Keys(ALICE + " name=alice", BOB)
    with keys.worker(token_ms=5) as t:
        s = started(t, "a", ALICE)
        equal(t.call("GET", "/v2/model", key=ALICE_NEW).status, 401)
        keys.write(ALICE_NEW + " name=alice", ADMIN + " name=ops")
        reread(t)
        equal([t.call("GET", "/v2/model", key=k).status for k in (ALICE, BOB, ALICE_NEW)], [401, 401, 200])
        equal(s.event()[0], "token")
        equal((cancel(t, "a", ADMIN), cancel(t, "a", ALICE_NEW)), (404, 202))
        equal(s.rest()[-1][2]["code"], "CANCELLED")


@case("a file that is wrong changes nothing, and the log says which line; SIGHUP reads it, too")
def _():
    keys = Keys(ALICE)
    with keys.worker() as t:
        for i, line in enumerate((BOB + " role=king", BOB + " rps=0", BOB + " max_running=1.5", BOB + " name=", BOB + " x",
                                  "\x7f" + BOB, BOB + "\n" + BOB, "a" * 513, "# nothing")):
            keys.write(*([] if line[0] == "#" else ["# a comment"]), line)
            t.process.send_signal(signal.SIGHUP)
            said = t.wait_log(lambda e: len([1 for e in t.events() if "stay as they were" in e["message"]]) > i)
            check(said, line)
            equal(t.call("GET", "/v2/model", key=ALICE).status, 200)
        errors = [e["message"] for e in t.events() if "stay as they were" in e["message"]]
        check(all(":%d: " % n in e for e, n in zip(errors, (2, 2, 2, 2, 2, 2, 3, 2))), errors)
        check(not any(BOB in e for e in errors), errors)
        keys.write(BOB)
        t.process.send_signal(signal.SIGHUP)
        reread(t)
        equal(t.call("GET", "/v2/model", key=BOB).status, 200)


@case("short keys are accepted on loopback with a warning, and nowhere else")
def _():
    keys = Keys("EMPTY", "dummy role=admin")
    with keys.worker() as t:
        equal([t.call("GET", "/v2/model", key=k).status for k in ("EMPTY", "dummy", "EMPT")], [200, 200, 401])
        warned = [e for e in t.events() if "can be guessed" in e["message"]]
        equal([e["level"] for e in warned], ["warn"] * 2)
        check(not any("EMPTY" in line or "dummy" in line for line in t.lines if line))
    p = subprocess.run([ORCD, "serve", "--plugin", "mock", "--listen", "0.0.0.0:0", "--set", "http.api_keys_file=" + keys.path],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    check(p.returncode != 0 and b"16 to 512" in p.stderr and b"EMPTY" not in p.stderr, p.stderr)


@case("who guesses from an address waits ever longer; who has a key there does not; a guesser who leaves is forgotten")
def _():
    with Keys(ALICE).worker("http.wrong_key_delay_ms=60000") as t:
        def guess(n):
            s = t.connect()
            s.sendall(request("GET", "/v2/model", headers={"Connection": "close"}, key="guess-%d" % n))
            equal(t.call("GET", "/v2/model", key=ALICE).status, 200)  # after the guess, and answered
            s.setblocking(False)
            try:
                answered = s.recv(12)
            except BlockingIOError:
                answered = None
            s.setblocking(True)
            s.settimeout(PATIENCE)
            return s, answered
        n, first, open_ones = 0, None, []
        while len(open_ones) < 3:
            s, answered = guess(n)
            n += 1
            if answered is None:
                open_ones.append(s)
            else:
                equal(answered, b"HTTP/1.1 401")
                s.close()
            check(n < 1000, "no answer is ever delayed")
        check(n > 5, n)
        open_ones.pop().close()
        waiting = open_ones.pop()
        equal(t.stop(), 0)
        check(read_all(waiting)[:12] in (b"HTTP/1.1 401", b""))


main()
