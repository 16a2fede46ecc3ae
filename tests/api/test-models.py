"""Real models through the whole worker: exact texts, batching, seeds, prefix reuse."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

SRCDIR = os.environ.get("ORCD_SRCDIR", ".")
SHARED = os.environ.get("ORCD_SHARED", os.path.join(SRCDIR, "..", "shared"))
DEMO = os.path.join(SRCDIR, "share", "demo", "orcd-demo.gguf")
STORIES = os.path.join(SHARED, "data", "models", "stories260K.gguf")
GOLDEN = json.load(open(os.path.join(SRCDIR, "share", "demo", "golden.json")))

demo = Worker(plugin="cpu", model=DEMO)
job = 0


def greedy(worker, **fields):
    """The events of one greedy stream."""
    global job
    job += 1
    params = fields.pop("params", {})
    params.setdefault("temperature", 0)
    with_stream = worker.stream(job_id="m%d" % job, params=params, **fields)
    with_stream.open()
    equal(with_stream.status, 200)
    events = with_stream.rest()
    with_stream.close()
    return events


def ids_of(events):
    return [e[2]["id"] for e in events if e[0] == "token" and e[1] is not None]


@case("the demo model gives its exact greedy answers")
def _():
    for g in GOLDEN:
        events = greedy(demo, prompt=g["prompt"], params={"max_tokens": len(g["greedy"])})
        equal(events[0][2]["prompt_tokens"], len(g["tokens_in"]))
        equal(ids_of(events), g["greedy"], g["prompt"])
        equal(text_of(events), g["text"], g["prompt"])
        equal(events[-1][0], "end")


@case("tokenize gives the prompt's ids, detokenize the text")
def _():
    for g in GOLDEN:
        r = demo.call("POST", "/v2/tokenize", {"text": g["prompt"], "add_special": True})
        equal(r.json["tokens"], g["tokens_in"])
        r = demo.call("POST", "/v2/detokenize", {"tokens": g["tokens_in"][1:]})  # without BOS
        equal(r.json["text"].strip(), g["prompt"])


@case("a prompt given as tokens answers as the text does")
def _():
    g = GOLDEN[0]
    events = greedy(demo, tokens=g["tokens_in"], params={"max_tokens": 8})
    equal(ids_of(events), g["greedy"][:8])


PROMPTS = ["Prince Andrew", "The war", "She looked at him and", "In the morning the soldiers"]


@case("four streams at a time: each gets the answer that it gets alone")
def _():
    for temperature in (0, 0.8):
        params = {"max_tokens": 48, "temperature": temperature, "seed": 7, "top_p": 0.95}
        alone = [text_of(greedy(demo, prompt=p, params=dict(params))) for p in PROMPTS]
        check(len(set(alone)) == len(alone))
        streams = [demo.stream(job_id="t%s-%d" % (temperature, i), prompt=p, params=params)
                   for i, p in enumerate(PROMPTS)]
        for s in streams:
            s.open()
        for s, text in zip(streams, alone):
            equal(text_of(s.rest()), text)
            s.close()


@case("the same seed gives the same text, another seed another")
def _():
    def run(seed):
        return text_of(greedy(demo, prompt="Napoleon", params={"max_tokens": 40, "temperature": 1, "seed": seed}))
    first = run(11)
    equal(run(11), first)
    check(run(12) != first)


@case("a seed that was drawn is reported and reproduces")
def _():
    events = greedy(demo, prompt="Napoleon", params={"max_tokens": 30, "temperature": 1})
    again = greedy(demo, prompt="Napoleon", params={"max_tokens": 30, "temperature": 1, "seed": events[0][2]["seed"]})
    equal(text_of(again), text_of(events))


@case("a shared prefix is computed once, and changes nothing")
def _():
    text = "The old count walked slowly through the great hall of the house and spoke to his guests about the war, " * 3
    cold = greedy(demo, prompt=text + "when the door opened", params={"max_tokens": 24})
    greedy(demo, prompt=text + "and then", params={"max_tokens": 4})
    warm = greedy(demo, prompt=text + "when the door opened", params={"max_tokens": 24})
    n = warm[0][2]["prompt_tokens"]
    check(warm[0][2]["cached_tokens"] >= n - 12, warm[0][2])
    equal(text_of(warm), text_of(cold))


@case("a stop string ends the answer and is never shown")
def _():
    g = GOLDEN[0]
    words = g["text"].split()
    stop = words[len(words) // 2]
    events = greedy(demo, prompt=g["prompt"], params={"max_tokens": len(g["greedy"]), "stop": [stop]})
    equal(text_of(events), g["text"][:g["text"].index(stop)])
    equal(events[-1][2]["finish_reason"], "stop_sequence")


@case("stories260K gives its published text")
def _():
    if not os.path.exists(STORIES):
        raise Skip("no shared data")
    with Worker(plugin="cpu", model=STORIES) as w:
        events = greedy(w, prompt="Once upon a time", params={"max_tokens": 100})
        want = (", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
                "big, red ball. She wanted to play with it, but it was too high.\n"
                "Lily's mom said, \"Lily, let's go to the park.\"")
        got = text_of(events)
        check(got.startswith(want), repr(got))


@case("the worker ends well")
def _():
    equal(demo.stop(), 0)


main()
