#!/usr/bin/env python3
"""A daemon made of lib/ alone (tests/lib/clock-daemon.c): a route, an SSE clock, errors."""
import json
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done  # noqa: E402

DAEMON = os.path.join(os.environ["ORCD_BUILDDIR"], "tests/lib/clock-daemon")

def ask(port, head):
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.sendall((head + "\r\nHost: localhost\r\n\r\n").encode())
    return s


def answer(s):
    """Head and body of an answer with a Content-Length."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(4096) or exit("the connection was closed in a head")
    head, body = got.split(b"\r\n\r\n", 1)
    n = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(body) < n:
        body += s.recv(4096) or exit("the connection was closed in a body")
    return head.decode(), body


p = subprocess.Popen([DAEMON], stdout=subprocess.PIPE, text=True)
port = int(p.stdout.readline().rsplit(":", 1)[1])
head, body = answer(ask(port, "GET /ping HTTP/1.1"))
check([] if head.startswith("HTTP/1.1 200") and body == b"pong\n" else [head], "GET /ping")
head, body = answer(ask(port, "GET /pong HTTP/1.1"))
check([] if head.startswith("HTTP/1.1 404") and json.loads(body)["error"]["code"] == "NOT_FOUND" else [body],
      "no such route")
head, body = answer(ask(port, "GET /clock HTTP/1.1\r\nX-Deadline: soon"))
check([] if head.startswith("HTTP/1.1 400") and b"X-Deadline" in body else [body],
      "a deadline is read where work is asked for")
s = ask(port, "GET /clock HTTP/1.1")
got = b""
while got.count(b"data: ") < 3:
    got += s.recv(4096) or exit("the clock stopped")
times = [int(t) for t in re.findall(rb"data: (\d+)\n\n", got)]
check([] if b"text/event-stream" in got and times == sorted(set(times)) else [got], "GET /clock ticks")
p.send_signal(signal.SIGTERM)
status = p.wait(30)
check([status] if status else [], "a stream does not hold up the end")
rest = b"."
while rest:
    rest = s.recv(4096)
check([rest] if rest else [], "its client sees the end")
done()
