"""messages in /v2/execute: rendered, refused, and answered with the reasoning apart."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

THOUGHT = "<think>why?</think>Because \u00e9."
HELLO = [{"role": "user", "content": "hello"}]
w = Worker("model.chat_template=qwen3", "model.context=512", text=THOUGHT)
serial = 0


def ask(expect=200, worker=None, **fields):
    global serial
    serial += 1
    fields.setdefault("job_id", "c%d" % serial)
    fields.setdefault("messages", HELLO)
    fields.setdefault("stream", False)
    r = (worker or w).call("POST", "/v2/execute", fields)
    equal(r.status, expect, r.body)
    return r


def bad(field, worker=None, **fields):
    r = ask(400, worker, **fields)
    equal(r.code, "INVALID_REQUEST", r.body)
    equal(r.json["error"]["details"]["field"], field)
    return r


def tokens_of(text):
    r = w.call("POST", "/v2/tokenize", {"text": text})
    return r.json["count"]


@case("the conversation becomes the family's prompt")
def _():
    r = ask(messages=[{"role": "system", "content": "s"}] + HELLO, params={"max_tokens": 1}).json
    text = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    equal(r["prompt_tokens"], tokens_of(text))
    r = ask(chat_template_kwargs={"enable_thinking": False}, params={"max_tokens": 1}).json
    text = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    equal(r["prompt_tokens"], tokens_of(text))


@case("the model says which family")
def _():
    equal(w.call("GET", "/v2/model").json["chat_template"], "qwen3")


@case("reasoning apart from the answer, in one piece")
def _():
    r = ask().json
    equal((r["text"], r["reasoning"], r["finish_reason"]), ("Because \u00e9.", "why?", "stop"))
    equal(r["tokens_out"], len(THOUGHT.encode()))
    r = ask(chat_template_kwargs={"enable_thinking": False}).json
    equal(r["text"], THOUGHT)
    check("reasoning" not in r, r)
    r = ask(params={"max_tokens": 9}).json
    equal((r["text"], r["reasoning"], r["finish_reason"]), ("", "wh", "length"))
    r = ask(params={"max_tokens": 14}).json  # a mark that is cut is text
    equal((r["text"], r["reasoning"]), ("", "why?</t"))


def stream(**fields):
    global serial
    serial += 1
    fields.setdefault("messages", HELLO)
    return w.stream(job_id="t%d" % serial, **fields)


@case("and as it streams, every token an event")
def _():
    for fields, text, thought in (
            ({}, "Because \u00e9.", "why?"),
            ({"params": {"max_tokens": 14}}, "", "why?</t"),
            ({"params": {"max_tokens": 3}}, "<th", ""),
            ({"chat_template_kwargs": {"enable_thinking": False}}, THOUGHT, "")):
        s = stream(**fields).open()
        equal(s.status, 200)
        events = s.rest()
        tokens = [e for e in events if e[0] == "token"]
        equal("".join(e[2]["t"] for e in tokens), text)
        equal("".join(e[2].get("r", "") for e in tokens), thought)
        numbered = [e[1] for e in tokens if e[1] is not None]
        equal(numbered, list(range(1, len(numbered) + 1)))
        equal(events[-1][2]["tokens_out"], len(numbered))
        equal([e[0] for e in events][-1], "end")
        s.close()


@case("a prompt is as it was: nothing is taken apart")
def _():
    r = w.execute(job_id="p", stream=False).json
    equal(r["text"], THOUGHT)
    check("reasoning" not in r, r)


@case("every field of a conversation is checked")
def _():
    bad("messages", messages=[])
    bad("messages", messages="x")
    bad("messages", messages=None)
    bad("messages[0]", messages=["x"])
    bad("messages[0].role", messages=[{"content": "x"}])
    bad("messages[0].role", messages=[{"role": "root", "content": "x"}])
    bad("messages[0].content", messages=[{"role": "user"}])
    bad("messages[0].content", messages=[{"role": "user", "content": 1}])
    bad("messages[0].content", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}])
    bad("messages[1].name", messages=HELLO + [{"role": "user", "content": "x", "name": "n"}])
    bad("chat_template_kwargs", chat_template_kwargs=1)
    bad("chat_template_kwargs.enable_thinking", chat_template_kwargs={"enable_thinking": 1})
    bad("chat_template_kwargs.tools", chat_template_kwargs={"tools": []})
    r = w.execute(job_id="k", stream=False, chat_template_kwargs={"enable_thinking": True})
    equal((r.status, r.json["error"]["details"]["field"]), (400, "chat_template_kwargs"))
    r = ask(400, messages=[{"role": "user", "content": "x" * 600}])
    equal(r.code, "CONTEXT_LENGTH_EXCEEDED")


@case("a conversation that the family has not is refused with its reason")
def _():
    with Worker("model.chat_template=gemma") as t:
        r = bad("messages", t, messages=[{"role": "system", "content": "s"}] + HELLO)
        check("system" in r.json["error"]["message"], r.body)
        bad("messages", t, messages=HELLO + HELLO)
        ask(worker=t, params={"max_tokens": 1})


@case("marks that are no tokens end an answer as stop strings")
def _():
    with Worker("model.chat_template=chatml", text="said<|im_end|>unsaid") as t:
        r = ask(worker=t, params={"stop": ["a1", "b2", "c3", "d4"]}).json
        equal((r["text"], r["finish_reason"]), ("said", "stop_sequence"))


@case("none: conversations are turned off")
def _():
    with Worker("model.chat_template=none") as t:
        r = bad("messages", t)
        check("model.chat_template" in r.json["error"]["message"], r.body)


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
