"""A peer that vanishes from the network: no FIN, no RST, no answer. Two network namespaces and a
cable between them; the client's end loses its address, so that what arrives is dropped silently."""
import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

SERVER, CLIENT, PORT = "10.213.7.1", "10.213.7.2", 8901


def ip(*args):
    subprocess.run(["ip"] + list(args), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)


def client_side():
    """Runs in the client's namespace; a line of standard input is what to do next."""
    print("here", flush=True)
    streams = {}
    for line in sys.stdin:
        words = line.split()
        if words[0] == "up":
            ip("addr", "add", CLIENT + "/24", "dev", "cable1")
            ip("link", "set", "cable1", "up")
        elif words[0] == "ask":
            name, fields = words[1], json.loads(words[2])
            s = socket.create_connection((SERVER, PORT), timeout=PATIENCE)
            s.sendall(request("POST", "/v2/execute", fields, {"X-Correlation-Id": name}))
            streams[name] = s
        elif words[0] == "token":
            data = b""
            while b"event: token" not in data:
                data += streams[words[1]].recv(65536)
        elif words[0] == "vanish":
            ip("addr", "flush", "dev", "cable1")
        print("done", flush=True)


if sys.argv[1:] == ["--client"]:
    client_side()
    sys.exit(0)

if "ORCD_TEST_NAMESPACE" not in os.environ:
    options = ["-n"] if os.geteuid() == 0 else ["-rn"]
    able = shutil.which("unshare") and shutil.which("ip") and subprocess.run(
        ["unshare"] + options + ["sh", "-c", "ip link set lo up && ip link add cable0 type veth peer name cable1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    if not able:
        print("1..0 # SKIP no network namespaces here")
        sys.exit(77)
    os.environ["ORCD_TEST_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare"] + options + [sys.executable] + sys.argv)


class Cable:
    def __enter__(self):
        ip("link", "set", "lo", "up")
        self.peer = subprocess.Popen(["unshare", "-n", sys.executable, os.path.abspath(__file__), "--client"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answer("here")
        ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", str(self.peer.pid))
        ip("addr", "add", SERVER + "/24", "dev", "cable0")
        ip("link", "set", "cable0", "up")
        self.tell("up")
        return self

    def answer(self, wanted):
        equal(self.peer.stdout.readline().decode().strip(), wanted)

    def tell(self, *words):
        self.peer.stdin.write((" ".join(words) + "\n").encode())
        self.peer.stdin.flush()
        self.answer("done")

    def __exit__(self, *exc):
        self.peer.stdin.close()
        self.peer.kill()
        self.peer.wait()
        self.peer.stdout.close()


@case("streaming, in the queue, a whole answer: each is found, aborted, counted and logged")
def _():
    with Cable() as cable, Worker(
            "http.allow_unauthenticated=true", "http.write_stall_ms=1000", "http.ping_ms=3600000", "model.slots=2",
            "model.context=32768", listen="%s:%d" % (SERVER, PORT), token_ms=20) as t:
        params = {"max_tokens": 30000, "ignore_eos": True}

        def ask(name, stream):
            cable.tell("ask", name, json.dumps({"job_id": name, "prompt": "x", "stream": stream, "params": params},
                                               separators=(",", ":")))
        ask("streams", True)
        cable.tell("token", "streams")
        ask("whole", False)
        t.wait_metric("orcd_requests_running", lambda v: v == 2)
        ask("queued", True)
        t.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        # The address of the client's cable stays known, or the kernel would say that it is unreachable.
        with open("/proc/net/arp") as f:
            mac = next(line.split()[3] for line in f if line.startswith(CLIENT + " "))
        ip("neigh", "replace", CLIENT, "lladdr", mac, "dev", "cable0", "nud", "permanent")
        cable.tell("vanish")
        for name in ("streams", "whole", "queued"):
            e = t.wait_log(lambda e: e.get("correlation_id") == name and e.get("message") == "job ended")
            equal(e["outcome"], "CLIENT_DISCONNECTED", name)
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        m = t.metrics()
        for name in ('orcd_requests_total{outcome="disconnected"}', "orcd_client_disconnect_detection_ms_count",
                     "orcd_client_disconnect_stop_ms_count"):
            equal(m[name], 3, name)


main()
