"""orcd run, cancel, health and metrics against a mock worker; orcd plugins."""
import os
import pty
import re
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

HELLO = ("--set", "plugin.options.text=Hello, world. Goodbye.")
SLOW = ("--set", "plugin.options.token_ms=50")


def events(out):
    return [json.loads(line) for line in out.splitlines()]


def a_private_worker_answers_and_leaves_nothing():
    with Dir() as d:
        status, out, err = run("run", "--plugin", "mock", *HELLO, "hi", env={"TMPDIR": d.path, "XDG_RUNTIME_DIR": ""})
        equal((status, out, err), (0, "Hello, world. Goodbye.\n", ""))
        equal(os.listdir(d.path), [])


def a_private_worker_that_cannot_start_says_why():
    status, out, err = run("run", "--plugin", "nosuch", "hi")
    equal((status, out), (66, ""))
    contains(err, "no plugin nosuch")
    equal(len(err.splitlines()), 1, err)


def errors_of_a_private_worker_name_the_verb_that_was_typed():
    """A wrong plugin, a wrong key, a load that fails: the user did not type `orcd serve`."""
    with Dir() as d:
        no_model = d.file("no-model", "text")
        for args, status, part in ((("--plugin", "nosuch"), 66, "no plugin nosuch"),
                                   (("--plugin", "mock", "--model", no_model, "--set", "nosuch.key=1"), 64, "nosuch.key"),
                                   (("--plugin", "mock", "--set", "plugin.options.fault=load.fail"), 69, "load")):
            for verb in (("run", "hi"), ("chat", "--message", "hi")):
                have, out, err = run(*verb, *args)
                equal((have, out), (status, ""), err)
                equal(len(err.splitlines()), 1, err)
                check(err.startswith("orcd %s: " % verb[0]), err)
                contains(err, part)


def a_private_worker_that_is_killed_while_it_loads():
    """The client reports it under its own verb, and leaves no folder behind."""
    if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
        raise Skip("no list of children in /proc")
    with Dir() as d:
        p = subprocess.Popen([ORCD, "run", "--plugin", "mock", "--set", "plugin.options.fault=ctx_new.hang", "hi"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=dict(ENV, TMPDIR=d.path, XDG_RUNTIME_DIR=""))
        children = "/proc/%d/task/%d/children" % (p.pid, p.pid)
        worker = []
        while not worker:
            check(p.poll() is None, "it ended")
            with open(children) as f:
                worker = f.read().split()
        os.kill(int(worker[0]), signal.SIGKILL)
        out, err = p.communicate(timeout=TIMEOUT)
        equal((p.returncode, out), (70, b""), err)
        equal(err, b"orcd run: the private worker was ended by signal 9 while it loaded the model\n")
        equal(os.listdir(d.path), [])


def a_private_worker_ends_when_its_owner_is_killed():
    with Dir() as d:
        p = subprocess.Popen([ORCD, "run", "--plugin", "mock", *SLOW, "hi"], stdout=subprocess.PIPE,
                             env=dict(ENV, TMPDIR=d.path, XDG_RUNTIME_DIR=""))
        check(p.stdout.read(1), "no answer")
        folder = os.path.join(d.path, os.listdir(d.path)[0])
        s = socket.socket(socket.AF_UNIX)
        s.connect(os.path.join(folder, "worker.sock"))
        p.kill()
        p.wait()
        s.settimeout(TIMEOUT)
        try:
            equal(s.recv(1), b"")  # the worker has ended
        except ConnectionResetError:
            pass
        s.close()
        p.stdout.close()


def prompts_from_standard_input():
    with Worker(*HELLO) as w:
        equal(run("run", "-u", w.url, "-", stdin=b"a prompt")[:2], (0, "Hello, world. Goodbye.\n"))
        equal(run("run", "-u", w.url, stdin=b"a prompt")[:2], (0, "Hello, world. Goodbye.\n"))
        equal(run("run", "-u", w.url, "-", stdin=b"\xff")[0], 65)
        equal(w.stop(), 0)


def options_reach_the_request():
    with Worker() as w:
        status, out, err = run("run", "-u", w.url, "--json", "-n", "3", "-s", "7", "-t", "0.5", "hi")
        equal(status, 0, err)
        ev = events(out)
        equal([e["event"] for e in ev], ["started", "token", "token", "token", "end"])
        equal(ev[0]["data"]["seed"], 7)
        equal(ev[-1]["data"]["finish_reason"], "length")
        again = run("run", "-u", w.url, "--json", "-n", "3", "-s", "7", "-t", "0.5", "hi")[1]
        equal([e["data"].get("id") for e in events(again)], [e["data"].get("id") for e in ev])
        for bad in (("-t", "3"), ("-n", "0"), ("-n", "1.5"), ("--top-p", "x"), ("--deadline", "soon"),
                    ("--on-deadline", "maybe")):
            status, out, err = run("run", "-u", w.url, *bad, "hi")
            equal((status, out), (64, ""), bad)
        equal(w.stop(), 0)


def stop_strings_end_an_answer():
    with Worker(*HELLO) as w:
        equal(run("run", "-u", w.url, "--stop", "xyz", "--stop", ". G", "hi")[:2], (0, "Hello, world\n"))
        equal(w.stop(), 0)


def deadlines():
    with Worker(*SLOW, "--set", "deadlines.admission=simple") as w:
        status, out, err = run("run", "-u", w.url, "-d", "300ms", "-n", "4000", "hi")
        equal(status, 75, err)
        contains(err, "DEADLINE_EXCEEDED")
        status, out, err = run("run", "-u", w.url, "-d", "0.3s", "--on-deadline", "partial", "-n", "4000", "hi")
        equal(status, 0, err)
        contains(err, "deadline")
        status, out, err = run("run", "-u", w.url, "-d", "1ms", "hi")
        equal((status, out), (75, ""))
        equal(w.stop(), 0)


def interrupt_cancels_the_job():
    with Worker(*SLOW) as w:
        p = subprocess.Popen([ORCD, "run", "-u", w.url, "--json", "-n", "4000", "hi"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=ENV)
        contains(p.stdout.readline().decode(), "started")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=TIMEOUT)
        last = events(out.decode())[-1]
        equal((last["event"], last["data"]["code"], p.returncode), ("error", "CANCELLED", 130))
        equal(w.stop(), 0)


def an_interrupt_before_the_answer_cancels_by_name():
    """The worker has the request and has not answered yet, as in a queue or behind a proxy."""
    s = socket.create_server(("127.0.0.1", 0))
    s.settimeout(TIMEOUT)
    p = subprocess.Popen([ORCD, "run", "--raw", "-u", "http://127.0.0.1:%d" % s.getsockname()[1], "hi"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
    c, _ = s.accept()
    asked = read_until(c, b'"hi"}')
    p.send_signal(signal.SIGINT)
    c2, _ = s.accept()
    cancel = read_until(c2, b"}")
    contains(cancel.decode(), "POST /v2/cancel ")
    job = json.loads(asked.split(b"\r\n\r\n")[1])["job_id"]
    equal(json.loads(cancel.split(b"\r\n\r\n")[1]), {"job_id": job})
    c2.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    out, err = p.communicate(timeout=TIMEOUT)
    equal((p.returncode, out, err), (130, b"", b""))
    equal(read_all(c), b"")  # the client has closed the connection
    for x in (s, c2):
        x.close()


def an_interrupt_ends_a_job_in_the_queue():
    with Worker(*SLOW, "--set", "model.slots=1") as w:
        first = w.request("POST", "/v2/execute", {"job_id": "first", "prompt": "x", "params": {"max_tokens": 4000}})
        read_until(first, b"event: token")
        p = subprocess.Popen([ORCD, "run", "-u", w.url, "-n", "5", "hi"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=ENV)
        while json.loads(run("health", "-u", w.url)[1])["queue_depth"] != 1:
            pass
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=TIMEOUT)
        equal(p.returncode, 130)
        while json.loads(run("health", "-u", w.url)[1])["queue_depth"] != 0:
            pass
        metrics = run("metrics", "-u", w.url)[1]
        contains(metrics, 'orcd_requests_total{outcome="cancelled"} 1\n')
        first.close()
        equal(w.stop(), 0)


def a_second_interrupt_leaves_at_once():
    """The worker never answers: a raw listener that accepts and is silent."""
    s = socket.create_server(("127.0.0.1", 0))
    p = subprocess.Popen([ORCD, "run", "--raw", "-u", "http://127.0.0.1:%d" % s.getsockname()[1], "hi"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
    c, _ = s.accept()
    read_until(c, b"hi")
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: x\n\n"
              b"event: token\ndata: {\"t\":\"word\"}\n\n")
    check(p.stdout.read(4) == b"word")
    p.send_signal(signal.SIGINT)
    c2, _ = s.accept()  # the cancel, which is never answered
    read_until(c2, b"/v2/cancel")
    p.send_signal(signal.SIGINT)
    equal(p.wait(TIMEOUT), 130)
    for x in (s, c, c2, p.stdout, p.stderr):
        x.close()


def cancel_by_id():
    with Worker(*SLOW) as w:
        s = w.request("POST", "/v2/execute", {"job_id": "job-1", "prompt": "x", "params": {"max_tokens": 4000}})
        read_until(s, b"event: token")
        status, out, err = run("cancel", "-u", w.url, "job-1")
        equal(status, 0, err)
        contains(out, "cancelling")
        contains(read_all(s).decode(), "CANCELLED")
        equal(run("cancel", "-u", w.url, "job-1")[0], 0)
        status, out, err = run("cancel", "-u", w.url, "nobody")
        equal((status, out), (66, ""))
        contains(err, "NOT_FOUND")
        equal(w.stop(), 0)


def health_tells_scripts():
    with Worker() as w:
        status, out, err = run("health", "-u", w.url)
        equal(status, 0, err)
        equal(json.loads(out)["status"], "healthy")
        status, out, err = run("health", env={"ORCD_HTTP_LISTEN": w.url[len("http://"):]})
        equal(status, 0, err)
        equal(w.stop(), 0)
    equal(run("health", "-u", w.url)[0], 2)
    with Worker("--set", "plugin.options.load_ms=20000", until="orcd: listening") as w:
        status, out, err = run("health", "-u", w.url)
        equal((status, json.loads(out)["status"]), (1, "loading"))


def health_watches_until_the_end():
    with Worker() as w:
        p = subprocess.Popen([ORCD, "health", "--watch", "-u", w.url], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=ENV)
        equal(json.loads(p.stdout.readline())["status"], "healthy")
        equal(json.loads(p.stdout.readline())["status"], "healthy")
        p.kill()
        p.wait()
        p.stdout.close()
        equal(w.stop(), 0)


def metrics_are_those_of_the_list():
    with Worker() as w:
        run("run", "-u", w.url, "-n", "3", "hi")
        status, out, err = run("metrics", "-u", w.url)
        equal(status, 0, err)
        have = set(re.findall(r"^# TYPE (\S+)", out, re.M))
        want = {line.split()[0].split("{")[0] for line in run("metrics", "--list")[1].splitlines()}
        equal(have - want, set())
        contains(out, 'orcd_build_info{version="0.1.0",abi="1",plugin="mock"} 1')
        equal(w.stop(), 0)


def keys():
    with Dir() as d:
        good = d.file("keys", "# comment\n0123456789abcdef\nfedcba9876543210\n", 0o600)
        open_file = d.file("open", "0123456789abcdef\n", 0o644)
        with Worker("--set", "http.api_keys_file=" + good, *HELLO) as w:
            equal(run("health", "-u", w.url)[0], 0)
            status, out, err = run("run", "-u", w.url, "hi")
            equal((status, out), (77, ""))
            contains(err, "UNAUTHORIZED")
            equal(run("run", "-u", w.url, "hi", env={"ORCD_API_KEY": "fedcba9876543210"})[0], 0)
            equal(run("run", "-u", w.url, "--api-key-file", good, "hi")[0], 0)
            equal(run("run", "-u", w.url, "hi", env={"ORCD_API_KEY": "fedcba987654321x"})[0], 77)
            status, out, err = run("metrics", "-u", w.url, "--api-key-file", open_file)
            equal((status, out), (77, ""))
            contains(err, "chmod 600")
            check("0123456789abcdef" not in err)
            with open("/proc/%d/cmdline" % w.p.pid, "rb") as f:
                check(b"0123456789abcdef" not in f.read())
            equal(w.stop(), 0)
            check("0123456789abcdef" not in w.stderr())


def a_terminal_is_safe_from_the_answer():
    """Control characters of a model reach a pipe as they are and a terminal as '?'."""
    s = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d" % s.getsockname()[1]
    answer = ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
              "event: token\nid: 1\ndata: %s\n\nevent: end\ndata: {}\n\n" %
              json.dumps({"t": "a\x1b]0;owned\x07b\u009bc"})).encode()

    def serve():
        for _ in range(2):
            c, _ = s.accept()
            read_until(c, b"hi")
            c.sendall(answer)
            c.close()

    t = threading.Thread(target=serve)
    t.start()
    status, out, err = run("run", "--raw", "-u", url, "hi")
    equal((status, out), (0, "a\x1b]0;owned\x07b\u009bc\n"))
    master, slave = pty.openpty()
    p = subprocess.Popen([ORCD, "run", "--raw", "-u", url, "hi"], stdout=slave, stdin=subprocess.DEVNULL, env=ENV)
    os.close(slave)
    equal(p.wait(TIMEOUT), 0)
    equal(os.read(master, 1000), b"a?]0;owned?b?c\r\n")
    os.close(master)
    t.join()
    s.close()


def a_terminal_is_safe_from_events_as_json():
    """So it is with --json, from answers that are no JSON too: events with such names, and error answers."""
    s = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d" % s.getsockname()[1]
    head = "HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"
    answers = [(head % ("200 OK", "text/event-stream") + "event: token\nid: 1\ndata: {\"t\":\"\x1b[2J\u009b\"}\n\n").encode(),
               (head % ("200 OK", "text/event-stream") + "event: \x1b[2J\nid: \x1b[2J\ndata: x\n\n").encode(),
               (head % ("500 No", "application/json") + "{\"error\":\x1b[2J\u009b").encode()]

    def serve():
        for answer in answers:
            c, _ = s.accept()
            read_until(c, b"hi")
            c.sendall(answer)
            c.close()

    t = threading.Thread(target=serve)
    t.start()
    for answer in answers:
        master, slave = pty.openpty()
        p = subprocess.Popen([ORCD, "run", "--raw", "--json", "-u", url, "hi"], stdout=slave, stderr=slave,
                             stdin=subprocess.DEVNULL, env=ENV)
        os.close(slave)
        p.wait(TIMEOUT)
        shown = os.read(master, 10000)
        os.close(master)
        contains(shown, b"?[2J")
        check(b"\x1b" not in shown and b"\xc2\x9b" not in shown, shown)
    t.join()
    s.close()


def strange_servers_are_answered_with_a_status():
    """Nothing that a server sends may crash or hang a client."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    cases = [
        b"", b"\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 99 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", ok + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        ok + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        ok + b"Content-Length: 100\r\n\r\nevent: token\n",
        ok + b"\r\n", ok + b"\r\nevent: token\ndata: {\n\n", ok + b"\r\ndata: " + b"x" * (2 << 20) + b"\n\n",
        ok + b"\r\n" + (b"data: " + b"x" * 1000 + b"\n") * 2000 + b"\n",
        ok + b"\r\nevent: token\ndata: {\"t\": 5}\n\nevent: error\ndata: []\n\n",
        b"HTTP/1.1 500 X\r\nContent-Type: application/json\r\n\r\n{\"error\": 5}",
        b"HTTP/1.1 500 X\r\nContent-Type: application/json\r\n\r\n" + b"[" * 100000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nhello",
    ]
    s = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d" % s.getsockname()[1]

    def serve():
        for case in cases:
            c, _ = s.accept()
            read_until(c, b"hi")
            try:
                c.sendall(case)
            except OSError:
                pass
            c.close()

    t = threading.Thread(target=serve)
    t.start()
    for case in cases:
        status, out, err = run("run", "--raw", "-u", url, "hi")
        check(status in (65, 69, 70, 75, 76), status, case[:200], out[:200], err)
        equal(len(err.splitlines()), 1, err)
    t.join()
    s.close()


def addresses():
    for url in ("", "http://", "http://:80", "http://a:b", "http://a:123456", "http://a b", "unix:", "unix:x",
                "https://localhost", "ftp://x", "http://a?b", "http://u@h:1", "unix:/" + "x" * 200,
                "http://" + "x" * 400):
        status, out, err = run("health", "-u", url)
        equal(status, 2, url)
        equal(len(err.splitlines()), 1, url)


def unix_sockets():
    with Dir() as d:
        path = os.path.join(d.path, "w.sock")
        with Worker(*HELLO, listen="unix:" + path) as w:
            equal(w.url, "unix:" + path)
            equal(run("run", "-u", w.url, "hi")[:2], (0, "Hello, world. Goodbye.\n"))
            equal(w.stop(), 0)


def a_prompt_is_a_message_where_the_model_has_a_template():
    with Worker(*HELLO, "--set", "model.chat_template=chatml") as w:
        def prompt_tokens(*args):
            status, out, err = run("run", "-u", w.url, "--json", *args, "hi")
            equal(status, 0, err)
            return events(out)[0]["data"]["prompt_tokens"]
        raw = prompt_tokens("--raw")
        equal(prompt_tokens(), raw + len("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"))
        equal(run("run", "-u", w.url, "hi")[:2], (0, "Hello, world. Goodbye.\n"))
        equal(w.stop(), 0)


def a_worker_is_named_by_the_environment_or_runs_already():
    with Worker(*HELLO) as w:
        equal(run("run", "hi", env={"ORCD_URL": w.url})[:2], (0, "Hello, world. Goodbye.\n"))
        equal(run("health", env={"ORCD_URL": w.url})[0], 0)
        equal(run("health", "-u", w.url, env={"ORCD_URL": "http://127.0.0.1:1"})[0], 0)
        equal(w.stop(), 0)
    # At the configured unix socket, if it is ours or root's; another model, plugin or setting means a private one.
    with Dir() as d, Worker(*HELLO, listen="unix:" + os.path.join(d.path, "w.sock")) as w:
        here = {"ORCD_HTTP_LISTEN": w.url}
        equal(run("run", "hi", env=here), (0, "Hello, world. Goodbye.\n", ""))
        status, out, err = run("run", "--plugin", "mock", "--set", "plugin.options.text=Mine.", "hi", env=here)
        equal((status, out), (0, "Mine.\n"), err)
        equal(w.stop(), 0)


def speed_is_told_apart_from_the_answer():
    with Worker(*HELLO) as w:
        status, out, err = run("run", "-u", w.url, "--stats", "on", "hi")
        equal((status, out), (0, "Hello, world. Goodbye.\n"))
        check(re.fullmatch(r"\(\d+ tokens, [0-9.]+ a second; the first after \d+ ms\)\n", err), err)
        equal(run("run", "-u", w.url, "hi")[2], "")
        equal(run("run", "-u", w.url, "--stats", "maybe", "hi")[0], 64)
        equal(w.stop(), 0)


def health_is_a_table_on_a_terminal():
    with Worker() as w:
        for more, part in ((), "  status                healthy\r\n"), (("--json",), '{"status":"healthy"'):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(ORCD, [ORCD, "health", "-u", w.url, *more], ENV)
            out = b""
            try:
                while piece := os.read(fd, 4096):
                    out += piece
            except OSError:
                pass
            os.close(fd)
            equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
            contains(out.decode(), part)
        equal(w.stop(), 0)


def every_plugin_of_the_tree_opens():
    folder = os.path.join(SRCDIR, "plugins")
    names = [n for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, "plugin.map"))]
    names = [n for n in names if os.path.exists(os.path.join(PLUGINS, n + ".so"))]
    check("mock" in names)
    status, out, err = run("plugins", "--set", "plugin.dir=" + PLUGINS)
    equal(status, 0, err)
    for name in names:
        check(re.search(r"^  %s +\S+ +ABI 1\.\d+ +\S" % re.escape(name), out, re.M), "not usable:", name, out)


main([a_private_worker_answers_and_leaves_nothing, a_private_worker_that_cannot_start_says_why,
      errors_of_a_private_worker_name_the_verb_that_was_typed, a_private_worker_that_is_killed_while_it_loads,
      a_private_worker_ends_when_its_owner_is_killed, prompts_from_standard_input, options_reach_the_request,
      stop_strings_end_an_answer, deadlines, interrupt_cancels_the_job,
      an_interrupt_before_the_answer_cancels_by_name, an_interrupt_ends_a_job_in_the_queue, a_second_interrupt_leaves_at_once,
      cancel_by_id, health_tells_scripts, health_watches_until_the_end, metrics_are_those_of_the_list, keys,
      a_terminal_is_safe_from_the_answer, a_terminal_is_safe_from_events_as_json,
      strange_servers_are_answered_with_a_status, addresses, unix_sockets,
      a_prompt_is_a_message_where_the_model_has_a_template, a_worker_is_named_by_the_environment_or_runs_already,
      speed_is_told_apart_from_the_answer, health_is_a_table_on_a_terminal, every_plugin_of_the_tree_opens])
