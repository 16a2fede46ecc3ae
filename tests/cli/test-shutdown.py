"""How a worker ends, and what it tells its supervisor."""
import http.server
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SLOW = ("--set", "plugin.options.token_ms=20")
JOB = {"job_id": "j", "prompt": "x", "params": {"max_tokens": 4000}}


def idle():
    for sig in (signal.SIGTERM, signal.SIGINT):
        with Worker() as w:
            w.signal(sig)
            equal(w.wait(), 0)
            contains(w.stderr(), "graceful_shutdown_duration_ms")


def hangup_is_ignored():
    with Worker() as w:
        w.signal(signal.SIGHUP)
        equal(run("health", "-u", w.url)[0], 0)
        equal(w.stop(), 0)
        contains(w.stderr(), "SIGHUP")


def a_running_job_ends_with_its_event():
    with Worker(*SLOW, "--set", "shutdown.drain_ms=100") as w:
        s = w.request("POST", "/v2/execute", JOB)
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        rest = read_all(s).decode()
        contains(rest, "event: error")
        contains(rest, "SHUTTING_DOWN")
        equal(w.wait(), 0)


def a_short_job_may_finish():
    with Worker(*SLOW, "--set", "shutdown.grace_ms=60000", "--set", "shutdown.drain_ms=50000") as w:
        s = w.request("POST", "/v2/execute", {"job_id": "j", "prompt": "x", "params": {"max_tokens": 20}})
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        contains(read_all(s).decode(), "event: end")
        equal(w.wait(), 0)


def while_draining_health_answers_and_new_jobs_do_not():
    with Worker(*SLOW, "--set", "shutdown.grace_ms=60000", "--set", "shutdown.drain_ms=50000") as w:
        s = w.request("POST", "/v2/execute", JOB)
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        while json.loads(run("health", "-u", w.url)[1])["status"] != "draining":
            pass
        status, out, err = run("run", "-u", w.url, "hi")
        equal((status, out), (75, ""))
        contains(err, "SHUTTING_DOWN")
        s.close()
        equal(w.wait(), 0)


def a_second_signal_leaves_at_once():
    with Worker(*SLOW, "--set", "shutdown.grace_ms=600000", "--set", "shutdown.drain_ms=500000") as w:
        s = w.request("POST", "/v2/execute", JOB)
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        while json.loads(run("health", "-u", w.url)[1])["status"] != "draining":
            pass
        w.signal(signal.SIGTERM)
        equal(w.wait(), 128 + signal.SIGTERM)
        s.close()


def a_plugin_that_hangs_is_left_behind():
    with Worker("--set", "plugin.options.fault=wait.hang@4", "--set", "shutdown.drain_ms=100", "--set",
                "shutdown.grace_ms=1000") as w:
        s = w.request("POST", "/v2/execute", JOB)
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        contains(read_all(s).decode(), "SHUTTING_DOWN")
        equal(w.wait(), 75)
        contains(w.stderr(), "grace_ms")
        s.close()


def while_loading():
    with Worker("--set", "plugin.options.load_ms=20000", until="orcd: listening") as w:
        w.signal(signal.SIGTERM)
        equal(w.wait(), 0)


def a_lifeline_that_closes():
    r, wr = os.pipe()
    with Worker("--lifeline-fd", r, pass_fds=(r,)) as w:
        os.close(r)
        os.close(wr)
        equal(w.wait(), 0)


def a_lost_device_ends_the_worker():
    with Worker("--set", "plugin.options.fault=wait.device_lost@5") as w:
        s = w.request("POST", "/v2/execute", JOB)
        contains(read_all(s).decode(), "DEVICE_LOST")
        equal(w.wait(), 69)
        contains(w.stderr(), "device is lost")


def shutdown_by_request_needs_a_key():
    with Dir() as d:
        key = "0123456789abcdef"
        with Worker("--set", "http.api_keys_file=" + d.file("k", key + "\n", 0o600)) as w:
            equal(status_of(read_all(w.request("POST", "/v2/shutdown", {}))), 401)
            answer = read_all(w.request("POST", "/v2/shutdown", {}, ["Authorization: Bearer " + key]))
            equal(status_of(answer) // 100, 2)
            equal(w.wait(), 0)


class Supervisor:
    """A datagram socket in systemd's place."""

    def __enter__(self):
        self.dir = Dir()
        self.dir.__enter__()
        self.path = os.path.join(self.dir.path, "notify")
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.s.settimeout(TIMEOUT)
        return self

    def __exit__(self, *exc):
        self.s.close()
        self.dir.__exit__()

    def until(self, part):
        while True:
            text = self.s.recv(4096).decode()
            if part in text:
                return text


def the_supervisor_is_told():
    with Supervisor() as sup:
        env = {"NOTIFY_SOCKET": sup.path, "WATCHDOG_USEC": "200000"}
        with Worker("--set", "plugin.options.load_ms=300", env=env) as w:
            contains(sup.until("EXTEND_TIMEOUT_USEC"), "STATUS=loading")
            contains(sup.until("READY=1"), "STATUS=ready")
            sup.until("WATCHDOG=1")
            sup.until("WATCHDOG=1")
            w.signal(signal.SIGTERM)
            sup.until("STOPPING=1")
            sup.until("STATUS=stopped after")
            equal(w.wait(), 0)


def a_hung_step_starves_the_watchdog():
    with Supervisor() as sup:
        env = {"NOTIFY_SOCKET": sup.path, "WATCHDOG_USEC": "100000"}
        with Worker("--set", "plugin.options.fault=wait.hang@4", "--set", "health.stall_ms=200", "--set",
                    "shutdown.drain_ms=0", "--set", "shutdown.grace_ms=200", env=env) as w:
            sup.until("READY=1")
            sup.until("WATCHDOG=1")
            s = w.request("POST", "/v2/execute", JOB)
            while run("health", "-u", w.url)[0] == 0:
                pass
            # Unhealthy: from here on nothing feeds the watchdog.
            sup.s.setblocking(False)
            try:
                while True:
                    sup.s.recv(4096)
            except BlockingIOError:
                pass
            sup.s.settimeout(TIMEOUT)
            for _ in range(3):
                run("health", "-u", w.url)
            w.signal(signal.SIGTERM)
            seen = []
            while not seen or "STATUS=" not in seen[-1]:
                seen.append(sup.s.recv(4096).decode())
            check(not any("WATCHDOG=1" in text for text in seen), seen)
            equal(w.wait(), 75)
            s.close()


def the_ready_callback():
    got = []
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()
            if len(got) == 2:
                done.set()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Dir() as d:
        secret = d.file("s", "callback-secret-1\n", 0o600)
        url = "http://127.0.0.1:%d/ready" % server.server_port
        with Worker("--set", "worker.callback_url=" + url, "--set", "worker.callback_secret_file=" + secret,
                    "--set", "worker.id=w1", "--set", "model.ref=m1") as w:
            check(done.wait(TIMEOUT), "no second try")
            equal(w.stop(), 0)
            for path, auth, body in got:
                equal((path, auth), ("/ready", "Bearer callback-secret-1"))
                equal((body["worker_id"], body["url"], body["model_ref"], body["pid"]), ("w1", w.url, "m1", w.p.pid))
                check(body["vram_bytes"] > 0 and body["phases"]["model_load_ms"] >= 0, body)
            check("callback-secret" not in w.stderr())
    server.shutdown()
    server.server_close()


main([idle, hangup_is_ignored, a_running_job_ends_with_its_event, a_short_job_may_finish,
      while_draining_health_answers_and_new_jobs_do_not, a_second_signal_leaves_at_once,
      a_plugin_that_hangs_is_left_behind, while_loading, a_lifeline_that_closes, a_lost_device_ends_the_worker,
      shutdown_by_request_needs_a_key, the_supervisor_is_told, a_hung_step_starves_the_watchdog,
      the_ready_callback])
