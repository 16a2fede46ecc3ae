"""Which tokenizer a model is served with: its own, or the tokenizer.json beside it."""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tokenizer"))
from harness import *
import tokjson

DEMO = os.path.join(SRCDIR, "share/demo/orcd-demo.gguf")


def model_in(folder):
    path = os.path.join(folder, "model.gguf")
    shutil.copyfile(DEMO, path)
    return path


def add_json(folder, **changes):
    document = tokjson.make(DEMO)
    document.update(changes)
    tokjson.write(os.path.join(folder, "tokenizer.json"), document)


def inspect_names_the_tokenizer():
    with Dir() as d:
        model = model_in(d.path)
        status, out, err = run("inspect", model, "--tokenizer", "hf-json")
        equal(status, 69, err)
        contains(out, "tokenizer.json")
        add_json(d.path)
        status, out, err = run("inspect", model, "--tokenizer", "hf-json")
        equal(status, 0, err)
        contains(out, "tokenizer      hf-json, 1024 tokens")
        for choice in ("auto", "gguf"):  # the model's own is supported, so tokenizer.json is not read
            status, out, err = run("inspect", model, "--tokenizer", choice)
            contains(out, "tokenizer      gguf-spm, 1024 tokens")
        equal(run("inspect", model, "--tokenizer", "other")[0], 64)
        add_json(d.path, normalizer={"type": "Lowercase"})
        status, out, err = run("inspect", model, "--tokenizer", "hf-json")
        equal(status, 69)
        contains(out, "Lowercase")
        contains(run("inspect", model)[1], "supported      yes")


def the_same_answers_by_it():
    if not os.path.exists(os.path.join(PLUGINS, "cpu.so")):
        raise Skip("no cpu plugin")
    with open(os.path.join(SRCDIR, "share/demo/golden.json"), encoding="utf-8") as f:
        golden = json.load(f)
    with Dir() as d:
        model = model_in(d.path)
        add_json(d.path)
        with Worker(model, "--set", "model.tokenizer=hf-json", plugin="cpu") as w:
            contains(read_all(w.request("GET", "/health")), b'"tokenizer_kind":"hf-json"')
            for g in golden:
                status, out, err = run("run", "-u", w.url, "--json", "-t", "0", "-n", len(g["greedy"]), g["prompt"])
                equal(status, 0, err)
                ids = [e["data"]["id"] for e in map(json.loads, out.splitlines())
                       if e["event"] == "token" and e["data"].get("id", -1) >= 0]
                equal(ids, g["greedy"], g["prompt"])
            equal(w.stop(), 0)
        args = ("eval", model, "-p", "cpu", "--text", "-")
        text = b"The prince was in the drawing room."
        own, by_json = run(*args, stdin=text), run(*args, "--set", "model.tokenizer=hf-json", stdin=text)
        equal(own[0], 0, own[2])
        equal(by_json[:2], own[:2], by_json[2])


def a_worker_says_why_not():
    if not os.path.exists(os.path.join(PLUGINS, "cpu.so")):
        raise Skip("no cpu plugin")
    with Dir() as d:
        model = model_in(d.path)
        for listed, words in ((False, "tokenizer.json"), (True, "Lowercase")):
            if listed:
                add_json(d.path, normalizer={"type": "Lowercase"})
            with Worker(model, "--set", "model.tokenizer=hf-json", plugin="cpu", until="orcd: listening") as w:
                check(w.wait() != 0, "it ended with status 0")
                contains(w.stderr(), words)
    status, out, err = run("serve", DEMO, "--set", "model.tokenizer=other", "-p", "mock")
    equal(status, 64)
    contains(err, "auto, gguf, hf-json")


main([inspect_names_the_tokenizer, the_same_answers_by_it, a_worker_says_why_not])
