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


def put_str(text):
    return struct.pack("<Q", len(text)) + text.encode()


def header(keys):
    """A GGUF file of keys alone: texts, and numbers as u32."""
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    for key, value in keys.items():
        data += put_str(key)
        data += struct.pack("<I", 8) + put_str(value) if isinstance(value, str) else struct.pack("<II", 4, value)
    return data + bytes(-len(data) % 32)


@case("inspect names what is missing of files that cannot be served")
def _():
    for keys, reason in (({"general.architecture": "gemma2"}, "it needs scaled embeddings"),
                         ({"general.architecture": "mamba"}, "it needs state-space layers"),
                         ({"general.architecture": "qwen2moe"}, "it needs experts that all tokens share"),
                         ({"general.architecture": "bert"}, "it needs attention in both directions"),
                         ({"general.architecture": "t5"}, "it needs an encoder"),
                         ({"general.architecture": "nobody"}, "this version runs llama, "),
                         ({"general.architecture": "qwen2", "qwen2.expert_count": 8}, "a mixture of 8 experts")):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
            f.write(header(keys))
            f.flush()
            status, text = inspect(f.name)
            equal(status, 69, text)
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
