"""OpenAI's API over raw HTTP: models, completions, errors, disconnects. The official client has
a test of its own."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

w = Worker("http.max_body_kb=1024", "model.context=512", "model.slots=4")
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
FAMILY = "chatml"


def ask(worker=w, path=COMPLETIONS, status=200, headers=None, key=None, **fields):
    fields.setdefault("model", "mock")
    if path == COMPLETIONS:
        fields.setdefault("prompt", "hello")
    r = worker.call("POST", path, fields, headers, key)
    equal(r.status, status, r.body)
    return r


class Chunks:
    """An open stream of data lines."""

    def __init__(self, worker=w, path=COMPLETIONS, headers=None, **fields):
        fields.setdefault("model", "mock")
        if path == COMPLETIONS:
            fields.setdefault("prompt", "hello")
        fields["stream"] = True
        self.socket = worker.connect()
        self.socket.sendall(request("POST", path, fields, headers))
        self.response = http.client.HTTPResponse(self.socket, method="POST")

    def open(self):
        self.response.begin()
        return self

    def next(self):
        """A chunk; "[DONE]"; None at the end. Nothing but data lines, blank ones and comments may come."""
        while True:
            line = self.response.readline().decode()
            if not line:
                return None
            if line == "\n" or line.startswith(":"):
                continue
            check(line.startswith("data: ") and line.endswith("\n"), line)
            equal(self.response.readline(), b"\n")
            return "[DONE]" if line == "data: [DONE]\n" else json.loads(line[6:])

    def rest(self):
        """All chunks; the last line must have been [DONE]."""
        out = []
        while True:
            c = self.next()
            if c is None:
                break
            out.append(c)
        equal(out[-1:], ["[DONE]"])
        self.close()
        return out[:-1]

    def close(self):
        self.response.close()
        self.socket.close()


def stream(**fields):
    return Chunks(**fields).open().rest()


def text_by_index(chunks):
    out = {}
    for c in chunks:
        for choice in c["choices"]:
            out[choice["index"]] = out.get(choice["index"], "") + choice["text"]
    return out


def finish_by_index(chunks):
    return {c["choices"][0]["index"]: c["choices"][0]["finish_reason"] for c in chunks
            if c["choices"] and c["choices"][0]["finish_reason"]}


def bad(param=None, status=400, code="invalid_request", path=COMPLETIONS, **fields):
    r = ask(path=path, status=status, **fields)
    e = r.json["error"]
    equal(set(r.json), {"error"})
    equal(e["code"], code, r.body)
    equal(e["type"], {400: "invalid_request_error", 404: "not_found_error"}[status])
    equal(e["param"], param, r.body)
    check(e["message"])
    return e


@case("models: the list, one by its name, others are 404")
def _():
    r = w.call("GET", "/v1/models")
    equal(r.status, 200)
    equal(r.json["object"], "list")
    m, = r.json["data"]
    equal((m["id"], m["object"], m["owned_by"]), ("mock", "model", "orcd"))
    check(abs(time.time() - m["created"]) < 3600, m)
    equal(w.call("GET", "/v1/models/mock").json, m)
    equal(w.call("GET", "/v1/models/m%6fck").json, m)
    for other in ("x", "mock/", "a/b", "mock%2f", "x" * 1500):
        r = w.call("GET", "/v1/models/" + other)
        equal((r.status, r.json["error"]["code"]), (404, "model_not_found"), other)
    with Worker("model.ref=some/model") as t:
        equal(t.call("GET", "/v1/models").json["data"][0]["id"], "some/model")
        for name in ("some/model", "some%2Fmodel", "some%2fmodel?x=y"):
            equal(t.call("GET", "/v1/models/" + name).status, 200, name)
        ask(t, model="some/model", max_tokens=1)


@case("a completion: the object and its fields")
def _():
    r = ask(max_tokens=7, seed=1, headers={"X-Correlation-Id": "c-1"})
    equal(r.headers["X-Correlation-Id"], "c-1")
    equal(r.headers["X-Request-Id"], "c-1")
    d = r.json
    equal(set(d), {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"})
    check(re.match(r"^cmpl-[0-9a-f-]{36}$", d["id"]), d["id"])
    equal((d["object"], d["model"]), ("text_completion", "mock"))
    check(abs(time.time() - d["created"]) < 60)
    c, = d["choices"]
    equal(set(c), {"index", "text", "logprobs", "finish_reason"})
    equal((c["index"], len(c["text"]), c["logprobs"], c["finish_reason"]), (0, 7, None, "length"))
    equal({k: d["usage"][k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")},
          {"prompt_tokens": 6, "completion_tokens": 7, "total_tokens": 13})
    equal(list(d["usage"]["prompt_tokens_details"]), ["cached_tokens"])


@case("it says what /v2/execute says, whole and in chunks")
def _():
    native = w.execute(job_id="same", stream=False, params={"max_tokens": 30, "seed": 5}).json["text"]
    equal(ask(max_tokens=30, seed=5).json["choices"][0]["text"], native)
    chunks = stream(max_tokens=30, seed=5)
    equal(text_by_index(chunks), {0: native})
    equal(finish_by_index(chunks), {0: "length"})
    check(len(chunks) >= 30, len(chunks))
    first = chunks[0]
    equal(set(first), {"id", "object", "created", "model", "system_fingerprint", "choices"})
    for c in chunks:
        equal((c["id"], c["object"], c["created"], c["model"]), (first["id"], "text_completion", first["created"], "mock"))
        equal(set(c["choices"][0]), {"index", "text", "logprobs", "finish_reason"})
    equal([c["choices"][0]["finish_reason"] for c in chunks[:-1]], [None] * (len(chunks) - 1))


@case("the head of a stream")
def _():
    s = Chunks(max_tokens=2).open()
    h = s.response.headers
    equal((s.response.status, h["Content-Type"], h["Cache-Control"]), (200, "text/event-stream", "no-store"))
    check(h["X-Correlation-Id"] and h["X-Request-Id"] == h["X-Correlation-Id"])
    s.rest()


@case("usage in a stream when asked for, in a chunk of its own before [DONE]")
def _():
    whole = ask(max_tokens=5, seed=2).json["usage"]
    chunks = stream(max_tokens=5, seed=2, stream_options={"include_usage": True})
    equal(chunks[-1]["choices"], [])
    for k in ("prompt_tokens", "completion_tokens", "total_tokens"):
        equal(chunks[-1]["usage"][k], whole[k])
    check(all("usage" in c and c["usage"] is None for c in chunks[:-1]), chunks)
    check(all("usage" not in c for c in stream(max_tokens=5, stream_options={"include_usage": False})))
    check(all("usage" not in c for c in stream(max_tokens=5, stream_options={})))


@case("n answers: each with its seed, interleaved or whole")
def _():
    whole = ask(n=3, max_tokens=20, seed=9).json
    equal([c["index"] for c in whole["choices"]], [0, 1, 2])
    texts = {c["index"]: c["text"] for c in whole["choices"]}
    equal(len(set(texts.values())), 3, texts)
    for i in range(3):
        equal(ask(max_tokens=20, seed=9 + i).json["choices"][0]["text"], texts[i])
    equal((whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]), (6, 60))
    chunks = stream(n=3, max_tokens=20, seed=9)
    equal(text_by_index(chunks), texts)
    equal(finish_by_index(chunks), {0: "length", 1: "length", 2: "length"})
    equal(len({c["id"] for c in chunks}), 1)


@case("more answers than slots; the most that may be asked for")
def _():
    for fields in ({"stream": False}, {"stream": True}):
        with Worker("model.slots=2", token_ms=1) as t:
            if fields["stream"]:
                chunks = stream(worker=t, n=64, max_tokens=6)
                equal(sorted(text_by_index(chunks)), list(range(64)))
                equal(len(finish_by_index(chunks)), 64)
            else:
                d = ask(t, n=64, max_tokens=6).json
                equal([c["index"] for c in d["choices"]], list(range(64)))
    bad("n", n=65)
    bad("n", n=0)
    bad("prompt", n=22, prompt=["a", "b", "c"])


@case("several prompts, as texts and as token ids")
def _():
    alone = [ask(prompt=p, max_tokens=9, temperature=0).json["choices"][0]["text"] for p in ("one", "two")]
    r = ask(prompt=["one", "two"], max_tokens=9, temperature=0).json
    equal([c["text"] for c in r["choices"]], alone)
    equal(r["usage"]["prompt_tokens"], 8)
    ids = [[256] + list(p) for p in (b"one", b"two")]
    equal([c["text"] for c in ask(prompt=ids, max_tokens=9, temperature=0).json["choices"]], alone)
    equal(ask(prompt=ids[0], max_tokens=9, temperature=0).json["choices"][0]["text"], alone[0])
    chunks = stream(prompt=["one", "two"], n=2, max_tokens=9, temperature=0)
    equal(text_by_index(chunks), {0: alone[0], 1: alone[0], 2: alone[1], 3: alone[1]})
    for p in ([], [[]], ["a", 1], [1, "a"], [258], [-1], [[1.5]], 1, {}, True, ""):
        if p == "":
            ask(prompt=p, max_tokens=1)  # a BOS
        else:
            bad("prompt", prompt=p)
    bad("prompt", prompt=None)


@case("max_tokens: what the context has room for when not given, -1 or more")
def _():
    for n in (None, -1, 507, 508, 4096, 2 ** 32):
        equal(ask(max_tokens=n).json["usage"]["completion_tokens"], 507, n)  # the last token is never fed
    equal(ask().json["usage"]["completion_tokens"], 507)
    for n in (-2, 1.5, "7", True):
        bad("max_tokens", max_tokens=n)
    e = bad(None, code="context_length_exceeded", prompt=[1] * 600)
    equal(e["details"], {"tokens": 600, "context_length": 512})
    check(e["message"].startswith("This model's maximum context length is 512 tokens"), e)
    bad(None, code="context_length_exceeded", prompt="x" * 3000)


@case("stop: a string or several; the text before it")
def _():
    with Worker(text="one two three") as t:
        for stop, text, why in (("tw", "one ", "stop"), (["zz", "three"], "one two ", "stop"), (None, "one two three", "stop"),
                                ([], "one two three", "stop")):
            c = ask(t, stop=stop, max_tokens=50).json["choices"][0]
            equal((c["text"], c["finish_reason"]), (text, why), stop)
            chunks = stream(worker=t, stop=stop, max_tokens=50)
            equal((text_by_index(chunks)[0], finish_by_index(chunks)), (text, {0: why}), stop)
    for stop in ("", ["a"] * 17, [""], 1, [1], "x" * 257):
        bad("stop", stop=stop)


@case("echo puts the prompt first")
def _():
    plain = ask(max_tokens=5, seed=3).json["choices"][0]["text"]
    equal(ask(max_tokens=5, seed=3, echo=True).json["choices"][0]["text"], "hello" + plain)
    equal(text_by_index(stream(max_tokens=5, seed=3, echo=True)), {0: "hello" + plain})
    r = ask(max_tokens=5, seed=3, echo=True, prompt=list(b"hello"), n=2).json
    check(all(c["text"].startswith("hello") for c in r["choices"]), r)
    bad("logprobs", echo=True, logprobs=1)


@case("logprobs: a control token has a name, but no text, so later offsets do not count it")
def _():
    fields = dict(max_tokens=3, temperature=0, logprobs=0, ignore_eos=True, logit_bias={"257": 100})
    c = ask(**fields).json["choices"][0]
    equal((c["text"], c["logprobs"]["text_offset"]), ("", [0, 0, 0]))
    check(all(c["logprobs"]["tokens"]), c)


@case("logprobs: tokens, offsets, the likeliest; streamed or whole")
def _():
    for n in (0, 1, 5, 20):
        whole = ask(max_tokens=6, seed=4, logprobs=n).json["choices"][0]
        l = whole["logprobs"]
        equal(set(l), {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
        equal("".join(l["tokens"]), whole["text"])
        equal(l["text_offset"], list(range(6)))
        check(all(p <= 0 for p in l["token_logprobs"]), l)
        if n == 0:
            equal(l["top_logprobs"], None)
        else:
            for token, p, top in zip(l["tokens"], l["token_logprobs"], l["top_logprobs"]):
                check(n <= len(top) <= n + 1, top)
                equal(top[token], p)
                check(sorted(top.values())[-1] >= p)
        chunks = [c["choices"][0] for c in stream(max_tokens=6, seed=4, logprobs=n)]
        merged = {k: sum((c["logprobs"][k] for c in chunks if c["logprobs"] and c["logprobs"][k] is not None), []) for k in l}
        equal(merged, {k: v or [] for k, v in l.items()})
    for n in (-1, 21, 1.5, "1", True):
        bad("logprobs", logprobs=n)


@case("logprobs of tokens that are no whole characters")
def _():
    with Worker(text="aé") as t:
        c = ask(t, max_tokens=9, logprobs=1).json["choices"][0]
        equal(c["text"], "aé")
        equal(c["logprobs"]["tokens"], ["a", "bytes:\\xc3", "bytes:\\xa9"])
        equal(c["logprobs"]["text_offset"], [0, 1, 2])
        chunks = stream(worker=t, max_tokens=9, logprobs=1)
        equal(text_by_index(chunks), {0: "aé"})
        equal([x for c in chunks if c["choices"][0]["logprobs"] for x in c["choices"][0]["logprobs"]["tokens"]],
              c["logprobs"]["tokens"])


@case("text of every kind comes through")
def _():
    for text in ("event: end data: {}", 'q"\\', "é€𝄞", "\u2028"):
        with Worker(text=text) as t:
            equal(text_by_index(stream(worker=t, max_tokens=99)), {0: text})
            equal(ask(t, max_tokens=99).json["choices"][0]["text"], text)
    for byte in (0, 10, 13, 34, 92, 127):
        fields = {"max_tokens": 3, "temperature": 0, "logit_bias": {str(byte): 100}}
        equal(text_by_index(stream(**fields)), {0: chr(byte) * 3})
    fields = {"max_tokens": 1, "temperature": 0, "logit_bias": {str(0xe2): 100}}
    equal(text_by_index(stream(**fields)), {0: "\ufffd"})
    equal(ask(**fields).json["choices"][0]["text"], "\ufffd")


@case("seeds: the same gives the same, negative ones too; without one they differ")
def _():
    def text(**fields):
        return ask(max_tokens=24, **fields).json["choices"][0]["text"]
    for seed in (0, -1, -2 ** 63, 2 ** 63, 2 ** 64 - 1):
        equal(text(seed=seed), text(seed=seed))
    check(text(seed=-1) != text(seed=-2))
    check(len({text() for _ in range(4)}) > 1)
    for seed in (2 ** 64, -2 ** 63 - 1):
        bad(None, seed=seed)
    for seed in (1.5, "1", True):
        bad("seed", seed=seed)


@case("numbers out of range, fields of the wrong type")
def _():
    for name, values in {"temperature": (-1, 2.1, "1", True, []), "top_p": (-0.1, 1.1), "frequency_penalty": (-2.1, 2.1),
                         "presence_penalty": (3,), "top_k": (-2, 0.5), "min_p": (2,), "repetition_penalty": (0, 3),
                         "stream": (1, "true"), "echo": (1,), "logit_bias": (1, [1], [[1]], [["a", 101]], [[258, 1]], {"x": 101}, {"1": 101}, {"258": 1}, {"1": True}),
                         "stop_token_ids": (1, [-1], [258], ["a"], [1] * 17), "include_stop_str_in_output": (1,),
                         "ignore_eos": (1,), "on_deadline": ("never",)}.items():
        for v in values:
            bad(name, **{name: v})
    bad("stream_options", stream_options=1)
    bad("stream_options.include_usage", stream_options={"include_usage": 1})
    r = w.call("POST", COMPLETIONS, b'{"prompt":"a","temperature":1e400}')
    equal((r.status, r.json["error"]["type"]), (400, "invalid_request_error"))


@case("top_k -1 and more than there are tokens mean all; sixteen stop strings")
def _():
    same = {ask(max_tokens=8, seed=3, top_k=k).json["choices"][0]["text"] for k in (None, 0, -1, 258, 10 ** 9)}
    equal(len(same), 1, same)
    ask(max_tokens=1, stop=["%d" % i for i in range(16)])


@case("constraints of other servers' dialects are refused by name, not ignored")
def _():
    for name, value in {"grammar": "root ::= x", "json_schema": {"type": "object"}, "guided_json": {"a": 1}, "guided_regex": "a+",
                        "guided_choice": ["a"], "guided_grammar": "x", "structured_outputs": {"json": {}},
                        "prompt_logprobs": 1, "use_beam_search": True, "truncate_prompt_tokens": 5,
                        "continue_final_message": True, "add_generation_prompt": False}.items():
        bad(name, **{name: value})
    ask(max_tokens=1, guided_json=None, use_beam_search=False, stop_token_ids=[], grammar="", add_generation_prompt=True)
    ask(max_tokens=1, tools=[{"type": "function"}], tool_choice="none")


@case("logit_bias by text and as a list of pairs; false means never")
def _():
    def text(**fields):
        return ask(max_tokens=3, temperature=0, **fields).json["choices"][0]["text"]
    for bias in ({"Z": 100}, {"90": 100}, [[90, 100]], [["Z", 100]], [["Z", 100], ["YX", 3]], {"Z": 100, "Y": False}):
        equal(text(logit_bias=bias), "ZZZ", bias)
    equal(text(logit_bias=[["Z", 100], ["Z", False]]), text(), "they add up")
    equal((text(logit_bias=[]), text(logit_bias={})), (text(), text()))
    bad("logit_bias", logit_bias={"x" * 1025: 1})


@case("stop_token_ids end an answer and are no part of it, also of one that goes on behind its EOS")
def _():
    with Worker(text="one two.") as t:
        for fields in ({}, {"ignore_eos": True}):
            r = ask(t, max_tokens=20, stop_token_ids=[7, ord("t")], **fields).json["choices"][0]
            equal((r["text"], r["finish_reason"]), ("one ", "stop"))
            chunks = stream(worker=t, max_tokens=20, stop_token_ids=[ord("t")], **fields)
            equal((text_by_index(chunks), chunks[-1]["choices"][0]["finish_reason"]), ({0: "one "}, "stop"))
        equal(ask(t, max_tokens=20, stop_token_ids=[]).json["choices"][0]["text"], "one two.")


@case("include_stop_str_in_output: the stop string that ends the answer is shown, whole")
def _():
    with Worker("model.chat_template=chatml", text="one two three") as t:
        for stop, shown in ((" two", "one two"), (["three", " two"], "one two"), (["tw", "two"], "one tw"), (["o", "one"], "o")):
            fields = dict(max_tokens=20, stop=stop, include_stop_str_in_output=True)
            r = ask(t, **fields).json["choices"][0]
            equal((r["text"], r["finish_reason"]), (shown, "stop"), stop)
            equal(text_by_index(stream(worker=t, **fields)), {0: shown})
            r = ask(t, path=CHAT, messages=[{"role": "user", "content": "a"}], **fields).json["choices"][0]
            equal(r["message"]["content"], shown)
        equal(ask(t, max_tokens=20, stop=" two", include_stop_str_in_output=False).json["choices"][0]["text"], "one")


@case("max_tokens 0: the prompt is computed and nothing is said; with echo it is the answer")
def _():
    for echo, text in ((False, ""), (True, "hello")):
        r = ask(max_tokens=0, echo=echo).json
        equal((r["choices"][0]["text"], r["choices"][0]["finish_reason"]), (text, "length"))
        equal((r["usage"]["prompt_tokens"], r["usage"]["completion_tokens"]), (6, 0))
        chunks = stream(max_tokens=0, echo=echo, stream_options={"include_usage": True})
        equal((text_by_index(chunks).get(0, ""), chunks[-1]["usage"]["completion_tokens"]), (text, 0))


@case("continue_final_message: the answer goes on where the last message stops")
def _():
    def count(messages, **fields):
        r = ask(t, path=CHAT, messages=messages, max_tokens=4, **fields).json
        return r["usage"]["prompt_tokens"], r["choices"][0]["message"]["content"]
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "The answer is"}]
    for family in ("chatml", "qwen3", "llama3", "gemma", "zephyr"):
        with Worker("model.chat_template=" + family, text="wxyz") as t:
            tokens, text = count(said, continue_final_message=True)
            equal(text, "wxyz")
            equal(count(said, continue_final_message=True, add_generation_prompt=False)[0], tokens)
            longer = [said[0], {"role": "assistant", "content": "The answer is 12"}]
            equal(count(longer, continue_final_message=True)[0], tokens + 3)
            if family == "chatml":
                prompt = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nThe answer is"
                equal(tokens, len(t.call("POST", "/tokenize", {"content": prompt, "add_special": True}).json["tokens"]))
            for messages, fields in ((said[:1], {}), (said, {"add_generation_prompt": True}),
                                     ([said[0], {"role": "assistant", "content": ""}], {})):
                r = t.call("POST", CHAT, {"messages": messages, "continue_final_message": True, **fields})
                equal(r.status, 400, r.body)


@case("add_generation_prompt false: the prompt ends behind the last message")
def _():
    talk = [{"role": "user", "content": "a"}]
    with Worker("model.chat_template=chatml", text="wxyz") as t:
        def rendered(**fields):
            return t.call("POST", "/apply-template", {"messages": talk, **fields}).json["prompt"]
        bare = rendered(add_generation_prompt=False)
        equal((bare, rendered()), ("<|im_start|>user\na<|im_end|>\n", bare + "<|im_start|>assistant\n"))
        for fields, prompt in (({}, rendered()), ({"add_generation_prompt": True}, rendered()), ({"add_generation_prompt": False}, bare)):
            n = t.call("POST", "/tokenize", {"content": prompt, "add_special": True}).json["tokens"]
            equal(t.call("POST", "/tokenize", {"messages": talk, **fields}).json["tokens"], n)
            r = ask(t, path=CHAT, messages=talk, max_tokens=4, **fields).json
            equal((r["usage"]["prompt_tokens"], r["choices"][0]["message"]["content"]), (len(n), "wxyz"))
        equal(t.call("POST", CHAT, {"messages": talk, "add_generation_prompt": "no"}).status, 400)


@case("null is the same as not given")
def _():
    names = ("max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "logprobs", "echo", "stop", "presence_penalty",
             "frequency_penalty", "best_of", "logit_bias", "user", "seed", "suffix", "model", "tools", "response_format")
    ask(**dict.fromkeys(names))


@case("unknown fields are ignored")
def _():
    ask(max_tokens=1, user="u", metadata={"a": [1]}, store=True, service_tier="auto", cache_prompt=False, foo={"bar": None})


@case("what it knows and does not support is named")
def _():
    for name, value in (("suffix", "x"), ("best_of", 2), ("tools", [{}]), ("tool_choice", "required"), ("tool_choice", {"a": 1}),
                        ("functions", [{}]), ("function_call", {"name": "f"}), ("audio", {}), ("modalities", ["text", "audio"]),
                        ("modalities", ["audio"]), ("response_format", {"type": "json_object"}), ("response_format", {}),
                        ("response_format", "text"), ("web_search_options", {})):
        check("not support" in bad(name, **{name: value})["message"], name)
    ask(max_tokens=1, suffix="", best_of=1, tools=[], tool_choice="none", functions=[], function_call="auto",
        modalities=["text"], response_format={"type": "text"})


@case("models: the one that is here, and no other")
def _():
    bad(None, status=404, code="model_not_found", model="gpt-4")
    bad("model", model=1)
    equal(w.call("POST", COMPLETIONS, {"prompt": "a", "max_tokens": 1}).status, 200)


@case("routes that are not there tell which are; errors of the head have this shape too")
def _():
    for method, path in (("POST", "/v1/responses"), ("GET", "/v1/responses"), ("POST", "/v1/embeddings"), ("GET", "/v1/files"),
                         ("POST", "/v1/")):
        r = w.call(method, path, {"model": "mock", "input": "x"} if method == "POST" else None)
        e = r.json["error"]
        equal((r.status, e["code"], e["type"], e["param"]), (404, "not_found", "not_found_error", None), path)
        check("/v1/completions" in e["message"] and "/v1/models" in e["message"], e)
        check(e["correlation_id"] == r.headers["X-Correlation-Id"])
    r = w.call("GET", COMPLETIONS)
    equal((r.status, r.json["error"]["code"], r.headers["Allow"]), (405, "method_not_allowed", "POST"))
    r = w.call("POST", COMPLETIONS, b"{}", {"Content-Type": "text/plain"})
    equal((r.status, r.json["error"]["code"]), (415, "unsupported_media_type"))
    for body in (b"[]", b"{", b'{"prompt":"a","prompt":"b"}', b"{}x"):
        r = w.call("POST", COMPLETIONS, body)
        equal((r.status, r.json["error"]["type"]), (400, "invalid_request_error"), body)
    r = parse_response(w.raw(request("POST", COMPLETIONS, b"", {"Content-Length": str(1025 * 1024)})))
    equal((r.status, r.json["error"]["code"]), (413, "payload_too_large"))
    equal(w.call("GET", "/v2/nothing").json["error"]["code"], "NOT_FOUND")


@case("keys: without one 401 in this shape, with it all is as it was")
def _():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("the-key-of-this-test\n")
        f.flush()
        with Worker("http.api_keys_file=" + f.name) as t:
            for key in (None, "no"):
                r = ask(t, status=401, key=key)
                e = r.json["error"]
                equal((e["code"], e["type"], r.headers["WWW-Authenticate"]), ("invalid_api_key", "authentication_error", "Bearer"))
                equal(r.headers["X-Should-Retry"], "false")
                equal(t.call("GET", "/v1/models", key=key).status, 401)
            equal(t.call("GET", "/v1/models", key="the-key-of-this-test").status, 200)
            ask(t, key="the-key-of-this-test", max_tokens=1)


@case("deadlines hold: refused, passed in the middle, partial when asked for")
def _():
    with Worker("model.slots=1", "deadlines.admission=off", token_ms=20) as t:
        r = ask(t, status=504, headers={"X-Deadline": "2001-01-01T00:00:00Z"})
        equal((r.json["error"]["code"], r.json["error"]["type"]), ("deadline_exceeded", "server_error"))
        r = ask(t, status=400, headers={"Request-Timeout-Ms": "soon"})
        r = ask(t, status=504, headers={"Request-Timeout-Ms": "200"}, max_tokens=4000, ignore_eos=True)
        equal(r.headers["X-Should-Retry"], "false")
        s = Chunks(t, headers={"Request-Timeout-Ms": "300"}, max_tokens=4000, ignore_eos=True).open()
        chunks = s.rest()
        equal(chunks[-1]["error"]["code"], "deadline_exceeded")
        check(len(chunks) > 1)
        r = ask(t, headers={"Request-Timeout-Ms": "300"}, max_tokens=4000, ignore_eos=True, on_deadline="partial").json
        equal(r["choices"][0]["finish_reason"], "deadline")
        check(r["choices"][0]["text"])
        equal(outcomes(t.metrics()), dict(dict.fromkeys(OUTCOMES, 0), rejected=2, deadline=2, deadline_partial=1))


def job_line(t, name):
    return t.wait_log(lambda e: e.get("correlation_id") == name and e.get("message") == "job ended")


@case("a client that goes away frees the slot: queued, running, streaming or not, by close or reset")
def _():
    with Worker("model.slots=1", token_ms=2) as t:
        serial = 0
        for streamed in (False, True):
            for queued in (False, True):
                for how in ("close", "reset", "half"):
                    if streamed and not queued and how == "half":
                        continue  # it may read on
                    serial += 1
                    name = "gone-%d" % serial
                    other = Chunks(t, max_tokens=3000, ignore_eos=True).open() if queued else None
                    if other:
                        other.next()
                    tokens = t.metrics()["orcd_generation_tokens_total"]
                    s = t.connect()
                    s.sendall(request("POST", COMPLETIONS, {"prompt": "x", "stream": streamed, "max_tokens": 3000, "ignore_eos": True},
                                      {"X-Correlation-Id": name}))
                    if queued:
                        t.wait_metric("orcd_requests_waiting", lambda v: v == 1)
                    else:
                        t.wait_metric("orcd_generation_tokens_total", lambda v: v > tokens)
                    if how == "half":
                        s.shutdown(socket.SHUT_WR)
                    elif how == "reset":
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    if how != "half":
                        s.close()
                    e = job_line(t, name)
                    equal((e["outcome"], e["phase"]), ("CLIENT_DISCONNECTED", "queue" if queued else "decode"), (streamed, how))
                    s.close()
                    if other:
                        other.close()
                    t.wait_metric("orcd_requests_running", lambda v: v == 0)
        equal(t.metrics()["orcd_requests_waiting"], 0)
        ask(t, max_tokens=2)


@case("with n answers a client that goes away ends them all")
def _():
    for streamed in (False, True):
        with Worker("model.slots=2", token_ms=2) as t:
            s = t.connect()
            s.sendall(request("POST", COMPLETIONS, {"prompt": "x", "n": 4, "stream": streamed, "max_tokens": 3000, "ignore_eos": True}))
            t.wait_metric("orcd_generation_tokens_total", lambda v: v > 20)
            equal(t.metrics()["orcd_requests_waiting"], 2)
            s.close()
            t.wait_metric("orcd_requests_running", lambda v: v == 0)
            t.wait_metric("orcd_requests_waiting", lambda v: v == 0)
            equal(outcomes(t.metrics()), dict(dict.fromkeys(OUTCOMES, 0), disconnected=4))
            m = t.wait_metric('orcd_wasted_tokens_total{reason="disconnected"}', lambda v: v > 0 or streamed)


@case("an answer's id is its job's: it can be cancelled")
def _():
    with Worker("model.slots=2", token_ms=5) as t:
        s = Chunks(t, max_tokens=3000, ignore_eos=True).open()
        first = s.next()
        equal(t.call("POST", "/v2/cancel", {"job_id": first["id"]}).status, 202)
        rest = s.rest()
        equal(rest[-1]["error"]["code"], "cancelled")
        check(all("error" not in c for c in rest[:-1]))
        # One of several: an answer with less than was asked for is none.
        s = Chunks(t, n=2, max_tokens=3000, ignore_eos=True).open()
        first = s.next()
        equal(t.call("DELETE", "/v2/jobs/" + first["id"] + ":1").status, 202)
        equal(s.rest()[-1]["error"]["code"], "cancelled")
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        equal(outcomes(t.metrics())["cancelled"], 3)


@case("n answers that the queue has no room for are refused as a whole")
def _():
    with Worker("model.slots=1", "queue.capacity=2", token_ms=5) as t:
        a = Chunks(t, max_tokens=3000, ignore_eos=True).open()
        a.next()
        r = ask(t, status=429, n=4, max_tokens=5)
        e = r.json["error"]
        equal((e["code"], e["type"], r.headers["X-Should-Retry"]), ("queue_full", "rate_limit_error", "true"))
        check(int(r.headers["Retry-After"]) >= 1)
        t.wait_metric("orcd_requests_waiting", lambda v: v == 0)
        a.close()
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        equal(outcomes(t.metrics()), dict(dict.fromkeys(OUTCOMES, 0), rejected=1, disconnected=1))
        ask(t, max_tokens=2)
        t.wait_log(lambda e: e.get("outcome") == "length")
        equal([e["outcome"] for e in t.events() if e.get("message") == "job ended"], ["CLIENT_DISCONNECTED", "length"])


@case("a failing device: an error in the stream, a status without one; all answers end")
def _():
    for n in (1, 3):
        with Worker("model.slots=4", token_ms=2, fault="submit.fail@11") as t:
            chunks = stream(worker=t, n=n, max_tokens=400, ignore_eos=True)
            e = chunks[-1]["error"]
            equal(e["type"], "server_error")
            equal([c for c in chunks if "error" in c], chunks[-1:])
            t.wait_metric("orcd_requests_running", lambda v: v == 0)


def chat(worker, content="hello", status=200, **fields):
    fields.setdefault("messages", [{"role": "user", "content": content}])
    return ask(worker, path=CHAT, status=status, **fields)


def message_of(chunks):
    """What the deltas of each choice amount to."""
    out = {}
    for c in chunks:
        for choice in c["choices"]:
            m = out.setdefault(choice["index"], {})
            for k, v in choice["delta"].items():
                m[k] = m.get(k, "") + v
    return out


@case("chat without a template that is known: 400, and what to set")
def _():
    e = chat(w, status=400).json["error"]
    equal((e["code"], e["param"]), ("invalid_request", "messages"))
    check("model.chat_template" in e["message"], e)


@case("chat: the object, and the same in chunks")
def _():
    with Worker("model.chat_template=" + FAMILY, text="Hi there") as t:
        r = chat(t).json
        equal(set(r), {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"})
        check(r["id"].startswith("chatcmpl-"))
        equal(r["object"], "chat.completion")
        c, = r["choices"]
        equal(set(c), {"index", "message", "logprobs", "finish_reason"})
        equal(c["message"], {"role": "assistant", "content": "Hi there", "refusal": None})
        equal((c["finish_reason"], c["logprobs"]), ("stop", None))
        equal((r["usage"]["completion_tokens"], r["usage"]["completion_tokens_details"]), (8, {"reasoning_tokens": 0}))
        chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}], stream_options={"include_usage": True})
        first = chunks[0]
        equal((first["object"], first["choices"][0]["delta"]), ("chat.completion.chunk", {"role": "assistant", "content": ""}))
        equal(message_of(chunks), {0: {"role": "assistant", "content": "Hi there"}})
        equal(chunks[-2]["choices"], [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}])
        equal((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]), ([], 8))
        equal({c["id"] for c in chunks}, {first["id"]})


@case("chat: the role comes with the first token, not before the prompt was computed")
def _():
    with Worker("model.chat_template=" + FAMILY, "http.ping_ms=100", "model.max_batch_tokens=8",
                prefill_us_per_token=20000) as t:
        c = Chunks(t, path=CHAT, messages=[{"role": "user", "content": "x" * 100}], max_tokens=2).open()
        equal(c.response.readline(), b": ping\n")
        rest = c.response.read().decode()
        check('{"role":"assistant","content":""}' in rest, rest)


@case("chat: an answer without a token has its role, too")
def _():
    with Worker("model.chat_template=" + FAMILY) as t:
        chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}], logit_bias={"257": 100},
                        temperature=0)
        equal([c["choices"][0]["delta"] for c in chunks], [{"role": "assistant", "content": ""}, {}])


@case("a base URL without /v1, an empty model, a fingerprint")
def _():
    equal(w.call("GET", "/models").json["data"][0]["id"], "mock")
    equal(w.call("GET", "/models/mock").status, 200)
    a = ask(path="/completions", prompt="hello", max_tokens=3, seed=1, model="").json
    b = ask(max_tokens=3, seed=1).json
    equal((a["choices"], a["system_fingerprint"]), (b["choices"], b["system_fingerprint"]))
    check(re.fullmatch("fp_[0-9a-f]{12}", a["system_fingerprint"]), a)
    equal({c["system_fingerprint"] for c in stream(max_tokens=3)}, {a["system_fingerprint"]})
    e = bad("prompt", path="/completions", prompt=1)
    equal(e["type"], "invalid_request_error")
    with Worker(text="other plugin options are the same model") as t:
        equal(ask(t, max_tokens=1).json["system_fingerprint"], a["system_fingerprint"])


@case("chat: what the model thinks comes apart from what it says")
def _():
    for text, thought, said in (("<think>why</think>because <b>", "why", "because <b>"), ("plain <thin", None, "plain <thin"),
                                ("<think>never done", "never done", "")):
        with Worker("model.chat_template=qwen3", text=text) as t:
            m = chat(t).json["choices"][0]["message"]
            equal((m.get("reasoning_content"), m["content"]), (thought, said), text)
            chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}])
            m = message_of(chunks)[0]
            equal((m.get("reasoning_content"), m["content"]), (thought, said), text)
            if thought == "why":
                check(chat(t).json["usage"]["completion_tokens_details"]["reasoning_tokens"] >= 3)


@case("chat: several answers, stops, limits, seeds")
def _():
    with Worker("model.chat_template=" + FAMILY, "model.context=400") as t:
        r = chat(t, n=3, seed=5, max_tokens=12).json
        texts = {c["index"]: c["message"]["content"] for c in r["choices"]}
        equal(len(texts), 3)
        equal(r["usage"]["completion_tokens"], 36)
        chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}], n=3, seed=5, max_tokens=12)
        equal({i: m["content"] for i, m in message_of(chunks).items()}, texts)
        equal(chat(t, max_tokens=3, max_completion_tokens=5).json["usage"]["completion_tokens"], 5)
        r = chat(t).json["usage"]
        equal(r["total_tokens"], 401, "what is left of the context")
        equal(chat(t, max_completion_tokens=4000).json["usage"]["total_tokens"], 401)
        equal(chat(t, status=400, content="x" * 5000).json["error"]["code"], "context_length_exceeded")
    with Worker("model.chat_template=" + FAMILY, text="one two three") as t:
        equal(chat(t, stop=["a", "b", "c", "two"]).json["choices"][0]["message"]["content"], "one ")


@case("chat: logprobs")
def _():
    with Worker("model.chat_template=" + FAMILY, text="aé") as t:
        for top in (None, 0, 3):
            fields = {"logprobs": True} if top is None else {"logprobs": True, "top_logprobs": top}
            l = chat(t, **fields).json["choices"][0]["logprobs"]["content"]
            equal([e["token"] for e in l], ["a", "\ufffd", "\ufffd"])
            equal([e["bytes"] for e in l], [[97], [0xc3], [0xa9]])
            check(all(e["logprob"] <= 0 and len(e["top_logprobs"]) == (top or 0) for e in l), l)
            chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}], **fields)
            equal([e for c in chunks if c["choices"][0]["logprobs"] for e in c["choices"][0]["logprobs"]["content"]], l)
        chat(t, status=400, top_logprobs=2)
        chat(t, status=400, logprobs=3)
        chat(t, status=400, logprobs=True, top_logprobs=21)


@case("chat: messages, well and badly made")
def _():
    with Worker("model.chat_template=" + FAMILY, text="ok") as t:
        parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
        whole = chat(t, content="hel\nlo").json["usage"]["prompt_tokens"]  # parts are lines
        equal(chat(t, messages=[{"role": "user", "content": parts}]).json["usage"]["prompt_tokens"], whole)
        chat(t, messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "n"},
                          {"role": "assistant", "content": "a", "tool_calls": None}, {"role": "user", "content": "v"}])
        def wrong(param, **fields):
            e = chat(t, status=400, **fields).json["error"]
            equal((e["code"], e["param"]), ("invalid_request", param), e)
            return e["message"]
        wrong("messages", messages=[])
        wrong("messages", messages="x")
        wrong("messages", messages=None)
        wrong("messages[0]", messages=["x"])
        wrong("messages[0].role", messages=[{"content": "x"}])
        wrong("messages[1].role", messages=[{"role": "user", "content": "x"}, {"role": "king", "content": "x"}])
        wrong("messages[0].content", messages=[{"role": "user"}])
        wrong("messages[0].content", messages=[{"role": "user", "content": 1}])
        wrong("messages[0].content", messages=[{"role": "user", "content": [1]}])
        wrong("messages[0].content", messages=[{"role": "user", "content": [{"type": "text"}]}])
        wrong("messages[0].content", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
        wrong("messages[0].tool_calls", messages=[{"role": "assistant", "tool_calls": [{"id": "x"}]}])
        wrong("messages", messages=[{"role": "user", "content": "x"}] * 4097)
        wrong("reasoning_effort", reasoning_effort="enormous")
        wrong("chat_template_kwargs", chat_template_kwargs=1)
        wrong("chat_template_kwargs.enable_thinking", chat_template_kwargs={"enable_thinking": 1})
        for name, value in (("tools", [{}]), ("tool_choice", "required"), ("response_format", {"type": "json_schema"}),
                            ("modalities", ["text", "audio"]), ("audio", {}), ("functions", [{}])):
            check("not support" in wrong(name, **{name: value}))
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh"):
            chat(t, reasoning_effort=effort)
        chat(t, chat_template_kwargs={"enable_thinking": False, "other": 1}, unknown=1, store=False)


@case("chat: a client that goes away frees the slot, streaming or not, with one answer or several")
def _():
    with Worker("model.chat_template=" + FAMILY, "model.slots=2", token_ms=2) as t:
        gone = 'orcd_requests_total{outcome="disconnected"}'
        for streamed in (False, True):
            for n in (1, 3):
                before = t.metrics()
                s = t.connect()
                s.sendall(request("POST", CHAT, {"messages": [{"role": "user", "content": "x"}], "stream": streamed,
                                                 "n": n, "ignore_eos": True}, {"X-Correlation-Id": "chat-%d-%s" % (n, streamed)}))
                t.wait_metric("orcd_generation_tokens_total", lambda v: v > before["orcd_generation_tokens_total"] + n)
                t.wait_metric("orcd_requests_running", lambda v: v == min(n, 2))
                s.close()
                equal(job_line(t, "chat-%d-%s" % (n, streamed))["outcome"], "CLIENT_DISCONNECTED")
                t.wait_metric(gone, lambda v: v == before[gone] + n)
                t.wait_metric("orcd_requests_running", lambda v: v == 0)
                equal(t.metrics()["orcd_requests_waiting"], 0)
        chat(t, max_tokens=2)


@case("chat: deadlines hold, and every answer has a correlation id")
def _():
    with Worker("model.chat_template=qwen3", "model.slots=1", "deadlines.admission=off", token_ms=20,
                text="<think>" + "why " * 900) as t:
        messages = [{"role": "user", "content": "hello"}]
        r = chat(t, status=504, headers={"X-Deadline": "2001-01-01T00:00:00Z"})
        equal((r.json["error"]["code"], r.json["error"]["correlation_id"]), ("deadline_exceeded", r.headers["X-Correlation-Id"]))
        r = chat(t, status=504, headers={"Request-Timeout-Ms": "200", "X-Correlation-Id": "late-1"})
        equal((r.json["error"]["code"], r.headers["X-Request-Id"]), ("deadline_exceeded", "late-1"))
        chunks = Chunks(t, CHAT, {"Request-Timeout-Ms": "300"}, messages=messages).open().rest()
        equal(chunks[-1]["error"]["code"], "deadline_exceeded")
        check(len(chunks) > 1)
        c, = chat(t, headers={"Request-Timeout-Ms": "300"}, on_deadline="partial", stop=["y w", "zzz"]).json["choices"]
        equal((c["finish_reason"], c["message"]["content"]), ("deadline", ""))
        check("why why".startswith(c["message"].get("reasoning_content", "")[:7]), c)
        equal(outcomes(t.metrics()), dict(dict.fromkeys(OUTCOMES, 0), rejected=1, deadline=2, deadline_partial=1))


@case("chat: stop strings hold for the answer, not for what is thought; the template's own end mark for both")
def _():
    for text, stop, thought, said in (("<think>a END b</think>c END d", ["END"], "a END b", "c "),
                                      ("<think>a. b</think>c. d", ".", "a. b", "c"),
                                      ("<thing", ["<th"], None, ""),
                                      ("<think>x</think>a<think>b", ["think"], "x", "a<"),
                                      ("<think>never said<|im_end|>c", ["END"], "never said", ""),
                                      ("<think>a</think>b<|im_end|>c", None, "a", "b")):
        with Worker("model.chat_template=qwen3", text=text) as t:
            for n in (1, 2):
                for c in chat(t, stop=stop, n=n).json["choices"]:
                    m = c["message"]
                    equal((m.get("reasoning_content"), m["content"], c["finish_reason"]), (thought, said, "stop"), text)
            chunks = stream(worker=t, path=CHAT, messages=[{"role": "user", "content": "hello"}], stop=stop)
            m = message_of(chunks)[0]
            equal((m.get("reasoning_content"), m["content"]), (thought, said), text)
            # Of a prompt, all of the text is looked at.
            if stop == ["END"]:
                equal(ask(t, stop=stop, max_tokens=99).json["choices"][0]["text"], text[:(text + "END").index("END")])


@case("a kept connection serves one after the other, whole and streamed")
def _():
    with w.connect() as c:
        for streamed in (False, True, False):
            c.sendall(request("POST", COMPLETIONS, {"prompt": "a", "max_tokens": 3, "stream": streamed}))
            r = read_response(c)
            equal(r.status, 200)
            check(not streamed or r.body.endswith(b"data: [DONE]\n\n"), r.body)


@case("HTTP/1.0: a stream without chunks, to the end of the connection")
def _():
    body = json.dumps({"prompt": "a", "max_tokens": 3, "stream": True}).encode()
    data = w.raw(b"POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    check(data.startswith(b"HTTP/1.") and data.endswith(b"data: [DONE]\n\n"), data)


@case("while the model loads: 503 in this shape")
def _():
    with Worker(wait=None, load_ms=3000) as t:
        for r in (ask(t, status=503), t.call("GET", "/v1/models")):
            equal((r.status, r.json["error"]["code"], r.headers["X-Should-Retry"]), (503, "model_loading", "true"))
            check(int(r.headers["Retry-After"]) >= 1)


@case("a shutdown ends a stream with an error")
def _():
    t = Worker("shutdown.drain_ms=0", token_ms=5)
    s = Chunks(t, n=2, max_tokens=3000, ignore_eos=True).open()
    s.next()
    t.process.send_signal(signal.SIGTERM)
    equal(s.rest()[-1]["error"]["code"], "shutting_down")
    equal(t.process.wait(PATIENCE), 0)


@case("many at once, streamed and whole, n of each")
def _():
    with Worker("model.slots=4", "http.threads=2", token_ms=1) as t:
        wanted = {n: {i: ask(t, seed=7 + i, max_tokens=25).json["choices"][0]["text"] for i in range(n)} for n in (1, 3)}
        failed = []

        def one(k):
            n = 1 + 2 * (k % 2)
            try:
                if k % 4 < 2:
                    got = text_by_index(stream(worker=t, seed=7, n=n, max_tokens=25))
                else:
                    got = {c["index"]: c["text"] for c in ask(t, seed=7, n=n, max_tokens=25).json["choices"]}
                equal(got, wanted[n], k)
            except Exception as e:
                failed.append(e)
        threads = [threading.Thread(target=one, args=(k,)) for k in range(16)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
        check(not failed, failed)


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
