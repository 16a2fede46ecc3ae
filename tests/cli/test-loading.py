"""From listening to ready, and the ready callback."""
import http.server
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

JOB = {"job_id": "j", "prompt": "x", "params": {"max_tokens": 3}}


def health(w, path="/health"):
    answer = read_all(w.request("GET", path))
    return status_of(answer), json.loads(answer.split(b"\r\n\r\n", 1)[1])


def metric(w, name):
    for line in run("metrics", "-u", w.url)[1].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError("no metric " + name)


def it_listens_and_tells_its_progress():
    with Worker("--set", "plugin.options.load_ms=3000", "--set", "plugin.options.fault=device_open.slow",
                until="orcd: listening") as w:
        seen = []
        while True:
            status, body = health(w)
            if body["status"] == "healthy":
                equal(status, 200)
                break
            equal((status, body["status"]), (503, "loading"))
            seen.append(body["load_progress"])
            equal(health(w, "/health/live")[0], 200)
            answer = read_all(w.request("POST", "/v2/execute", JOB))
            if status_of(answer) == 200:
                break
            equal(status_of(answer), 503)
            contains(answer.decode(), "MODEL_LOADING")
            contains(answer.decode(), "\r\nRetry-After: 1\r\n")
            check(status_of(read_all(w.request("GET", "/metrics"))) == 200)
        equal(seen, sorted(seen))
        check(len(set(seen)) >= 5 and seen[0] < 0.2, seen)
        while health(w)[1]["status"] != "healthy":
            pass
        equal(health(w)[1]["load_progress"], 1.0)
        # Each phase is timed: the device took 500 ms longer, the load three seconds.
        check(metric(w, "orcd_cuda_init_duration_ms") >= 500)
        check(3000 <= metric(w, "orcd_model_load_duration_ms"))
        check(0 < metric(w, "orcd_http_server_start_duration_ms"))
        equal(w.stop(), 0)


def ready_means_that_a_first_step_was_made():
    """The load is over, the first step hangs: still loading."""
    with Worker("--set", "plugin.options.fault=wait.hang@1", "--set", "shutdown.grace_ms=300", "--set",
                "shutdown.drain_ms=0", until="orcd: listening") as w:
        while health(w)[1]["load_progress"] < 1:
            pass
        for _ in range(5):
            status, body = health(w, "/health/ready")
            equal((status, body["status"]), (503, "loading"))
            contains(read_all(w.request("POST", "/v2/execute", JOB)).decode(), "MODEL_LOADING")
        w.signal(signal.SIGTERM)
        equal(w.wait(), 79)
        check("orcd: ready" not in w.p.stdout.read().decode() if not w.p.stdout.closed else True)


def a_first_step_that_fails_is_no_start():
    with Worker("--set", "plugin.options.fault=wait.fail@1", until="orcd: listening") as w:
        equal(w.wait(), 69)
        contains(w.stderr(), "step")


# --- the ready callback

class Receiver:
    """Answers each POST with the next of `statuses`, the last of which repeats; `hold` delays the answers."""

    def __init__(self, *statuses, port=0, hold=None):
        self.got, self.changed = [], threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.changed:
                    n = len(outer.got)
                    outer.got.append((self.path, self.headers.get("Authorization"), body))
                    outer.changed.notify_all()
                if hold:
                    hold.wait(TIMEOUT)
                try:
                    self.send_response(statuses[min(n, len(statuses) - 1)])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # the worker no longer waits for the answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/ready" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, n):
        with self.changed:
            check(self.changed.wait_for(lambda: len(self.got) >= n, TIMEOUT), "called %d times" % len(self.got))
        return self.got

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def the_callback_says_who_is_ready():
    with Receiver(500, 204) as r, Dir() as d:
        secret = d.file("s", "callback-secret-1\n", 0o600)
        with Worker("--set", "worker.callback_url=" + r.url, "--set", "worker.callback_secret_file=" + secret,
                    "--set", "worker.id=w1", "--set", "model.ref=m1", "--set", "plugin.options.load_ms=50") as w:
            for path, auth, body in r.wait(2):
                equal((path, auth), ("/ready", "Bearer callback-secret-1"))
                equal(sorted(body), ["model_ref", "phases", "pid", "url", "vram_bytes", "worker_id"])
                equal((body["worker_id"], body["url"], body["model_ref"], body["pid"]), ("w1", w.url, "m1", w.p.pid))
                check(body["vram_bytes"] > 0)
                phases = body["phases"]
                equal(sorted(phases), ["device_init_ms", "http_server_start_ms", "model_load_ms", "warm_up_ms"])
                check(phases["http_server_start_ms"] > 0 and phases["model_load_ms"] >= 50, phases)
                check(phases["warm_up_ms"] > 0 and phases["device_init_ms"] >= 0, phases)
            equal(w.stop(), 0)
            check("callback-secret" not in w.stderr())
            equal(len(r.got), 2)


def the_callback_comes_when_jobs_are_taken():
    """A request that the receiver sends at once is answered."""
    hold = threading.Event()
    with Receiver(204, hold=hold) as r, Worker("--set", "worker.callback_url=" + r.url, "--set",
                                               "plugin.options.load_ms=100", until="orcd: listening") as w:
        equal(r.wait(1)[0][2]["url"], w.url)
        equal(health(w)[0], 200)
        contains(read_all(w.request("POST", "/v2/execute", JOB)).decode(), "event: end")
        hold.set()
        equal(w.stop(), 0)


def a_receiver_that_is_slow_delays_nothing():
    """The receiver never answers. Neither jobs nor the shutdown wait for it."""
    hold = threading.Event()
    with Receiver(204, hold=hold) as r:
        with Worker("--set", "worker.callback_url=" + r.url, "--set", "shutdown.grace_ms=600000") as w:
            r.wait(1)
            contains(read_all(w.request("POST", "/v2/execute", JOB)).decode(), "event: end")
            w.signal(signal.SIGTERM)
            equal(w.wait(), 0)
        hold.set()


def a_receiver_that_comes_later_is_told():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()  # nobody listens there now
    with Worker("--set", "worker.callback_url=http://127.0.0.1:%d/ready" % port) as w:
        contains(read_all(w.request("POST", "/v2/execute", JOB)).decode(), "event: end")
        while "retrying" not in w.stderr():
            pass
        with Receiver(200, port=port) as r:
            equal(r.wait(1)[0][2]["url"], w.url)
            equal(w.stop(), 0)
            equal(len(r.got), 1)


def a_receiver_that_is_never_content_is_given_up():
    """The worker skips its pauses between tries here, and keeps serving."""
    seams = os.path.join(os.environ.get("ORCD_BUILDDIR", "build"), "tests", "seams.so")
    if not os.path.exists(seams):
        raise Skip("no tests/seams.so")
    with Receiver(500) as r:
        env = {"LD_PRELOAD": seams, "SEAM_NO_PAUSES": "1", "ASAN_OPTIONS": "verify_asan_link_order=0"}
        with Worker("--set", "worker.callback_url=" + r.url, env=env) as w:
            r.wait(8)
            while "giving up" not in w.stderr():
                pass
            contains(w.stderr(), "answered with status 500")
            contains(read_all(w.request("POST", "/v2/execute", JOB)).decode(), "event: end")
            equal(w.stop(), 0)
            equal(len(r.got), 8)


def a_model_that_is_cut_is_still_served():
    """The cpu plugin has copies of all weights, the worker one of the rest: nothing reads the file again."""
    if not os.path.exists(os.path.join(PLUGINS, "cpu.so")):
        raise Skip("no cpu plugin")
    with open(os.path.join(SRCDIR, "share/demo/orcd-demo.gguf"), "rb") as f:
        demo = f.read()
    with Dir() as d:
        path = d.file("model.gguf", demo)
        with Worker(path, plugin="cpu") as w:
            answers = []
            for name in ("before", "after"):
                job = dict(JOB, job_id=name, stream=False, params={"max_tokens": 20, "temperature": 0})
                answer = read_all(w.request("POST", "/v2/execute", job))
                equal(status_of(answer), 200)
                answers.append(json.loads(answer.split(b"\r\n\r\n", 1)[1])["text"])
                os.truncate(path, 0)
            check(answers[0] and answers[0] == answers[1], answers)
            equal(health(w)[0], 200)
            equal(status_of(read_all(w.request("GET", "/v2/model"))), 200)
            equal(w.stop(), 0)


main([it_listens_and_tells_its_progress, ready_means_that_a_first_step_was_made,
      a_first_step_that_fails_is_no_start, the_callback_says_who_is_ready, the_callback_comes_when_jobs_are_taken,
      a_receiver_that_is_slow_delays_nothing, a_receiver_that_comes_later_is_told,
      a_receiver_that_is_never_content_is_given_up, a_model_that_is_cut_is_still_served])
