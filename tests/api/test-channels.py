"""What a model thinks apart from what it says, from the model file to every API: harmony's channels
and <think>, whole and streamed. The models say what a script has for them (script_model.py)."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403
import script_model  # noqa: E402

CHAT = "/v1/chat/completions"
HARMONY_MARKS = dict.fromkeys(("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>",
                               "<|constrain|>"), script_model.CONTROL)
STEP = 64  # between the prompts of two scripts


def message(channel, *tokens):
    return ["<|channel|>", channel, "<|message|>", *tokens]


def then(channel, *tokens):
    return ["<|end|>", "<|start|>", "assistant", *message(channel, *tokens)]


class Script:
    """One generation: its tokens, what it amounts to, and what is asked for it."""

    def __init__(self, tokens, thought, said, why="stop", **fields):
        self.tokens, self.thought, self.said, self.why, self.fields = tokens, thought, said, why, fields

    def kwargs(self):
        return self.fields.get("chat_template_kwargs")


class Theatre:
    """A worker whose model plays the scripts: each stands behind prompts of its own length."""

    def __init__(self, scripts, marks, eos, family):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "script.gguf")
        words = [t for s in scripts.values() for t in s.tokens if t not in marks]
        self.vocabulary = script_model.Vocabulary(marks, words)
        self.file = lambda laid: script_model.write(self.path, self.vocabulary, laid, eos)
        self.family = family
        self.content = {name: "x" * (STEP * i + 1) for i, name in enumerate(scripts)}
        self.scripts = scripts
        self.file({})
        laid = {}
        with self.start() as empty:
            for name, s in scripts.items():
                length = self.ask(empty, name, max_tokens=1, stop=None).json["usage"]["prompt_tokens"]
                laid[length] = [*s.tokens, eos]
        self.file(laid)
        self.worker = self.start()

    def start(self):
        return Worker("model.slots=2", "model.chat_template=" + self.family, plugin="cpu", model=self.path)

    def fields(self, name, more):
        fields = dict(self.scripts[name].fields, messages=[{"role": "user", "content": self.content[name]}])
        fields.update(more)
        return fields

    def ask(self, worker, name, **more):
        r = worker.call("POST", CHAT, self.fields(name, more))
        equal(r.status, 200, r.body)
        return r

    def chunks(self, name, **more):
        r = self.ask(self.worker, name, stream=True, **more)
        lines = [line[6:] for line in r.body.decode().split("\n") if line.startswith("data: ")]
        equal(lines[-1], "[DONE]")
        return [json.loads(line) for line in lines[:-1]]

    def native(self, name, stream):
        s = self.scripts[name]
        fields = self.fields(name, {})
        params = {k: fields.pop(k) for k in ("max_tokens", "stop") if k in fields}
        fields.update(job_id="%d-%s" % (list(self.scripts).index(name), stream), params=params, stream=stream)
        if not stream:
            r = self.worker.call("POST", "/v2/execute", fields)
            equal(r.status, 200, r.body)
            d = r.json
            return d.get("reasoning", ""), d["text"], d["finish_reason"]
        e = self.worker.stream(**fields).open()
        equal(e.status, 200)
        events = e.rest()
        e.close()
        thought = "".join(x[2].get("r", "") for x in events if x[0] == "token")
        return thought, text_of(events), events[-1][2]["finish_reason"]


def play(theatre, name):
    """Every way to ask gives the same."""
    s = theatre.scripts[name]
    whole = theatre.ask(theatre.worker, name, n=2, logprobs=True).json
    for choice in whole["choices"]:
        m = choice["message"]
        equal((m.get("reasoning_content", ""), m["content"], choice["finish_reason"]), (s.thought, s.said, s.why), name)
        told = b"".join(bytes(e["bytes"]) for e in choice["logprobs"]["content"])
        check(told.decode("utf-8", "replace").startswith(s.said), (name, told))
    details = whole["usage"]["completion_tokens_details"]["reasoning_tokens"]
    check((details > 0) == (s.thought != "" or "<|channel|>" in s.tokens or "<think>" in s.tokens and
                            (s.kwargs() or {}).get("enable_thinking") is not False), (name, whole["usage"]))
    for n in (1, 2):
        thought, said, why = [""] * n, [""] * n, [None] * n
        for c in theatre.chunks(name, n=n):
            for choice in c["choices"]:
                i, delta = choice["index"], choice["delta"]
                check(not (said[i] and delta.get("reasoning_content")), (name, "a thought after the answer"))
                thought[i] += delta.get("reasoning_content", "")
                said[i] += delta.get("content", "")
                why[i] = choice["finish_reason"] or why[i]
        equal((thought, said, why), ([s.thought] * n, [s.said] * n, [s.why] * n), name)
    for stream in (False, True):
        thought, said, why = theatre.native(name, stream)
        equal((thought, said), (s.thought, s.said), (name, stream))
        check(why == s.why or (s.fields.get("stop") and why == "stop_sequence"), (name, why))


HARMONY = {
    "analysis, then final": Script(
        [*message("analysis", "Let me", " see."), *then("final", "It is", " four.")], "Let me see.", "It is four."),
    "final alone": Script(message("final", "Four", "."), "", "Four."),
    "no channel": Script(["<|message|>", "Four", "."], "", "Four."),
    "two thoughts": Script(
        [*message("analysis", "one"), *then("analysis", " two"), *then("final", "three")], "one two", "three"),
    "commentary is no answer": Script(
        [*message("commentary", "I will look."), *then("final", "Done.")], "I will look.", "Done."),
    "a call that nobody takes": Script(
        ["<|channel|>", "commentary to=functions.f ", "<|constrain|>", "json", "<|message|>", "{}", "<|call|>"], "{}", ""),
    "characters in pieces": Script(
        [*message("analysis", b"\xc3", b"\xa9", "t"), *then("final", b"\xf0\x9f", b"\x98\x80", "!")],
        "\u00e9t", "\U0001f600!"),
    "a character that never ends": Script(
        [*message("analysis", "a", b"\xe2\x82"), *then("final", "b", b"\xe2")], "a\ufffd", "b\ufffd"),
    "cut in a thought": Script([*message("analysis", "one", " two", " three")], "one two", "", "length", max_tokens=5),
    "cut in a header": Script([*message("analysis", "one"), *then("final", "two")], "one", "", "length", max_tokens=9),
    "cut in the answer": Script(message("final", "a", "b", "c"), "", "ab", "length", max_tokens=5),
    "marks in text are text": Script(message("final", "<|", "end", "|>", " and ", "<think>"), "", "<|end|> and <think>"),
    "stop: not in a thought": Script(
        [*message("analysis", "a END", " b"), *then("final", "c EN", "D d")], "a END b", "c ", stop=["END"]),
    "stop: not in a header": Script(message("final", "the ", "fin", "al"), "", "the ", stop=["final", "analysis"]),
    "stop: not over two messages": Script(
        [*message("analysis", "E"), *then("final", "N", "D")], "E", "ND", stop=["END"]),
}


def think(*tokens):
    return ["<think>", "\n", *tokens, "\n", "</think>", "\n\n"]


def thinking(enabled):
    """The same with enable_thinking given or not."""
    fields = {} if enabled is None else {"chat_template_kwargs": {"enable_thinking": enabled}}
    tag = " (%s)" % enabled
    return {
        "a thought" + tag: Script([*think("why", "?"), "because"], "why?", "because", **fields),
        "an empty one" + tag: Script([*think(), "because"], "", "because", **fields),
        "none" + tag: Script(["be", "cause"], "", "because", **fields),
        "cut" + tag: Script(think("why", " so"), "why", "", "length", max_tokens=3, **fields),
        "line break" + tag: Script([*think("a", "\n", "b"), "c", "\n", "d"], "a\nb", "c", stop=["\n"], **fields),
        "stop" + tag: Script([*think("a ", "END"), "b ", "E", "ND", "c"], "a END", "b ", stop=["END", "think"], **fields),
    }


def unthinking(user_defined):
    """With enable_thinking false all is content; marks that are control tokens have no text."""
    mark, end = ("<think>", "</think>") if user_defined else ("", "")
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    return {
        "said (False)": Script(["be", "cause"], "", "because", **off),
        "marks are text (False)": Script([*think("why"), "so"], "", mark + "\nwhy\n" + end + "\n\nso", **off),
        "stop (False)": Script([*think("a ", "END"), "b"], "", mark + "\na ", stop=["END"], **off),
    }


def run(scripts, *how):
    theatre = Theatre(scripts, *how)
    equal(theatre.worker.call("GET", "/v2/model").json["architecture"], "gpt2")
    failed = []
    for name in scripts:
        try:
            play(theatre, name)
        except AssertionError as e:
            failed.append("%s: %s" % (name, e))
    equal(theatre.worker.stop(), 0)
    theatre.folder.cleanup()
    check(not failed, "\n".join(failed))


@case("harmony: channels apart in every API, whole and streamed, and stop strings in the answer only")
def _():
    run(HARMONY, HARMONY_MARKS, "<|return|>", "gpt-oss")


def qwen_marks(kind):
    return {"<|im_start|>": script_model.CONTROL, "<|im_end|>": script_model.CONTROL, "<think>": kind, "</think>": kind}


for kind, what in ((script_model.USER_DEFINED, "text"), (script_model.CONTROL, "control tokens")):
    case("think: with enable_thinking or without, marks are %s" % what)(
        lambda kind=kind: run({**thinking(None), **thinking(True)}, qwen_marks(kind), "<|im_end|>", "qwen3"))
    case("think: enable_thinking false gives all as content, marks are %s" % what)(
        lambda kind=kind: run(unthinking(kind == script_model.USER_DEFINED), qwen_marks(kind), "<|im_end|>",
                              "qwen3"))


main()
