"""Nothing that happens to the log, to descriptors 0 to 2, or by a stray signal ends or stops a worker."""
import fcntl
import os
import pty
import resource
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

F_SETPIPE_SZ = 1031


def dropped(w):
    text = run("metrics", "-u", w.url)[1]
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("orcd_log_lines_dropped_total "))


def log_until_lines_are_dropped(w):
    """Jobs, each with a line of its own, over one connection."""
    s = w.connect()
    n = 0
    while not dropped(w):
        for _ in range(100):
            n += 1
            body = json.dumps({"job_id": "%0120d" % n, "prompt": "x", "stream": False, "params": {"max_tokens": 1}})
            s.sendall(("POST /v2/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s" % (len(body), body)).encode())
            read_until(s, b'"finish_reason"')
    s.close()


def unread(make, *args):
    """A worker whose log nobody reads, with the log full."""
    ours, theirs = make()
    w = Worker(*args, stderr=theirs)
    os.close(theirs)
    try:
        log_until_lines_are_dropped(w)
    except BaseException:
        w.__exit__()
        raise
    return w, ours


def small_pipe():
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, F_SETPIPE_SZ, 4096)
    return ours, theirs


def a_pipe_that_nobody_reads_stops_nothing():
    w, log = unread(small_pipe, "--set", "shutdown.grace_ms=60000")
    with w:
        equal(run("health", "-u", w.url)[0], 0)
        s = w.request("POST", "/v2/execute", {"job_id": "j", "prompt": "x", "params": {"max_tokens": 3}})
        contains(read_all(s).decode(), "event: end")
        equal(w.stop(), 0)
    os.close(log)


def a_terminal_that_nobody_reads_stops_nothing():
    w, log = unread(pty.openpty, "--set", "shutdown.grace_ms=60000")
    with w:
        equal(run("health", "-u", w.url)[0], 0)
        equal(w.stop(), 0)
    os.close(log)


def dropped_lines_are_reported_once_when_somebody_reads():
    w, log = unread(small_pipe)
    with w:
        text = b""
        while b"log lines were dropped" not in text:
            text += os.read(log, 65536)
        reader = threading.Thread(target=lambda: parts.extend(iter(lambda: os.read(log, 65536), b"")))
        parts = [text]
        reader.start()
        s = w.request("POST", "/v2/execute", {"job_id": "afterwards", "prompt": "x", "params": {"max_tokens": 1}})
        read_all(s)
        equal(w.stop(), 0)
        reader.join()
        text = b"".join(parts).decode()
        equal(text.count("log lines were dropped"), 1)
        contains(text, "afterwards")
        contains(text, "graceful_shutdown_duration_ms")
        for line in text.splitlines():
            json.loads(line)  # whole lines
    os.close(log)


def a_log_at_its_size_limit_stops_nothing():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    with tempfile.TemporaryFile() as log, Worker(stderr=log, preexec_fn=limit) as w:
        log_until_lines_are_dropped(w)
        check(os.fstat(log.fileno()).st_size <= 4096)
        equal(w.stop(), 0)


def stray_signals_are_ignored():
    with Worker() as w:
        for sig in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
                    signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGRTMIN, signal.SIGRTMAX):
            w.signal(sig)
            equal(run("health", "-u", w.url)[0], 0, sig)
        equal(w.stop(), 0)


def closed_descriptors_are_opened_on_dev_null():
    with Dir() as d:
        socket_path = os.path.join(d.path, "s")
        p = subprocess.Popen(["sh", "-c", 'exec "$0" serve --plugin mock --listen "$1" <&- >&- 2>&-', ORCD,
                              "unix:" + socket_path], env=ENV)
        try:
            while run("health", "-u", "unix:" + socket_path)[0] != 0:
                check(p.poll() is None, "the worker ended", p.returncode)
            for fd in range(3):
                equal(os.readlink("/proc/%d/fd/%d" % (p.pid, fd)), "/dev/null")
            p.send_signal(signal.SIGTERM)
            equal(p.wait(TIMEOUT), 0)
        finally:
            p.kill()
            p.wait()


main([
    a_pipe_that_nobody_reads_stops_nothing,
    a_terminal_that_nobody_reads_stops_nothing,
    dropped_lines_are_reported_once_when_somebody_reads,
    a_log_at_its_size_limit_stops_nothing,
    stray_signals_are_ignored,
    closed_descriptors_are_opened_on_dev_null,
])
