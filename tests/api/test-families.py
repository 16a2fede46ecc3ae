"""Every model family through the whole worker: inspect's word on it, and exact greedy answers."""
import os
import re
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

SHARED = os.environ.get("ORCD_SHARED", os.path.join(os.environ.get("ORCD_SRCDIR", "."), "..", "shared"))
MODELS = os.path.join(SHARED, "data", "models")
SLOTS, CONTEXT = 2, 128

GOLDEN = {}
if os.path.exists(os.path.join(MODELS, "golden.json")):
    GOLDEN = {g["model"]: g for g in json.load(open(os.path.join(MODELS, "golden.json")))}


def inspect(model, *options):
    r = subprocess.run([ORCD, "inspect", *options, model], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return r.returncode, r.stdout.decode("utf-8", "replace")


def near(got, wanted, what):
    """MiB; inspect prints tenths."""
    check(abs(got - wanted) <= 0.03 * wanted + 0.05, "%s: %r, %r wanted" % (what, got, wanted))


def family(model, name, exact):
    g = GOLDEN.get(model)
    path = os.path.join(MODELS, model)
    if not g or not os.path.exists(path):
        raise Skip("no " + model)
    status, text = inspect(path, "--slots", str(SLOTS), "--context", str(CONTEXT))
    equal(status, 0, text)
    check(re.search(r"^family +%s$" % re.escape(name), text, re.M), text)
    memory = re.search(r"^memory +([0-9.]+) MiB weights \+ ([0-9.]+) MiB KV", text, re.M)
    check(memory, text)
    with Worker("model.slots=%d" % SLOTS, "model.context=%d" % CONTEXT, plugin="cpu", model=path) as w:
        info = w.call("GET", "/v2/model").json
        equal(info["architecture"], name)
        equal(info["context_length"], CONTEXT)
        near(info["weight_bytes"] / 2.0**20, float(memory.group(1)), "weights")
        kv = 'orcd_vram_used_bytes{kind="kv"}'
        w.wait_metric(kv, lambda v: v > 0)
        near(w.metrics()[kv] / 2.0**20, float(memory.group(2)), "KV")
        s = w.stream(job_id="f", tokens=g["prompt"], params={"max_tokens": len(g["greedy"]), "temperature": 0})
        s.open()
        equal(s.status, 200)
        events = s.rest()
        s.close()
        ids = [e[2]["id"] for e in events if e[0] == "token" and e[1] is not None]
        check(ids, events)
        if exact:  # the others have first and second choices nearer than rounding
            equal(ids, g["greedy"][:len(ids)])
            check(len(ids) == len(g["greedy"]) or events[-1][2]["finish_reason"] != "length", events[-1])
        equal(w.stop(), 0)


for model, name, exact in (("llama-tiny-f16.gguf", "llama", True), ("qwen2-tiny-f16.gguf", "qwen2", True),
                           ("qwen3-tiny-f16.gguf", "qwen3", True), ("phi3-tiny-f16.gguf", "phi3", False),
                           ("phi3-tiny-q4_k_m.gguf", "phi3", False), ("gpt2-tiny-f16.gguf", "gpt2", True),
                           ("gpt2-tiny-q5_k_m.gguf", "gpt2", False),
                           ("gpt-oss-tiny-mxfp4.gguf", "gpt-oss", False)):
    case("%s answers over HTTP, and inspect knows it" % model)(
        lambda model=model, name=name, exact=exact: family(model, name, exact))


BUILD = os.environ.get("ORCD_BUILDDIR", ".")
SYNTH = os.path.join(BUILD, "bench", "synth-model")
ORACLE = os.path.join(BUILD, "tests", "oracle", "oracle-greedy")
PROMPT = [i * 37 % 1000 + 4 for i in range(40)]


def synth(path, *options):
    if not os.path.exists(SYNTH):
        raise Skip("no synth-model")
    r = subprocess.run([SYNTH, "--preset", "tiny", "--ctx", "256", "--threads", "1", *options, "--out", path],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    equal(r.returncode, 0, r.stderr)


def served(path, name, kind, greedy=None, says=(), chat=None):
    """inspect's word on the model, what is then used, and what it answers."""
    status, text = inspect(path, "--slots", str(SLOTS), "--context", str(CONTEXT))
    equal(status, 0, text)
    check(re.search(r"^family +%s$" % re.escape(name), text, re.M), text)
    check(re.search(r"^quantization +%s$" % re.escape(kind), text, re.M), text)
    for part in list(says) + (["chat template  %s\n" % chat] if chat else []):
        check(part in text, "no %r in:\n%s" % (part, text))
    memory = re.search(r"^memory +([0-9.]+) MiB weights \+ ([0-9.]+) MiB KV .* = ([0-9.]+) MiB", text, re.M)
    check(memory, text)
    with Worker("model.slots=%d" % SLOTS, "model.context=%d" % CONTEXT, plugin="cpu", model=path) as w:
        weights = w.call("GET", "/v2/model").json["weight_bytes"] / 2.0**20
        near(weights, float(memory.group(1)), "weights")
        kv = 'orcd_vram_used_bytes{kind="kv"}'
        w.wait_metric(kv, lambda v: v > 0)
        kv = w.metrics()[kv] / 2.0**20
        near(kv, float(memory.group(2)), "KV")
        near(weights + kv, float(memory.group(3)), "all")
        s = w.stream(job_id="f", tokens=PROMPT, params={"max_tokens": len(greedy or [0]), "temperature": 0})
        s.open()
        equal(s.status, 200)
        ids = [e[2]["id"] for e in s.rest() if e[0] == "token" and e[1] is not None]
        s.close()
        check(ids, "no answer")
        if greedy:
            equal(ids, greedy[:len(ids)])
        if chat:
            r = w.call("POST", "/v1/chat/completions", {
                "model": w.call("GET", "/v1/models").json["data"][0]["id"], "max_tokens": 4,
                "messages": [{"role": "user", "content": "Once upon a time"}]})
            equal(r.status, 200, r.body)
            check(r.json["usage"]["prompt_tokens"] > 4, r.body)
        equal(w.stop(), 0)


def oracle(path, n):
    """What comes next by the textbook, as long as rounding cannot choose another."""
    if not os.path.exists(ORACLE):
        raise Skip("no oracle")
    r = subprocess.run([ORACLE, path, str(n)] + [str(t) for t in PROMPT], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=120)
    equal(r.returncode, 0, r.stderr)
    rows, ids = [line.split() for line in r.stdout.decode().splitlines()], []
    for token, lead in rows:
        if float(lead) < 0.05:
            break
        ids.append(int(token))
    check(len(ids) > 2, rows)
    return ids


SMALL = ("--embd", "128", "--ff", "256", "--quant", "F16")  # the textbook takes its time


def answers(name, says, chat, *options):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.gguf")
        synth(path, "--family", name, *SMALL, *options)
        served(path, name, "F16", oracle(path, 8), says, chat)


# With random weights a tied output would give back the token before.
GEMMA = ("--tied", "0", "--tokenizer", "gemma")
for name, says, chat, options in (
        ("qwen2moe", ["experts        8, 2 used per token, and one shared by all tokens"], "chatml", ("--tokenizer", "qwen2")),
        ("phi3", ["gguf-spm"], "phi3", ("--tokenizer", "phi3")),
        ("gemma", [], "gemma", GEMMA + ("--head-dim", "96")),
        ("gemma2", ["window         24 tokens in 2 of 3 layers"], "gemma", GEMMA + ("--layers", "3", "--window", "24")),
        ("gemma3", ["window         16 tokens in 6 of 7 layers"], "gemma",
         GEMMA + ("--layers", "7", "--window", "16", "--rope-base", "1e6", "--rope-factor", "8"))):
    case("%s answers over HTTP as the textbook does, and inspect knows it" % name)(
        lambda name=name, says=says, chat=chat, options=options: answers(name, says, chat, *options))


def mix(name, kind, quant, *options):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.gguf")
        synth(path, "--family", name, "--quant", quant, *options)
        served(path, name, kind)


for name, kind, quant in (("llama", "Q2_K", "Q2_K"), ("qwen2", "IQ4_XS", "IQ4_XS"), ("qwen3", "Q3_K_M", "Q3_K_M"),
                          ("phi3", "Q4_K_M", "Q4_K_M"), ("gpt2", "Q5_K_M", "Q5_K_M"),
                          ("qwen3moe", "Q8_0", "Q8_0"), ("gpt-oss", "MXFP4", "MXFP4_MOE"),
                          ("qwen2moe", "Q4_K_M", "Q4_K_M"), ("gemma", "Q6_K", "Q6_K"),
                          ("gemma2", "Q4_K_M", "Q4_K_M"), ("gemma3", "Q4_0", "Q4_0")):
    case("inspect's estimate of %s %s is what is then used" % (name, kind))(
        lambda name=name, kind=kind, quant=quant: mix(name, kind, quant))


class Directory:
    """The parts of a GGUF file: keys and tensors as bytes, and the data of each tensor."""

    def __init__(self, data):
        self.data, self.at = data, 8
        n_tensors, n_keys = self.take("<Q"), self.take("<Q")
        self.keys = [self.span(self.key) for _ in range(n_keys)]
        self.tensors = [self.tensor() for _ in range(n_tensors)]
        start = (self.at + 31) // 32 * 32
        offsets = [t[3] for t in self.tensors] + [len(data) - start]
        self.blobs = [data[start + a:start + b] for a, b in zip(offsets, offsets[1:])]

    def take(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        n = self.take("<Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def span(self, walk):
        first = self.at
        walk()
        return self.data[first:self.at]

    def key(self):
        self.string()
        self.value(self.take("<I"))

    def value(self, kind):
        if kind == 8:
            self.string()
        elif kind == 9:
            element, n = self.take("<I"), self.take("<Q")
            for _ in range(n):
                self.value(element)
        else:
            self.at += {0: 1, 1: 1, 2: 2, 3: 2, 7: 1, 10: 8, 11: 8, 12: 8}.get(kind, 4)

    def tensor(self):
        name = self.string()
        dims = [self.take("<Q") for _ in range(self.take("<I"))]
        return name, dims, self.take("<I"), self.take("<Q")


def split(path, n):
    """Writes the model at path in n parts beside it; returns the first one's path."""
    with open(path, "rb") as f:
        d = Directory(f.read())
    each = (len(d.tensors) + n - 1) // n
    for no in range(n):
        tensors, blobs = d.tensors[no * each:(no + 1) * each], d.blobs[no * each:(no + 1) * each]
        keys = (d.keys if no == 0 else []) + [put_str(k) + struct.pack("<I", t) + struct.pack(form, v) for k, t, form, v in (
            ("split.no", 2, "<H", no), ("split.count", 2, "<H", n), ("split.tensors.count", 5, "<i", len(d.tensors)))]
        out, at, body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys), 0, b""
        for (name, dims, kind, _), blob in zip(tensors, blobs):
            out += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(dims))
            out += b"".join(struct.pack("<Q", x) for x in dims) + struct.pack("<IQ", kind, len(body))
            body += blob + bytes(-len(blob) % 32)
        with open("%s-%05d-of-%05d.gguf" % (path[:-5], no + 1, n), "wb") as f:
            f.write(out + bytes(-len(out) % 32) + body)
    return "%s-00001-of-%05d.gguf" % (path[:-5], n)


@case("a model in several files: the same answers, and the estimate of all of them")
def _():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.gguf")
        synth(path, "--family", "qwen3moe", *SMALL)
        served(split(path, 3), "qwen3moe", "F16", oracle(path, 8), ["in 3 files"])


def put_str(text):
    return struct.pack("<Q", len(text)) + text.encode()


def header(keys, blocks=0):
    """A GGUF file of keys, texts and numbers as u32, and of one tensor of so many Q8_0 blocks."""
    data = b"GGUF" + struct.pack("<IQQ", 3, 1 if blocks else 0, len(keys))
    for key, value in keys.items():
        data += put_str(key)
        data += struct.pack("<I", 8) + put_str(value) if isinstance(value, str) else struct.pack("<II", 4, value)
    if blocks:
        data += put_str("some.weight") + struct.pack("<IQIQ", 1, 32 * blocks, 8, 0)
    return data + bytes(-len(data) % 32) + bytes(34 * blocks)


@case("inspect names what is missing of files that cannot be served")
def _():
    for keys, reason in (({"general.architecture": "gemma3n"}, "it needs per-layer embeddings"),
                         ({"general.architecture": "mamba"}, "it needs state-space layers"),
                         ({"general.architecture": "deepseek2"}, "it needs latent attention"),
                         ({"general.architecture": "phi2"}, "it needs parallel attention and feed-forward blocks"),
                         ({"general.architecture": "bert"}, "it needs attention in both directions"),
                         ({"general.architecture": "t5"}, "it needs an encoder"),
                         ({"general.architecture": "nobody"}, "this version runs llama, "),
                         ({"general.architecture": "qwen2", "qwen2.expert_count": 8}, "a mixture of 8 experts")):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
            f.write(header(keys, blocks=1000))
            f.flush()
            status, text = inspect(f.name)
            equal(status, 69, text)
            check(re.search(r"^family +%s$" % keys["general.architecture"], text, re.M), text)
            check(re.search(r"^  Q8_0 +1 tensors +0.0 MiB 100.0 %$", text, re.M), text)
            line = [l for l in text.splitlines() if l.startswith("unsupported ") and "tokenizer" not in l]
            check(line and reason in line[0], text)


@case("inspect takes a split model by its first part")
def _():
    with tempfile.TemporaryDirectory() as d:
        for no in range(2):
            with open(os.path.join(d, "m-%05d-of-00002.gguf" % (no + 1)), "wb") as f:
                f.write(header({"general.architecture": "t5", "split.no": no, "split.count": 2,
                                "split.tensors.count": 0}))
        status, text = inspect(os.path.join(d, "m-00001-of-00002.gguf"))
        equal(status, 69, text)
        check(" in 2 files" in text, text)
        r = subprocess.run([ORCD, "inspect", os.path.join(d, "m-00002-of-00002.gguf")], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60)
        equal(r.returncode, 69)
        check(b"m-00001-of-00002.gguf" in r.stderr, r.stderr)


main()
