#!/usr/bin/env python3
"""Hogs beside a canary: soak-hogs.py [SECONDS [ORCD]]

A worker with the mock plugin; a log that is read slowly; from other loopback addresses, each a client of its
own: bodies of 4 MB that never end, connections that never ask, answers that nobody reads, wrong keys one after
the other. A canary asks for /health and for one token in turn, each on a new connection. Prints how long it
waited: n, p50, p99, the longest, and what failed. Status 1: something failed, or p99 is 50 ms or more.
"""
import json
import multiprocessing
import os
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

KEY = "canary-0123456789abcdef"
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 1800
ORCD = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../build/orcd")
LIMIT_MS = 50


def connect(port, source):
    s = socket.socket()
    s.settimeout(10)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def post(path, body, key=KEY, length=None):
    return ("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
            "Content-Length: %d\r\nConnection: close\r\n\r\n" % (path, key, length or len(body))).encode() + body


def canary(port, end, out):
    waited, failed, n = [], [], 0
    while time.monotonic() < end:
        ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        if n % 2:
            ask = post("/v2/execute", json.dumps({"job_id": "canary-%d" % n, "prompt": "a", "stream": False,
                                                  "params": {"max_tokens": 1}}).encode())
        n += 1
        began = time.monotonic()
        try:
            with connect(port, "127.0.0.1") as s:
                s.sendall(ask)
                answer = b""
                while piece := s.recv(65536):
                    answer += piece
            if not answer.startswith(b"HTTP/1.1 200"):
                failed.append(answer[:200].decode("utf-8", "replace"))
        except OSError as e:
            failed.append(repr(e))
        waited.append((time.monotonic() - began) * 1e3)
        time.sleep(0.02)
    out.send((waited, failed))


def hog(port, source, end, open_one, most, every):
    """Holds up to `most` sockets that open_one has made, and opens new ones when the worker closes them."""
    held, events = {}, select.epoll()
    while time.monotonic() < end:
        for fd, _ in events.poll(every) if held else ():
            try:
                gone = fd % 2 or not held[fd].recv(4096)  # reads a little, or gives up
            except OSError:
                gone = True
            if gone:
                held.pop(fd).close()
        if len(held) < most:
            try:
                s = connect(port, source)
                open_one(s)
                held[s.fileno()] = s
                events.register(s.fileno(), select.EPOLLIN)
                time.sleep(every)
            except OSError:
                time.sleep(every)
    for s in held.values():
        s.close()


def hogs(port, end):
    large = post("/v2/tokenize", json.dumps({"text": "a" * (3 << 20)}).encode())
    unread = post("/v2/tokenize", json.dumps({"text": "ab " * 250000}).encode())
    kinds = (("127.0.0.2", lambda s: s.sendall(large[:-1]), 64, 0.05), ("127.0.0.3", lambda s: None, 1200, 0.005),
             ("127.0.0.4", lambda s: s.sendall(unread), 100, 0.05),
             ("127.0.0.5", lambda s: s.sendall(post("/v2/cancel", b"{}", key="guess-%d" % time.monotonic_ns())), 50, 0.01))
    threads = [threading.Thread(target=hog, args=(port, k[0], end) + k[1:]) for k in kinds]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def read_slowly(pipe, end):
    while time.monotonic() < end:
        os.read(pipe.fileno(), 512)
        time.sleep(0.5)
    while os.read(pipe.fileno(), 65536):
        pass


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.NamedTemporaryFile("w") as keys:
        keys.write(KEY + " name=canary\n")
        keys.flush()
        argv = [ORCD, "serve", "--plugin", "mock", "--listen", "127.0.0.1:0", "--set", "log.format=json",
                "--set", "log.level=debug", "--set", "http.api_keys_file=" + keys.name]
        worker = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        port = int(re.search(rb":(\d+)$", worker.stdout.readline().rstrip()).group(1))
        worker.stdout.readline()
        end = time.monotonic() + SECONDS
        threading.Thread(target=read_slowly, args=(worker.stderr, end), daemon=True).start()
        ours, theirs = multiprocessing.Pipe()
        bird = multiprocessing.Process(target=canary, args=(port, end, theirs))
        pest = multiprocessing.Process(target=hogs, args=(port, end))
        bird.start(), pest.start()
        waited, failed = ours.recv()
        bird.join(), pest.join()
        with open("/proc/%d/status" % worker.pid) as f:
            peak = re.search(r"VmHWM:\s*(\d+)", f.read()).group(1)
        with connect(port, "127.0.0.1") as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n" % KEY.encode())
            text = b""
            while piece := s.recv(65536):
                text += piece
        worker.terminate()
        status = worker.wait(20)
    waited.sort()
    p50, p99 = (waited[int(len(waited) * q)] for q in (0.5, 0.99))
    print("canary: n %d, p50 %.2f ms, p99 %.2f ms, longest %.1f ms, failed %d" % (len(waited), p50, p99, waited[-1], len(failed)))
    for name in ("orcd_log_lines_dropped_total", "orcd_http_connections", "orcd_http_held_bytes"):
        print("%s %s" % (name, re.search(rb"^%s (\S+)" % name.encode(), text, re.M).group(1).decode()))
    print("peak memory %d MB, exit status %d" % (int(peak) / 1024, status))
    for f in failed[:5]:
        print("failed:", f)
    sys.exit(bool(failed) or p99 >= LIMIT_MS or status != 0)


main()
