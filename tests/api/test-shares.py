"""What one client holds, bodies that do not end and answers that it does not read, is not refused to others."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

MIB = 1 << 20
KEYS = ("first-key-0123456789", "second-key-0123456789")


def connect_from(t, address):
    """From 127.0.0.2, say: another client."""
    s = socket.socket(socket.AF_INET)
    s.settimeout(PATIENCE)
    s.bind((address, 0))
    s.connect(t.address)
    return s


def large(n, key=None):
    text = json.dumps({"text": "a" * n}).encode()
    return request("POST", "/v2/tokenize", text, key=key)


def unfinished(t, key=None, n=3 * MIB):
    """A connection that sends all of a large body but its end; the worker has it."""
    s = t.connect()
    s.sendall(large(n, key)[:-1])
    end = time.monotonic() + PATIENCE
    while t.metrics(key)["orcd_http_held_bytes"] < n - 64 * 1024:
        check(time.monotonic() < end, "the body does not arrive")
    return s


def refused(t, key=None):
    r = parse_response(t.raw(large(3 * MIB, key), half_close=True))  # all of it is read before the answer
    equal((r.status, r.code), (429, "QUEUE_FULL"))
    check(r.headers["retry-after"])


def passes(t, key=None):
    """Requests of usual size, and a cancel."""
    equal(t.execute(job_id="small", key=key, stream=False, params={"max_tokens": 1}).status, 200)
    stream = t.stream(job_id="running", key=key, params={"max_tokens": 4000, "ignore_eos": True}).open()
    equal(stream.event()[0], "started")
    equal(t.call("POST", "/v2/cancel", {"job_id": "running"}, key=key).status, 202)
    stream.close()


@case("bodies of 4 MB that do not end: small requests and cancels pass, and large ones of others")
def _():
    with Worker("http.buffer_mb=16", token_ms=5) as t:
        s = unfinished(t)
        refused(t)
        passes(t)
        other = connect_from(t, "127.0.0.2")
        other.sendall(large(3 * MIB))
        equal(read_response(other).status, 200)
        other.close()
        s.close()
        t.wait_metric("orcd_http_held_bytes", lambda v: v == 0)
        equal(t.call("POST", "/v2/tokenize", {"text": "b" * 1000}).status, 200)


@case("each key has a share of its own")
def _():
    with tempfile.NamedTemporaryFile("w") as keys:
        keys.write("\n".join(KEYS) + "\n")
        keys.flush()
        with Worker("http.buffer_mb=16", "http.api_keys_file=" + keys.name, token_ms=5) as t:
            s = unfinished(t, KEYS[0])
            refused(t, KEYS[0])
            passes(t, KEYS[0])
            equal(t.call("POST", "/v2/tokenize", {"text": "b" * (3 * MIB)}, key=KEYS[1]).status, 200)
            s.close()


@case("answers that a client does not read are held up to its share; then it gets 429")
def _():
    with Worker("http.buffer_mb=16") as t:
        deaf = []
        for _ in range(2):  # 2.2 MB each
            s = socket.socket(socket.AF_INET)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(PATIENCE)
            s.connect(t.address)
            s.sendall(request("POST", "/v2/tokenize", {"text": "ab " * 250000}))
            deaf.append((s, s.recv(12)))
        equal([head for _, head in deaf], [b"HTTP/1.1 200", b"HTTP/1.1 429"])
        equal(t.call("POST", "/v2/tokenize", {"text": "ab"}).status, 200)
        other = connect_from(t, "127.0.0.2")
        other.sendall(request("POST", "/v2/tokenize", {"text": "ab " * 250000}, {"Connection": "close"}))
        check(read_all(other).startswith(b"HTTP/1.1 200"))
        other.close()
        for s, _ in deaf:
            s.close()


@case("one answer that is larger than a share is served")
def _():
    with Worker("http.buffer_mb=16") as t:
        r = t.call("POST", "/v2/tokenize", {"text": "ab " * 1000000})
        equal(r.status, 200)
        check(len(r.body) > 4 * MIB)


@case("connections of one address are capped, those of another are not counted with them")
def _():
    with Worker("http.max_connections_per_peer=2") as t:
        kept = [connect_from(t, "127.0.0.2") for _ in range(2)]
        for s in kept:
            s.sendall(request("GET", "/health/live"))
            equal(read_response(s).status, 200)
        s = connect_from(t, "127.0.0.2")
        equal(parse_response(read_all(s)).code, "TOO_MANY_CONNECTIONS")
        s.close()
        equal(t.call("GET", "/health/live").status, 200)
        for s in kept:
            s.close()


@case("busy connections at the cap: a holder of a key is served, others are not")
def _():
    with tempfile.NamedTemporaryFile("w") as keys:
        keys.write("\n".join(KEYS) + "\n")
        keys.flush()
        with Worker("http.max_connections=3", "http.api_keys_file=" + keys.name, "model.slots=4", token_ms=5) as t:
            busy = [t.stream(job_id="b%d" % i, key=KEYS[0], params={"max_tokens": 4000, "ignore_eos": True}).open()
                    for i in range(3)]
            equal(t.execute(job_id="a", key=KEYS[1], stream=False, params={"max_tokens": 1}).status, 200)
            equal(t.execute(job_id="b", stream=False, params={"max_tokens": 1}).status, 401)
            equal(t.call("GET", "/health/live").status, 200)
            for s in busy:
                s.close()


main()
