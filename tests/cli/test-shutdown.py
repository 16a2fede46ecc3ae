"""How a worker shuts down, and what it reports to its supervisor."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SLOW = ("--set", "plugin.options.token_ms=20")
HUNG = 79
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


def duration(w):
    """The duration of the shutdown, from the log, in ms."""
    for line in w.stderr().splitlines():
        if "graceful_shutdown_duration_ms" in line:
            return float(line.split("graceful_shutdown_duration_ms")[1].strip('"=: ').split(" ")[0].split(",")[0].rstrip("}"))
    raise AssertionError("no duration in " + w.stderr())


def in_the_middle_of_a_prompt():
    with Worker("--set", "plugin.options.prefill_us_per_token=5000", "--set", "shutdown.drain_ms=0") as w:
        s = w.request("POST", "/v2/execute", dict(JOB, prompt="x" * 2000, params={"max_tokens": 10}))
        read_until(s, b"event: started")
        w.signal(signal.SIGTERM)
        rest = read_all(s).decode()
        contains(rest, "SHUTTING_DOWN")
        contains(rest, '"phase":"prefill"')
        equal(w.wait(), 0)
        check(duration(w) < 5000, duration(w))


def with_everything_at_once_and_the_settings_as_they_are():
    """Streams, a long prompt, a queue, an idle connection, half a request, a client that does not
    read, a hung memory query: all within grace_ms of 5 s, health and metrics answering meanwhile."""
    with Worker("--set", "model.slots=3", "--set", "model.context=32768", "--set", "plugin.options.token_ms=1", "--set",
                "plugin.options.prefill_us_per_token=3000") as w:
        stream = w.request("POST", "/v2/execute", dict(JOB, job_id="stream", params={"max_tokens": 30000}))
        read_until(stream, b"event: token")
        deaf = w.request("POST", "/v2/execute", dict(JOB, job_id="deaf", params={"max_tokens": 30000, "logprobs": 20}))
        prefill = w.request("POST", "/v2/execute", dict(JOB, job_id="prefill", prompt="y" * 20000))
        read_until(prefill, b"event: started")
        queued = [w.request("POST", "/v2/execute", dict(JOB, job_id="q%d" % i)) for i in range(5)]
        idle_one, half = w.connect(), w.connect()
        half.sendall(b"POST /v2/execute HTTP/1.1\r\nHo")
        while json.loads(run("health", "-u", w.url)[1])["queue_depth"] != 5:
            pass
        w.signal(signal.SIGTERM)
        for q in queued:
            equal(status_of(read_all(q)), 503)
        status, out, _ = run("health", "-u", w.url)
        equal((status, json.loads(out)["status"]), (1, "draining"))
        contains(run("metrics", "-u", w.url)[1], "orcd_requests_running 3\n")
        contains(read_all(stream).decode(), "SHUTTING_DOWN")
        contains(read_all(prefill).decode(), "SHUTTING_DOWN")
        equal(w.wait(), 0)
        check(duration(w) < 5000, duration(w))
        for s in (deaf, idle_one, half):
            s.close()


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
    with Worker("--set", "plugin.options.fault=wait.hang@6", "--set", "shutdown.drain_ms=100", "--set",
                "shutdown.grace_ms=1000") as w:
        s = w.request("POST", "/v2/execute", JOB)
        read_until(s, b"event: token")
        w.signal(signal.SIGTERM)
        contains(read_all(s).decode(), "SHUTTING_DOWN")
        equal(w.wait(), HUNG)
        contains(w.stderr(), "grace_ms")
        check(900 <= duration(w) < 5000, duration(w))  # shortly before the grace ends
        s.close()


def a_memory_query_that_hangs_is_left_behind():
    """Neither requests nor the shutdown wait for it."""
    with Worker("--set", "plugin.options.fault=memory.hang@2!", "--set", "health.refresh_ms=20", "--set",
                "shutdown.grace_ms=1000", "--set", "shutdown.drain_ms=0") as w:
        age = 0
        while age < 500:  # the cache is not renewed any more
            status, out, _ = run("health", "-u", w.url)
            equal((status, json.loads(out)["status"]), (0, "healthy"))
            now = json.loads(out)["checked_ms_ago"] or 0  # null until the first query has finished
            check(now >= age or age < 100, out)
            age = now
        contains(read_all(w.request("POST", "/v2/execute", dict(JOB, params={"max_tokens": 3}))).decode(), "event: end")
        w.signal(signal.SIGTERM)
        equal(w.wait(), HUNG)
        contains(w.stderr(), "memory query")


def while_loading():
    with Worker("--set", "plugin.options.load_ms=4000", until="orcd: listening") as w:
        w.signal(signal.SIGTERM)
        equal(w.wait(), 0)
        check(" ready" not in w.stderr(), w.stderr())
        contains(w.stderr(), "graceful_shutdown_duration_ms")


def a_load_that_hangs_is_left_behind():
    """Nothing is served yet, so the worker does not wait for it until the grace ends."""
    for _ in range(10):
        with Worker("--set", "plugin.options.fault=ctx_new.hang", "--set", "shutdown.grace_ms=600000",
                    until="orcd: listening") as w:
            while json.loads(run("health", "-u", w.url)[1])["load_progress"] < 1:
                pass
            w.signal(signal.SIGTERM)
            status = w.wait()
            if status == 0:
                continue  # the load noticed the signal between its last progress report and the hang
            equal(status, HUNG)
            contains(w.stderr(), "still loading")
            return
    raise AssertionError("it never hung")


def a_lifeline_that_closes():
    r, wr = os.pipe()
    with Worker("--lifeline-fd", r, pass_fds=(r,)) as w:
        os.close(r)
        os.close(wr)
        equal(w.wait(), 0)


def a_lost_device_ends_the_worker():
    with Worker("--set", "plugin.options.fault=wait.device_lost@7") as w:
        s = w.request("POST", "/v2/execute", JOB)
        contains(read_all(s).decode(), "DEVICE_LOST")
        equal(w.wait(), 69)
        contains(w.stderr(), "device is lost")


def shutdown_by_request_is_not_there_without_keys():
    with Worker() as w:
        equal(status_of(read_all(w.request("POST", "/v2/shutdown", {}))), 404)
        equal(run("health", "-u", w.url)[0], 0)
        equal(w.stop(), 0)


def shutdown_by_request_needs_a_key():
    with Dir() as d:
        key = "0123456789abcdef"
        with Worker("--set", "http.api_keys_file=" + d.file("k", key + " role=admin\n", 0o600)) as w:
            equal(status_of(read_all(w.request("POST", "/v2/shutdown", {}))), 401)
            equal(status_of(read_all(w.request("POST", "/v2/shutdown", {}, ["Authorization: Bearer x" + key]))), 401)
            equal(run("health", "-u", w.url)[0], 0)
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

    def drop(self):
        """Drops the messages that have arrived."""
        self.s.setblocking(False)
        try:
            while True:
                self.s.recv(4096)
        except BlockingIOError:
            pass
        self.s.settimeout(TIMEOUT)

    def until(self, part, without=None):
        while True:
            text = self.s.recv(4096).decode()
            check(not without or without not in text, text)
            if part in text:
                return text


def the_supervisor_is_told():
    with Supervisor() as sup:
        env = {"NOTIFY_SOCKET": sup.path, "WATCHDOG_USEC": "200000"}
        with Worker("--set", "plugin.options.load_ms=300", env=env) as w:
            contains(sup.until("EXTEND_TIMEOUT_USEC"), "STATUS=loading")
            contains(sup.until("READY=1", without="WATCHDOG"), "STATUS=ready")
            sup.until("WATCHDOG=1")
            sup.until("WATCHDOG=1")
            w.signal(signal.SIGTERM)
            sup.until("STOPPING=1")
            check(float(sup.until("STATUS=stopped after").split()[-2]) < 5000)
            equal(w.wait(), 0)


def a_load_that_stands_still_gets_no_more_time():
    """With tests/seams.so the test sets the worker's clock."""
    seams = os.path.join(os.environ.get("ORCD_BUILDDIR", "build"), "tests", "seams.so")
    if not os.path.exists(seams):
        raise Skip("no tests/seams.so")
    with Supervisor() as sup:
        clock = os.path.join(sup.dir.path, "clock")

        def ahead(seconds):
            with open(clock, "r+b") as f:
                f.write((seconds * 1000).to_bytes(8, "little"))

        def rounds(w):
            """Waits until the worker's main loop has read the clock twice."""
            for _ in range(2):
                told = w.stderr().count("SIGHUP ignored")
                w.signal(signal.SIGHUP)
                while w.stderr().count("SIGHUP ignored") == told:
                    pass

        with open(clock, "wb") as f:
            f.write(bytes(8))
        env = {"LD_PRELOAD": seams, "SEAM_CLOCK": clock, "ASAN_OPTIONS": "verify_asan_link_order=0",
               "NOTIFY_SOCKET": sup.path}
        with Worker("--set", "plugin.options.fault=ctx_new.hang", env=env, until="orcd: listening") as w:
            while json.loads(run("health", "-u", w.url)[1])["load_progress"] < 1:
                pass
            rounds(w)
            sup.drop()
            ahead(10)  # within health.stall_ms of 30 s
            sup.until("EXTEND_TIMEOUT_USEC")
            ahead(50)  # beyond it
            rounds(w)
            sup.drop()
            for seconds in (60, 100):
                ahead(seconds)
                rounds(w)
            w.signal(signal.SIGTERM)
            said = sup.until("")
            contains(said, "STOPPING=1")
            w.wait()


def a_hung_step_starves_the_watchdog():
    with Supervisor() as sup:
        env = {"NOTIFY_SOCKET": sup.path, "WATCHDOG_USEC": "100000"}
        with Worker("--set", "plugin.options.fault=wait.hang@6", "--set", "health.stall_ms=200", "--set",
                    "shutdown.drain_ms=0", "--set", "shutdown.grace_ms=200", env=env) as w:
            sup.until("READY=1")
            sup.until("WATCHDOG=1")
            s = w.request("POST", "/v2/execute", JOB)
            while run("health", "-u", w.url)[0] == 0:
                pass
            # Unhealthy: from here on nothing feeds the watchdog.
            sup.drop()
            for _ in range(3):
                run("health", "-u", w.url)
            w.signal(signal.SIGTERM)
            seen = []
            while not seen or "STATUS=" not in seen[-1]:
                seen.append(sup.s.recv(4096).decode())
            check(not any("WATCHDOG=1" in text for text in seen), seen)
            equal(w.wait(), HUNG)
            s.close()


def the_supervisor_learns_of_a_hung_end():
    with Supervisor() as sup:
        with Worker("--set", "plugin.options.fault=wait.hang@6", "--set", "shutdown.drain_ms=0", "--set",
                    "shutdown.grace_ms=200", env={"NOTIFY_SOCKET": sup.path}) as w:
            s = w.request("POST", "/v2/execute", JOB)
            read_until(s, b"event: token")
            w.signal(signal.SIGTERM)
            sup.until("STOPPING=1")
            contains(sup.until("STATUS=not finished"), "ms")
            equal(w.wait(), HUNG)
            s.close()


def unit_path(name):
    return os.path.join(os.environ.get("ORCD_BUILDDIR", "build"), "config", name)


def units_are_sound():
    verify = shutil.which("systemd-analyze")
    if not verify or not os.path.exists(unit_path("orcd.service")):
        raise Skip("no systemd-analyze or no unit file")
    for name, instance in ("orcd.service", "orcd.service"), ("orcd@.service", "orcd@one.service"):
        with open(unit_path(name)) as f, Dir() as d:
            text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=" + os.path.abspath(ORCD), f.read())
            for more in "", text.replace("#PrivateDevices", "PrivateDevices").replace("#PrivateUsers", "PrivateUsers") \
                    .replace("#ProcSubset", "ProcSubset").replace("#MemoryDeny", "MemoryDeny").replace("#SystemCall", "SystemCall"):
                path = d.file(instance, more or text)
                p = subprocess.run([verify, "verify", "--man=no", path], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, timeout=TIMEOUT)
                said = [line for line in p.stdout.decode().splitlines() if instance in line]
                equal((p.returncode, said), (0, []), p.stdout)
        contains(text, "Type=notify")


def an_instance_has_a_configuration_and_folders_of_its_own():
    if not os.path.exists(unit_path("orcd@.service")):
        raise Skip("no unit file")
    one, many = unit_settings("orcd.service"), unit_settings("orcd@.service")
    check(one["ExecStart"][-1].endswith("/orcd.yaml") and many["ExecStart"][-1].endswith("/orcd/%i.yaml"), many)
    for key in "RuntimeDirectory", "StateDirectory", "CacheDirectory":
        equal((one[key], many[key]), (["orcd"], ["orcd/%i"]))
    equal({k for k in one if one[k] != many[k]},
          {"Description", "ExecStart", "RuntimeDirectory", "StateDirectory", "CacheDirectory", "Environment"})


def unit_settings(name):
    """Of a unit file: values by key, those of a key that comes twice in one list."""
    settings = {}
    with open(unit_path(name)) as f:
        for key, _, value in (line.strip().partition("=") for line in f if "=" in line and line[0] != "#"):
            settings.setdefault(key, []).extend(value.split())
    return settings


def the_unit_gives_the_cuda_plugin_its_devices_and_a_cache():
    if not os.path.exists(unit_path("orcd.service")):
        raise Skip("no unit file")
    worker, devices = unit_settings("orcd.service"), unit_settings("orcd-nvidia.service")
    # A worker without new privileges cannot run the driver's setuid program, nor make devices; what is allowed of
    # devices is looked up when it starts. So another unit, that may, comes first.
    check("yes" in worker["NoNewPrivileges"], worker)
    for key in "Wants", "After":
        check("orcd-nvidia.service" in worker[key], worker[key])
    check("-u" in devices["ExecStart"] and devices["ExecStart"][0].endswith("/nvidia-modprobe"), devices)
    check(not {"NoNewPrivileges", "DevicePolicy", "User", "RemainAfterExit"} & set(devices), devices)
    # The driver's own place for its cache is a home that the user lacks, and ProtectHome hides.
    contains(worker["Environment"], "CUDA_CACHE_PATH=%C/" + worker["CacheDirectory"][0] + "/cuda")


main([idle, hangup_is_ignored, a_running_job_ends_with_its_event, a_short_job_may_finish,
      in_the_middle_of_a_prompt, with_everything_at_once_and_the_settings_as_they_are,
      while_draining_health_answers_and_new_jobs_do_not, a_second_signal_leaves_at_once,
      a_plugin_that_hangs_is_left_behind, a_memory_query_that_hangs_is_left_behind, while_loading,
      a_load_that_hangs_is_left_behind, a_lifeline_that_closes, a_lost_device_ends_the_worker,
      shutdown_by_request_is_not_there_without_keys, shutdown_by_request_needs_a_key, the_supervisor_is_told,
      a_load_that_stands_still_gets_no_more_time,
      a_hung_step_starves_the_watchdog, the_supervisor_learns_of_a_hung_end, units_are_sound,
      an_instance_has_a_configuration_and_folders_of_its_own,
      the_unit_gives_the_cuda_plugin_its_devices_and_a_cache])
