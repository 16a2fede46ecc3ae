"""Routes that clients of llama.cpp's server and of vLLM ask beside OpenAI's."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

w = Worker("model.chat_template=chatml", "model.context=512", "model.slots=3")


def post(path, status=200, **fields):
    r = w.call("POST", path, fields)
    equal(r.status, status, r.body)
    return r.json


@case("/version, /ping, /props")
def _():
    version = w.call("GET", "/health").json["version"]
    equal(w.call("GET", "/version").json, {"version": version})
    equal(w.call("GET", "/ping").status, 200)
    p = w.call("GET", "/props").json
    equal((p["default_generation_settings"]["n_ctx"], p["total_slots"], p["model_alias"]), (512, 3, "mock"))
    equal(p["build_info"], "orcd " + version)


@case("/tokenize as llama.cpp has it: no BOS unless asked for, pieces as text or as bytes")
def _():
    ids = post("/v2/tokenize", text="h\u00e9", add_special=False)["tokens"]
    equal(post("/tokenize", content="h\u00e9"), {"tokens": ids})
    equal(post("/tokenize", content="h\u00e9", add_special=True)["tokens"], post("/v2/tokenize", text="h\u00e9")["tokens"])
    equal(post("/tokenize", content="h\u00e9", with_pieces=True)["tokens"],
          [{"id": ids[0], "piece": "h"}, {"id": ids[1], "piece": [0xc3]}, {"id": ids[2], "piece": [0xa9]}])
    equal(post("/detokenize", tokens=ids)["content"], "h\u00e9")


@case("/tokenize as vLLM has it: the count of a prompt or of a conversation")
def _():
    ids = post("/v2/tokenize", text="hello")["tokens"]
    equal(post("/tokenize", model="mock", prompt="hello"),
          {"count": len(ids), "max_model_len": 512, "tokens": ids, "token_strs": None})
    equal(post("/tokenize", prompt="hello", add_special_tokens=False)["tokens"], ids[1:])
    messages = [{"role": "user", "content": "hello"}]
    used = post("/v1/chat/completions", messages=messages, max_tokens=1)["usage"]["prompt_tokens"]
    equal(post("/tokenize", messages=messages)["count"], used)
    equal(post("/detokenize", model="mock", tokens=ids)["prompt"][-5:], "hello")


@case("/apply-template renders what a chat would be given")
def _():
    text = post("/apply-template", messages=[{"role": "user", "content": "hello"}])["prompt"]
    equal(text, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")


@case("what is missing or of the wrong kind is 400 and named")
def _():
    for path, fields, name in (("/tokenize", {}, "content"), ("/tokenize", {"content": 1}, "content"),
                               ("/tokenize", {"prompt": []}, "prompt"), ("/tokenize", {"messages": "x"}, "messages"),
                               ("/tokenize", {"content": "a", "with_pieces": 1}, "with_pieces"),
                               ("/detokenize", {}, "tokens"), ("/detokenize", {"tokens": ["a"]}, "tokens"),
                               ("/detokenize", {"tokens": [10 ** 9]}, "tokens"), ("/apply-template", {}, "messages"),
                               ("/apply-template", {"messages": [{"role": "king", "content": "a"}]}, "messages[0].role")):
        e = post(path, 400, **fields)["error"]
        check(name in e["message"], (path, fields, e))
    for body in b"[]", b"1", b"null":
        equal(w.call("POST", "/tokenize", body).status, 400)


@case("it ends cleanly")
def _():
    equal(w.stop(), 0)


main()
