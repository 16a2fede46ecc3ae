"""lib/client, which is on libcurl, against servers that are sound, slow, cut short or hostile."""
import os
import re
import ssl
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

BUILD = os.environ.get("ORCD_BUILDDIR", "build")
PROBE = os.path.join(BUILD, "tests/lib/client-probe")
SANITIZED = os.environ.get("ORCD_TEST_SANITIZED")
TOKEN = "token-0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = OK + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
CUT = "error IO the connection was closed in the middle of an answer"
TOO_LONG = "error INVALID the head of the answer is too long"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
DIRECT = {k: v for k, v in ENV.items() if k.lower() not in PROXIES}


class Peer:
    """A connection of a server."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(TIMEOUT)
        self.rest = b""

    def request(self):
        """The next request: its line, its headers in small letters, its body; None at the end."""
        while b"\r\n\r\n" not in self.rest:
            part = self.sock.recv(65536)
            if not part:
                return None
            self.rest += part
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:]}
        n = int(headers.get("content-length", 0))
        while len(self.rest) < n:
            self.rest += self.sock.recv(1 << 20)
        body, self.rest = self.rest[:n], self.rest[n:]
        return lines[0], headers, body

    def send(self, data):
        self.sock.sendall(data)

    def flood(self, data):
        """For ever: until the client has gone."""
        try:
            while True:
                self.sock.sendall(data)
        except OSError:
            pass

    def gone(self):
        """Waits until the client has hung up."""
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass


class Server:
    """Each connection is served by the next of `scripts` (the last one for ever), a function of a Peer,
    or by bytes: after a request they are sent and the connection is closed."""

    def __init__(self, *scripts, path=None, tls=None):
        self.scripts, self.tls, self.got, self.failures, self.threads, self.n = scripts, tls, [], [], [], 0
        if path:
            self.listener, self.url = socket.socket(socket.AF_UNIX), "unix:" + path
            self.listener.bind(path)
            self.listener.listen()
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.acceptor = threading.Thread(target=self.serve, daemon=True)
        self.acceptor.start()

    def serve(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.talk, args=(sock, self.n), daemon=True))
            self.n += 1
            self.threads[-1].start()

    def talk(self, sock, i):
        script = self.scripts[min(i, len(self.scripts) - 1)]
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock)
            if callable(script):
                script(peer)
            else:
                self.got.append(peer.request())
                peer.send(script)
        except OSError:
            pass  # the client has gone
        except Exception as e:
            self.failures.append(e)
        sock.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *more):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join(TIMEOUT)  # from here on no thread is added
        self.listener.close()
        for t in self.threads:
            t.join(TIMEOUT)
        if not kind and self.failures:
            raise self.failures[0]


def answers(*list_of_bytes):
    """A script: an answer for each request of one connection, then silence."""
    def script(peer):
        for answer in list_of_bytes:
            peer.request()
            peer.send(answer)
        peer.gone()
    return script


def start(*args, env=None):
    if not os.path.exists(PROBE):
        raise Skip("no client-probe")
    return subprocess.Popen([PROBE, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=dict(DIRECT, **(env or {})),
                            bufsize=0)  # what readline() leaves is there for finish()


def finish(p):
    """Its lines of output but the last; that is the peak of its memory, in KB."""
    out, err = p.communicate(timeout=TIMEOUT)
    equal((p.returncode, err), (0, b""))
    check(TOKEN.encode() not in out, out)
    lines = out.decode("utf-8", "replace").splitlines()
    p.peak = int(lines.pop().split()[1]) if lines[-1].startswith("peak ") else 0
    return lines


def probe(*args, env=None):
    return finish(start(*args, env=env))


def body(data):
    h = 2166136261
    for b in data:
        h = (h ^ b) * 16777619 & 0xffffffff
    return "body %d %08x" % (len(data), h)


def chunk(data, more=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), more, data)


# --- answers

def bodies_end_as_their_head_says():
    text = bytes(range(256)) * 300
    pieces = b"".join(chunk(text[i:i + 700], b";a=b") for i in range(0, len(text), 700))
    for answer in (CHUNKED + pieces + b"0\r\nTrailer: x\r\n\r\n", LENGTH % len(text) + text,
                   OK + b"Connection: close\r\n\r\n" + text, b"HTTP/1.0 200 OK\r\n\r\n" + text,
                   b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + LENGTH % len(text) + text,
                   (OK + b"\r\n").replace(b"\r", b"") + text):
        with Server(answer) as s:
            lines = probe(s.url, "/x")
            equal((lines[0].split()[:2], lines[1:]), (["head", "200"], [body(text)]), answer[:80])
            lines = probe("--stream", s.url, "/x")
            equal(lines[-1], body(text), answer[:80])
            check(all(int(line.split()[1]) <= 16384 for line in lines[1:-1]))
    for status in (204, 304):
        with Server(answers(b"HTTP/1.1 %d X\r\nETag: x\r\n\r\n" % status, LENGTH % 2 + b"ok")) as s:
            equal(probe(s.url, "/a", "/b"), ["head %d " % status, body(b""), "head 200 text/plain", body(b"ok")])
    with Server(b"HTTP/1.1 503 X\r\nContent-Type: application/json; charset=x\r\nContent-Length: 2\r\n\r\n{}") as s:
        equal(probe(s.url, "/"), ["head 503 application/json; charset=x", body(b"{}")])


def a_request_is_what_was_asked_for():
    with Server(LENGTH % 0) as s, Dir() as d:
        d.file(".netrc", "machine 127.0.0.1 login somebody password secret\n", 0o600)
        probe("--bearer", TOKEN, "--header", "X-One: 1", "--post", 2000000, s.url + "/base/", "/v2/execute?a=b",
              env={"HOME": d.path})
        probe(s.url, "/../x", env={"HOME": d.path})
        (post, headers, data), (get, plain, nothing) = s.got
        host = "127.0.0.1:%d" % s.port
        equal((post, data), ("POST /base/v2/execute?a=b HTTP/1.1", b"b" * 2000000))
        equal(headers, {"host": host, "accept": "*/*", "content-type": "application/json", "x-one": "1",
                        "content-length": "2000000", "authorization": "Bearer " + TOKEN})
        equal((get, plain, nothing), ("GET /../x HTTP/1.1", {"host": host, "accept": "*/*"}, b""))


def one_connection_serves_several_requests():
    with Server(answers(LENGTH % 3 + b"one", CHUNKED + chunk(b"two") + b"0\r\n\r\n", LENGTH % 5 + b"three")) as s:
        lines = probe(s.url, "/1", "/2", "/3")
        equal(lines[1::2], [body(b"one"), body(b"two"), body(b"three")])
        equal(s.n, 1)


def a_connection_that_cannot_be_used_again_is_replaced():
    with Server(LENGTH % 3 + b"one", LENGTH % 3 + b"two") as s:  # the server closes it
        equal(probe(s.url, "/1", "/2")[1::2], [body(b"one"), body(b"two")])
        equal(s.n, 2)
    big = LENGTH % 50000000 + b"x" * 1000000
    with Server(answers(big), LENGTH % 3 + b"two") as s:  # its body was not read
        lines = probe("--stream", "--stop-after", 1, s.url, "/1", "/2")
        equal((lines[2], s.n), ("head 200 text/plain", 2))


def redirects_and_cookies_are_not_followed():
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    seen = []

    def script(peer):
        for _ in range(2):
            seen.append(peer.request())
            peer.send(moved)

    with Server(script) as s:
        equal(probe(s.url, "/a", "/a"), ["head 302 ", body(b"")] * 2)
    equal([line for line, headers, data in seen], ["GET /a HTTP/1.1"] * 2)
    check(all("cookie" not in headers for line, headers, data in seen), seen)


def pieces_are_read_as_they_come():
    said = threading.Semaphore(0)

    def script(peer):
        peer.request()
        peer.send(CHUNKED)
        for _ in range(3):
            check(said.acquire(timeout=TIMEOUT))  # the one before was read
            peer.send(chunk(b"piece"))
        check(said.acquire(timeout=TIMEOUT))
        peer.send(b"0\r\n\r\n")

    with Server(script) as s:
        p = start("--stream", s.url, "/")
        for want in ("head 200", "piece 5", "piece 5", "piece 5", "body 15"):
            contains(p.stdout.readline().decode(), want)
            said.release()
        finish(p)


def unix_sockets():
    with Dir() as d:
        path = os.path.join(d.path, "s")
        with Server(LENGTH % 2 + b"ok", path=path) as s:
            equal(probe(s.url, "/x")[1], body(b"ok"))
            equal(s.got[0][:2], ("GET /x HTTP/1.1", {"host": "localhost", "accept": "*/*"}))
        equal(probe("unix:" + d.path + "/none", "/"), ["error IO unix:%s/none: No such file or directory" % d.path])


# --- servers that are broken or hostile

def an_answer_that_is_cut_short_is_an_error():
    for answer in (b"", b"HTTP", b"HTTP/1.1 200 O", OK, OK + b"Content-Ty", OK + b"Content-Length: 5\r\n",
                   b"HTTP/1.1 100 Continue\r\n\r\n"):
        with Server(answer) as s:
            equal(probe("--bearer", TOKEN, s.url, "/"), [CUT], answer)
    for answer in (LENGTH % 6 + b"hello", CHUNKED, CHUNKED + b"5\r\nhel", CHUNKED + chunk(b"hello"),
                   CHUNKED + chunk(b"hello") + b"0\r\n"):
        with Server(answer) as s:
            equal(probe("--bearer", TOKEN, s.url, "/")[1:], [CUT], answer)

    def reset(peer):
        peer.request()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with Server(reset) as s:
        check(re.match("error IO .*reset by peer", "\n".join(probe("--bearer", TOKEN, s.url, "/"))))


def an_answer_that_is_malformed_is_an_error():
    for answer, want in ((b"hello\n", "the answer is not HTTP"), (b"\r\n\r\n", "the answer is not HTTP"),
                         (b"HTTP/1.1 abc\r\n\r\n", "the answer is not HTTP"), (OK + b"no colon\r\n\r\n", "malformed"),
                         (b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\nhello", "the answer is not HTTP"),
                         (OK + b"Content-Length: -1\r\n\r\n", "malformed"),
                         (OK + b"Content-Length: 18446744073709551615\r\n\r\nhello", "malformed"),
                         (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
                         (OK + b"transfer-encoding:\tgzip\r\n\r\nhello", "Transfer-Encoding")):
        with Server(answer) as s:
            lines = probe("--bearer", TOKEN, s.url, "/")
            check(len(lines) == 1 and lines[0].startswith("error INVALID") and want in lines[0], answer, lines)
    for bad in (b"zz\r\n", b"-1\r\nabc", b"3\r\nabcd\r\n0\r\n\r\n", b"f" * 17 + b"\r\nabc", b"\r\n"):
        with Server(CHUNKED + bad) as s:
            lines = probe("--bearer", TOKEN, s.url, "/")
            check(lines[-1].startswith("error INVALID malformed answer: "), bad, lines)


def answers_without_an_end_are_bounded():
    """Neither the error nor the memory waits for the end."""
    with Server(LENGTH % 5 + b"hello") as s:
        p = start(s.url, "/")
        finish(p)
        least = p.peak

    def endless(first, data):
        def script(peer):
            peer.request()
            peer.send(first)
            peer.flood(data)
        return Server(script)

    for first, data, want in ((OK + b"A: ", b"x" * 65536, TOO_LONG), (OK, b"A: b\r\n" * 10000, TOO_LONG),
                              (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, TOO_LONG),
                              (b"HTTP/1.1 200 ", b"x" * 65536, TOO_LONG),
                              (CHUNKED + b"0\r\n", b"A: b\r\n" * 10000, TOO_LONG),
                              (b"", b"x" * 65536, "error INVALID"),
                              (OK + b"\r\n", b"x" * 65536, "error INVALID the answer is longer than 1000000 bytes")):
        with endless(first, data) as s:
            p = start("--max", 1000000, s.url, "/")
            lines = finish(p)
            check(lines[-1].startswith(want), first, lines)
            check(SANITIZED or p.peak < least + 4096, "KB of memory", first, least, p.peak)
    with endless(CHUNKED + b"1;", b"x" * 65536) as s:  # which libcurl skips
        p = start("--timeout", 300, s.url, "/")
        equal(finish(p)[-1], "error IO no complete answer within 300 ms")
        check(SANITIZED or p.peak < least + 4096, "KB of memory", least, p.peak)


def a_body_that_nobody_reads_waits_at_the_server():
    n = 40000000
    waits = threading.Event()

    def script(peer):
        peer.request()
        peer.send(LENGTH % n)
        peer.sock.setblocking(False)
        sent = 0
        while sent < n:
            try:
                sent += peer.sock.send(b"x" * min(1 << 20, n - sent))
            except BlockingIOError:
                waits.set()
                peer.sock.setblocking(True)
                peer.sock.settimeout(TIMEOUT)

    with Server(script) as s:
        p = start("--stream", "--hold", s.url, "/")
        check(waits.wait(TIMEOUT))
        lines = finish(p)  # ends its input
        equal(lines[-1].split()[:2], ["body", str(n)])
        check(SANITIZED or p.peak < 32768, "KB of memory", p.peak)


def slow_servers_are_left():
    def silent(*parts):
        def script(peer):
            peer.request()
            for part in parts:
                peer.send(part)
            peer.gone()
        return Server(script)

    def dripping(first, data):
        def script(peer):
            peer.request()
            peer.send(first)
            try:
                while True:
                    peer.send(data)
                    threading.Event().wait(0.02)  # what makes it slow
            except OSError:
                pass
        return Server(script)

    head = "error IO no answer within 300 ms"
    for server, want in ((silent(), head), (silent(OK + b"A: b"), head), (silent(b"HTTP/1.1 100 Continue\r\n\r\n"), head),
                         (dripping(OK, b"A"), head), (dripping(OK, b"A: b\r\n"), head)):
        with server as s:
            equal(probe("--bearer", TOKEN, "--timeout", 300, s.url, "/"), [want])
            equal(probe("--bearer", TOKEN, "--timeout", 300, "--post", 4000000, s.url, "/"), [want])
    late = "error IO no complete answer within 300 ms"
    for server in (silent(LENGTH % 5 + b"hell"), dripping(CHUNKED, chunk(b"x")), dripping(OK + b"\r\n", b"x")):
        with server as s:
            equal(probe("--timeout", 300, s.url, "/")[1:], [late])
    with silent(LENGTH % 5 + b"hell") as s:
        equal(probe("--stream", "--timeout", 300, s.url, "/")[-1], late)


def a_server_that_reads_nothing_is_left():
    def script(peer):
        peer.sock.recv(10)
        done.wait(TIMEOUT)

    done = threading.Event()
    with Server(script) as s:
        equal(probe("--timeout", 300, "--post", 30000000, s.url, "/"), ["error IO no answer within 300 ms"])
        done.set()


def a_wake_ends_a_wait():
    asked, more = threading.Event(), threading.Event()

    def silent(peer):
        peer.request()
        asked.set()
        peer.gone()

    with Server(silent) as s:
        p = start("--wake", s.url, "/")
        check(asked.wait(TIMEOUT))
        p.stdin.write(b"!")
        equal(p.stdout.readline(), b"woken\n")
        finish(p)

    def in_two(peer):
        peer.request()
        peer.send(LENGTH % 10 + b"first")
        check(more.wait(TIMEOUT))
        peer.send(b"other")

    with Server(in_two) as s:
        p = start("--wake", "--stream", s.url, "/")
        contains(p.stdout.readline().decode(), "head 200")
        contains(p.stdout.readline().decode(), "piece 5")
        p.stdin.write(b"!")
        equal(p.stdout.readline(), b"woken\n")
        more.set()
        equal(finish(p)[-1], body(b"firstother"))  # it goes on where it was


# --- addresses, TLS, proxies

def unreachable_servers():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    for scheme in ("http", "https"):
        url = "%s://127.0.0.1:%d" % (scheme, port)
        equal(probe("--bearer", TOKEN, url, "/"), ["error IO %s: Connection refused" % url])
    equal(probe("http://nobody.invalid", "/"), ["error NOT_FOUND nobody.invalid: no such host"])
    for url in ("", "x", "ftp://x", "file:///etc/passwd", "http://", "http://:80", "http://a:b", "http://a:123456",
                "http://a b", "http://u@h", "http://u:p@h/", "http://%31/", "https://", "unix:", "unix:x",
                "unix:/" + "x" * 200, "http://" + "x" * 400, "http://a/" + "x" * 400, "http://a?b", "http://a/#b"):
        lines = probe(url, "/")
        equal([line.split(":")[0][:13] for line in lines], ["error INVALID"], url)
        contains(lines[0], "must be http://HOST:PORT, https://HOST:PORT or unix:/PATH")
    for url in ("http://a\\b", "http://a;b", "http://[x]", "http://[::1"):  # libcurl's word
        check(probe(url, "/")[0].startswith("error INVALID"), url)


def certificate(d):
    key, cert = os.path.join(d.path, "key"), os.path.join(d.path, "cert")
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=orcd test", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError) as e:
        raise Skip("openssl makes no certificate: %s" % e)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def a_certificate_that_nobody_signed_is_refused():
    with Dir() as d, Server(LENGTH % 2 + b"ok", tls=certificate(d)[0]) as s:
        lines = probe("--bearer", TOKEN, s.url, "/")
        check(len(lines) == 1 and lines[0].startswith("error IO %s: the server's certificate is not trusted: " % s.url),
              lines)
        status, out, err = run("health", "-u", s.url)
        equal((status, out), (2, ""))
        contains(err, "the server's certificate is not trusted")
        with Worker("--set", "worker.callback_url=%s/ready" % s.url) as w:
            while "retrying in" not in w.stderr():
                pass
            contains(w.stderr(), "worker.callback_url: %s/ready: the server's certificate is not trusted" % s.url)
            equal(w.stop(), 0)
        equal([x for x in s.got if x], [])  # nothing was asked, no token shown


def a_certificate_that_the_system_trusts_is_taken():
    """In a mount namespace where the system's certificates are ours."""
    system = "/etc/ssl/certs/ca-certificates.crt"
    with Dir() as d:
        context, cert = certificate(d)
        inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                  'mount --bind "$0" %s && exec "$@"' % system, cert]
        try:
            subprocess.run(inside + ["true"], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except (OSError, subprocess.CalledProcessError):
            raise Skip("no mount namespace with certificates of ours")
        with Server(LENGTH % 2 + b"ok", tls=context) as s:
            for host, want in (("127.0.0.1", [body(b"ok")]), ("localhost", [])):  # it is another's name
                p = subprocess.run(inside + [PROBE, "https://%s:%d" % (host, s.port), "/"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=DIRECT, timeout=TIMEOUT)
                lines = p.stdout.decode().splitlines()
                equal([line for line in lines if line.startswith("body")], want, (host, lines, p.stderr))
                check(want or "not trusted" in lines[0], lines)


def https_with_something_else_is_an_error():
    with Server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as s:
        lines = probe("--bearer", TOKEN, s.url.replace("http", "https"), "/")
        check(len(lines) == 1 and lines[0].startswith("error IO"), lines)

    def silent(peer):
        peer.gone()

    with Server(silent) as s:  # the handshake belongs to connecting
        lines = probe("--connect", 300, s.url.replace("http", "https"), "/")
        check(len(lines) == 1 and lines[0].startswith("error IO https://"), lines)


def proxies_are_for_other_machines():
    ok = LENGTH % 2 + b"ok"
    with Server(ok) as proxy, Server(ok) as worker, Dir() as d:
        env = {"http_proxy": proxy.url, "https_proxy": proxy.url, "all_proxy": proxy.url}
        equal(probe("http://worker.invalid:8001", "/x", env=env)[1], body(b"ok"))
        equal(proxy.got.pop()[0], "GET http://worker.invalid:8001/x HTTP/1.1")
        for host in ("127.0.0.1", "localhost", "LOCALHOST", "127.1", "2130706433", "0.0.0.0", "127.0.0.2"):
            lines = probe("http://%s:%d" % (host, worker.port), "/x", env=env)
            check(lines[0].startswith("head 200") or host == "127.0.0.2", host, lines)
        for host in ("[::1]", "a.localhost", "localhost."):
            probe("http://%s:%d" % (host, worker.port), "/x", env=env)  # may be refused, never through the proxy
        with Server(ok, path=os.path.join(d.path, "s")) as local:
            equal(probe(local.url, "/x", env=env)[1], body(b"ok"))
        equal(proxy.got, [])
        equal(probe("http://worker.invalid", "/x", env=dict(env, no_proxy=".invalid")),
              ["error NOT_FOUND worker.invalid: no such host"])
        equal(proxy.got, [])


def a_tunnel_shows_no_token():
    with Server(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        lines = probe("--bearer", TOKEN, "https://worker.invalid", "/x", env={"https_proxy": proxy.url})
        check(len(lines) == 1 and lines[0].startswith("error IO") and "403" in lines[0], lines)
        line, headers, data = proxy.got[0]
        equal(line, "CONNECT worker.invalid:443 HTTP/1.1")
        check("authorization" not in headers, headers)

    def tunnel(peer):  # its head is not the answer's
        peer.request()
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        peer.gone()

    with Server(tunnel) as proxy:
        lines = probe("--connect", 300, "https://worker.invalid", "/x", env={"https_proxy": proxy.url})
        check(len(lines) == 1 and lines[0].startswith("error IO https://worker.invalid"), lines)


def a_proxy_that_is_away_is_named():
    s = socket.create_server(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    lines = probe("http://worker.invalid", "/x", env={"http_proxy": "http://127.0.0.1:%d" % port})
    check(len(lines) == 1 and lines[0].startswith("error IO http://worker.invalid: "), lines)
    contains(lines[0], "127.0.0.1 port %d" % port)
    lines = probe("http://worker.invalid", "/x", env={"http_proxy": "http://nobody.invalid:1"})
    contains(lines[0], "nobody.invalid")


# --- the library

def a_worker_does_not_load_libcurl():
    with Worker() as w:
        with open("/proc/%d/maps" % w.p.pid) as f:
            check("libcurl" not in f.read())
        equal(w.stop(), 0)


def without_libcurl_the_package_is_named():
    with open(os.path.join(BUILD, "config.h")) as f:
        name = re.search('ORCD_LIBCURL "(.*)"', f.read()).group(1)
    with Dir() as d:
        d.file(name, "")
        env = {"LD_LIBRARY_PATH": d.path}
        equal(run("--version", env=env)[0], 0)
        status, out, err = run("health", "-u", "http://127.0.0.1:1", env=env)
        equal((status, out), (2, ""))
        contains(err, "libcurl is needed and cannot be loaded (Debian package libcurl")
        contains(err, name)
        check(probe("http://127.0.0.1:1", "/", env=env)[0].startswith("error UNSUPPORTED libcurl"))


main([bodies_end_as_their_head_says, a_request_is_what_was_asked_for, one_connection_serves_several_requests,
      a_connection_that_cannot_be_used_again_is_replaced, redirects_and_cookies_are_not_followed,
      pieces_are_read_as_they_come, unix_sockets, an_answer_that_is_cut_short_is_an_error,
      an_answer_that_is_malformed_is_an_error, answers_without_an_end_are_bounded,
      a_body_that_nobody_reads_waits_at_the_server, slow_servers_are_left, a_server_that_reads_nothing_is_left,
      a_wake_ends_a_wait, unreachable_servers, a_certificate_that_nobody_signed_is_refused,
      a_certificate_that_the_system_trusts_is_taken, https_with_something_else_is_an_error,
      proxies_are_for_other_machines, a_tunnel_shows_no_token, a_proxy_that_is_away_is_named,
      a_worker_does_not_load_libcurl, without_libcurl_the_package_is_named])
