"""What the tests of the command line share: TAP output, the program, a running worker."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback

ORCD = os.environ.get("ORCD", "build/orcd")
SRCDIR = os.environ.get("ORCD_SRCDIR", ".")
PLUGINS = os.environ.get("ORCD_PLUGINS", "build/plugins")
SHARED = os.environ.get("ORCD_SHARED", "")
TIMEOUT = 100  # ends a test that hangs; no test measures time with it

ENV = {k: v for k, v in os.environ.items() if not k.startswith("ORCD_")}
ENV["LC_ALL"] = "C.UTF-8"


class Skip(Exception):
    pass


def check(condition, text="", *more):
    if not condition:
        raise AssertionError(" ".join([str(text)] + [repr(m) for m in more]))


def equal(have, want, text=""):
    check(have == want, text, "have", have, "want", want)


def contains(text, part):
    check(part in text, "not in the text:", part, text)


def run(*args, stdin=b"", env=None, timeout=TIMEOUT):
    """Runs orcd; returns (status, stdout, stderr) with text."""
    e = dict(ENV, **(env or {}))
    p = subprocess.run([ORCD, *map(str, args)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       env=e, timeout=timeout)
    err = p.stderr.decode("utf-8", "replace")
    for words in (": runtime error: ", "Sanitizer: "): # their exit status may be the expected one
        check(words not in err, "a sanitizer reported an error", err)
    return p.returncode, p.stdout.decode("utf-8", "replace"), err


class Worker:
    """orcd serve; a context manager. Waits for `until` on its standard output."""

    def __init__(self, *args, plugin="mock", listen="127.0.0.1:0", until="orcd: ready", env=None, stderr=None,
                 **popen):
        self.errors = tempfile.TemporaryFile()
        words = [ORCD, "serve", "--listen", listen] + (["--plugin", plugin] if plugin else [])
        self.p = subprocess.Popen(words + list(map(str, args)), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=stderr or self.errors, env=dict(ENV, **(env or {})),
                                  **popen)
        self.lines = []
        self.url = None
        while until:
            line = self.p.stdout.readline().decode()
            if not line:
                self.p.wait(TIMEOUT)
                raise AssertionError("the worker ended: %s %s" % (self.p.returncode, self.stderr()))
            self.lines.append(line.rstrip("\n"))
            if line.startswith("orcd: listening on "):
                self.url = line.split()[-1]
            if line.startswith(until):
                break

    def stderr(self):
        fd = self.errors.fileno()  # the worker writes at the same offset: reading must not move it
        return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace")

    def signal(self, sig):
        self.p.send_signal(sig)

    def wait(self):
        """Exit status."""
        status = self.p.wait(TIMEOUT)
        self.p.stdout.close()
        return status

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()
        self.errors.close()

    def connect(self):
        if self.url.startswith("unix:"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.url[5:])
        else:
            host, port = self.url[len("http://"):].rsplit(":", 1)
            s = socket.create_connection((host.strip("[]"), int(port)))
        s.settimeout(TIMEOUT)
        return s

    def request(self, method, path, body=None, headers=()):
        """Sends a request; returns the socket to read the answer from."""
        s = self.connect()
        data = json.dumps(body).encode() if body is not None else b""
        head = ["%s %s HTTP/1.1" % (method, path), "Host: localhost", "Connection: close", *headers]
        if body is not None:
            head += ["Content-Type: application/json", "Content-Length: %d" % len(data)]
        s.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        return s


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def read_all(s):
    out = b""
    while True:
        part = s.recv(65536)
        if not part:
            s.close()
            return out
        out += part


def read_until(s, mark):
    out = b""
    while mark not in out:
        part = s.recv(65536)
        check(part, "the connection ended before", mark, out)
        out += part
    return out


class Dir:
    """A temporary folder that others cannot write to."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="orcd-test-")
        os.chmod(self.path, 0o755)
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, data, mode=0o644):
        path = os.path.join(self.path, name)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(path, mode)
        return path


def main(tests):
    print("1..%d" % len(tests), flush=True)
    bad = 0
    for i, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print("ok %d - %s" % (i, name), flush=True)
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, name, e), flush=True)
        except Exception:
            bad += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok %d - %s" % (i, name), flush=True)
    sys.exit(1 if bad else 0)
