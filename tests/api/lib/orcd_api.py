"""A worker with the mock plugin, raw sockets, HTTP and SSE parsing, TAP output."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ORCD = os.environ.get("ORCD", "./orcd")
# Sanitizers make everything slower; a wait that fails takes this long.
PATIENCE = float(os.environ.get("ORCD_TEST_PATIENCE", "30"))


class Worker:
    """orcd serve on a free port, the mock plugin's if none is named; waits until it is ready.
    Further keywords are the plugin's options."""

    def __init__(self, *settings, listen="127.0.0.1:0", nofile=None, wait="ready", plugin="mock", model=None,
                 env=None, **mock):
        argv = [ORCD, "serve"] + ([model] if model else []) + ["--plugin", plugin, "--listen", listen,
                "--set", "deadlines.min_remaining_ms=0", "--set", "log.format=json"]
        for s in settings:
            argv += ["--set", s]
        for key, value in mock.items():
            argv += ["--set", "plugin.options.%s=%s" % (key, value)]
        env = dict({k: v for k, v in os.environ.items() if not k.startswith("ORCD_")}, **(env or {}))
        def limit():
            if nofile:
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=env, preexec_fn=limit)
        self.lines, self.changed = [], threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = self.wait_log(lambda e: e.get("message") == "listening")["url"]
        if self.url.startswith("unix:"):
            self.address = self.url[5:]
        else:
            host, port = self.url[len("http://"):].rsplit(":", 1)
            self.address = (host.strip("[]"), int(port))
        if wait:
            self.wait_log(lambda e: e.get("message") == wait)

    def _read(self):
        for raw in self.process.stderr:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def events(self):
        out = []
        for line in list(self.lines):
            if line and line.startswith("{"):
                try:
                    out.append(json.loads(line))
                except ValueError:
                    pass
        return out

    def wait_log(self, wanted):
        end = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                for e in self.events():
                    if wanted(e):
                        return e
                if (self.lines and self.lines[-1] is None) or not self.changed.wait(end - time.monotonic()):
                    raise AssertionError("no such log line in:\n" + "\n".join(str(l) for l in self.lines))

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the worker did not end")
        self.reader.join(PATIENCE)
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        code = self.stop()
        if kind is None and code != 0:
            raise AssertionError("worker ended with %d:\n%s" % (code, "\n".join(str(l) for l in self.lines[-60:])))

    # --- clients

    def connect(self):
        family = socket.AF_UNIX if isinstance(self.address, str) else \
            socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        s.connect(self.address)
        return s

    def raw(self, data, half_close=False):
        """Everything that comes back for these bytes until the worker closes."""
        with self.connect() as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it closed while we wrote; what it said is still there
            return read_all(s)

    def call(self, method, path, body=None, headers=None, key=None):
        """-> Response; body: bytes, or anything JSON."""
        with self.connect() as s:
            s.sendall(request(method, path, body, headers, key))
            return read_response(s, method)

    def execute(self, **fields):
        headers = fields.pop("headers", None)
        key = fields.pop("key", None)
        fields.setdefault("prompt", "hello")
        return self.call("POST", "/v2/execute", fields, headers, key)

    def stream(self, **fields):
        return Stream(self, **fields)

    def metrics(self, key=None):
        return parse_metrics(self.call("GET", "/metrics", key=key).body.decode())

    def wait_metric(self, name, wanted):
        """There is no event for a counter outside; asks until it is as wanted."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.metrics().get(name)
            if wanted(value):
                return value
            if time.monotonic() > end:
                raise AssertionError("%s stays %r" % (name, value))


def request(method, path, body=None, headers=None, key=None):
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost"]
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
        headers.setdefault("Content-Length", str(len(body)))
    if key:
        headers["Authorization"] = "Bearer " + key
    lines += ["%s: %s" % item for item in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def read_all(s):
    data = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


def read_response(s, method="GET"):
    try:
        r = http.client.HTTPResponse(s, method=method)
        r.begin()
        return Response(r.status, r.headers, r.read())
    finally:
        r.close()


def parse_response(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    m = re.match(rb"HTTP/1\.[01] (\d{3}) ", lines[0] + b" ")
    status = int(m.group(1)) if m else 0
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        headers[name.decode().lower()] = value.strip().decode()
    return Response(status, headers, body)


class Stream:
    """An open event stream, read event by event."""

    def __init__(self, worker, **fields):
        headers = fields.pop("headers", None)
        key = fields.pop("key", None)
        if "tokens" not in fields and "messages" not in fields:
            fields.setdefault("prompt", "hello")
        self.socket = worker.connect()
        self.socket.sendall(request("POST", "/v2/execute", fields, headers, key))
        self.comments = 0

    def open(self):
        """Waits for the head of the response."""
        self.response = http.client.HTTPResponse(self.socket, method="POST")
        self.response.begin()
        return self

    @property
    def status(self):
        return self.response.status

    def event(self):
        """The next one as (event, id, data); None at the end."""
        kind = ident = data = None
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode("utf-8").rstrip("\n")
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("id: "):
                ident = int(line[4:])
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "" and kind:
                return kind, ident, data

    def rest(self):
        out = []
        while True:
            e = self.event()
            if e is None:
                return out
            out.append(e)

    def close(self):
        self.response.close() if hasattr(self, "response") else None
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()


def text_of(events):
    return "".join(e[2]["t"] for e in events if e[0] == "token")


def parse_metrics(text):
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            out[name] = float(value)
    return out


OUTCOMES = ("stop", "length", "deadline_partial", "deadline", "cancelled", "disconnected", "error", "rejected")


def outcomes(metrics):
    return {o: int(metrics['orcd_requests_total{outcome="%s"}' % o]) for o in OUTCOMES}


# --- TAP

_cases = []


class Skip(Exception):
    """Raised by a case that cannot run here; its text says why."""


def case(text):
    def add(fn):
        _cases.append((text, fn))
        return fn
    return add


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError("%s: got %r, wanted %r" % (what, got, wanted))


def check(value, what=""):
    if not value:
        raise AssertionError(what or "not true")


def main():
    if not os.access(ORCD, os.X_OK):
        sys.exit(77)
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [c for c in _cases if only in c[0]]
    print("1..%d" % len(cases), flush=True)
    failed = 0
    for i, (text, fn) in enumerate(cases, 1):
        try:
            fn()
            print("ok %d - %s" % (i, text), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (i, text, why), flush=True)
        except Exception:
            failed += 1
            print("not ok %d - %s" % (i, text), flush=True)
            for line in traceback.format_exc().splitlines():
                print("# " + line, flush=True)
    sys.exit(1 if failed else 0)
