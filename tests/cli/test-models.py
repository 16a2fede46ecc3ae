"""Models through the command line: the demo model's exact continuations, exact logits."""
import array
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

DEMO = os.path.join(SRCDIR, "share/demo/orcd-demo.gguf")
MODELS = os.path.join(SHARED, "data/models")


def need_cpu():
    if not os.path.exists(os.path.join(PLUGINS, "cpu.so")):
        raise Skip("no cpu plugin")


def the_demo_model_says_what_it_said():
    need_cpu()
    with open(os.path.join(SRCDIR, "share/demo/golden.json"), encoding="utf-8") as f:
        golden = json.load(f)
    with Worker(DEMO, plugin="cpu") as w:
        for g in golden:
            status, out, err = run("run", "-u", w.url, "--json", "-t", "0", "-n", len(g["greedy"]), g["prompt"])
            equal(status, 0, err)
            ids = [e["data"]["id"] for e in map(json.loads, out.splitlines())
                   if e["event"] == "token" and e["data"].get("id", -1) >= 0]
            equal(ids, g["greedy"], g["prompt"])
        equal(w.stop(), 0)


def run_finds_the_demo_model():
    need_cpu()
    status, out, err = run("run", "-t", "0", "-n", "4", "The prince", env={"ORCD_CONFIG": os.devnull})
    equal(status, 0, err)
    check(out.strip(), "no answer")


def inspect_tells_what_it_needs():
    status, out, err = run("inspect", DEMO)
    equal(status, 0, err)
    for part in ("family         llama", "Q8_0", "gguf-spm", "512 tokens", "supported      yes"):
        contains(out, part)
    equal(run("inspect", "/nonexistent.gguf")[0], 66)
    equal(run("inspect", os.path.join(SRCDIR, "README.md"))[0], 65)


def an_error_names_the_file_once():
    """Missing, a folder, not a GGUF file, cut: by every verb that opens a model."""
    need_cpu()
    with open(DEMO, "rb") as f:
        whole = f.read()
    with Dir() as d:
        folder = os.path.join(d.path, "folder")
        os.mkdir(folder)
        for path, status in ((os.path.join(d.path, "missing"), 66), (folder, 65),
                             (d.file("text", "some text"), 65), (d.file("empty", ""), 65),
                             (d.file("metadata-cut", whole[:3000]), 65),
                             (d.file("weights-cut", whole[:500000]), 65)):
            for args in (("inspect", path), ("eval", path, "-p", "cpu", "--tokens", "1"),
                         ("serve", path, "-p", "cpu", "--listen", "127.0.0.1:0", "--set", "log.level=error")):
                have, out, err = run(*args)
                equal((have, out), (status, ""), err)
                equal(len(err.splitlines()), 1, err)
                check(err.startswith("orcd %s: %s: " % (args[0], path)), err)
                equal(err.count(path), 1, err)


def perplexity_of_a_text():
    need_cpu()
    status, out, err = run("eval", DEMO, "-p", "cpu", "--text", "-", stdin=b"The prince was in the drawing room.")
    equal(status, 0, err)
    rows = dict(line.split() for line in out.splitlines())
    check(float(rows["perplexity"]) < 1000, rows)
    equal(run("eval", DEMO, "-p", "cpu")[0], 64)
    equal(run("eval", DEMO, "-p", "cpu", "--tokens", "1,x")[0], 64)
    equal(run("eval", DEMO, "-p", "cpu", "--tokens", "1,99999")[0], 65)


def logits_that_are_not_numbers():
    """They have no perplexity: an error, also where nothing is scored, and nothing on standard output."""
    for tokens in ("1,2,3", "1"):
        status, out, err = run("eval", "-p", "mock", "--tokens", tokens, "--set", "plugin.options.fault=logits.nan")
        equal((status, out), (70, ""), err)
        contains(err, "are not numbers")


def nmse(have, want):
    return sum((a - b) ** 2 for a, b in zip(have, want)) / sum(b * b for b in want)


def logits_of_every_shared_model():
    need_cpu()
    path = os.path.join(MODELS, "golden.json")
    if not SHARED or not os.path.exists(path):
        raise Skip("no shared models")
    with open(path, encoding="utf-8") as f:
        golden = json.load(f)
    done = 0
    for g in golden:
        model = os.path.join(MODELS, g["model"])
        if run("inspect", model)[0] == 69:
            continue  # a family that this version does not have
        with Dir() as d:
            out = os.path.join(d.path, "logits")
            status, _, err = run("eval", model, "-p", "cpu", "--tokens", ",".join(map(str, g["prompt"])),
                                 "--logits", out)
            if status == 69:
                continue  # a type of weights that the plugin does not have
            equal(status, 0, err)
            have, want = array.array("f"), array.array("f")
            with open(out, "rb") as f:
                have.frombytes(f.read())
            with open(model.replace(".gguf", ".logits.f32"), "rb") as f:
                want.frombytes(f.read())
        v, n = g["n_vocab"], len(g["prompt"])
        equal(len(have), v * n, g["model"])
        errors = [nmse(have[i * v:i * v + v], want[i * v:i * v + v]) for i in range(n)]
        peers = min([e["median"] for k, e in g.items() if k.startswith("peer_nmse")], default=1e-3)
        check(statistics.median(errors) <= max(1e-6, 1.5 * peers), g["model"], statistics.median(errors), peers)
        done += 1
    check(done > 5, done)


main([the_demo_model_says_what_it_said, run_finds_the_demo_model, inspect_tells_what_it_needs,
      an_error_names_the_file_once, perplexity_of_a_text, logits_that_are_not_numbers, logits_of_every_shared_model])
