"""The official Python client of OpenAI's API, as it is, against a worker."""
import os
import sys

sys.dont_write_bytecode = True
try:
    import openai
except ImportError:
    print("1..0 # SKIP the Python package openai is not here (scripts/install-deps --python)")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

import asyncio

w = Worker("model.context=1024", "model.slots=4", token_ms=1)


def client(worker=w, **options):
    options.setdefault("api_key", "none-is-needed")
    options.setdefault("max_retries", 0)
    options.setdefault("timeout", PATIENCE)
    return openai.OpenAI(base_url=worker.url + "/v1", **options)


def raises(kind, fn, *args, **fields):
    try:
        fn(*args, **fields)
    except kind as e:
        return e
    raise AssertionError("%s was expected" % kind.__name__)


c = client()


@case("models")
def _():
    listed = c.models.list().data
    equal([m.id for m in listed], ["mock"])
    equal(c.models.retrieve("mock").id, "mock")
    e = raises(openai.NotFoundError, c.models.retrieve, "gpt-4")
    equal((e.code, e.status_code), ("model_not_found", 404))


@case("a completion, whole and streamed")
def _():
    r = c.completions.create(model="mock", prompt="hello", max_tokens=12, seed=3)
    equal((r.object, r.choices[0].finish_reason, r.usage.prompt_tokens, r.usage.completion_tokens, r.usage.total_tokens),
          ("text_completion", "length", 6, 12, 18))
    check(r._request_id)
    chunks = list(c.completions.create(model="mock", prompt="hello", max_tokens=12, seed=3, stream=True,
                                       stream_options={"include_usage": True}))
    equal("".join(k.choices[0].text for k in chunks if k.choices), r.choices[0].text)
    equal(chunks[-1].usage.total_tokens, 18)
    equal(len({k.id for k in chunks}), 1)


@case("n, prompts, stop, logprobs, echo")
def _():
    r = c.completions.create(model="mock", prompt=["a", "b"], n=2, max_tokens=4, logprobs=2, temperature=0.5)
    equal([k.index for k in r.choices], [0, 1, 2, 3])
    for k in r.choices:
        equal("".join(k.logprobs.tokens), k.text)
        equal((len(k.logprobs.token_logprobs), len(k.logprobs.top_logprobs), k.logprobs.text_offset), (4, 4, [0, 1, 2, 3]))
    with Worker(text="one two three") as t:
        r = client(t).completions.create(model="mock", prompt="x", stop=["tw"], echo=True, max_tokens=30)
        equal((r.choices[0].text, r.choices[0].finish_reason), ("xone ", "stop"))


@case("a chat: whole, streamed, n, logprobs, what is thought")
def _():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    with Worker("model.chat_template=qwen3", text="<think>why</think>because") as t:
        k = client(t)
        r = k.chat.completions.create(model="mock", messages=messages, n=2, logprobs=True, top_logprobs=2)
        for choice in r.choices:
            m = choice.message
            equal((m.role, m.content, m.reasoning_content, choice.finish_reason), ("assistant", "because", "why", "stop"))
            check("".join(l.token for l in choice.logprobs.content).endswith("because"))
        equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)
        check(r.usage.completion_tokens_details.reasoning_tokens > 0)
        said = thought = ""
        for c in k.chat.completions.create(model="mock", messages=messages, stream=True, max_completion_tokens=60,
                                           stream_options={"include_usage": True}):
            for choice in c.choices:
                said += choice.delta.content or ""
                thought += getattr(choice.delta, "reasoning_content", None) or ""
            last = c
        equal((said, thought), ("because", "why"))
        check(last.usage.completion_tokens > 0)
        raises(openai.BadRequestError, k.chat.completions.create, model="mock", messages=messages, tools=[{"type": "function", "function": {"name": "f"}}])
        raises(openai.BadRequestError, k.chat.completions.create, model="mock", messages=[])
        with k.chat.completions.stream(model="mock", messages=messages) as s:
            equal(s.get_final_completion().choices[0].message.content, "because")


@case("errors are the classes that the client has for them")
def _():
    e = raises(openai.BadRequestError, c.completions.create, model="mock", prompt="a", temperature=3)
    equal((e.param, e.type), ("temperature", "invalid_request_error"))
    e = raises(openai.BadRequestError, c.completions.create, model="mock", prompt=[1] * 100000)
    equal(e.code, "context_length_exceeded")
    raises(openai.BadRequestError, c.completions.create, model="mock", prompt="a", best_of=3)
    raises(openai.NotFoundError, c.completions.create, model="other", prompt="a")
    raises(openai.NotFoundError, c.embeddings.create, model="mock", input="a")
    raises(openai.NotFoundError, c.responses.create, model="mock", input="a")
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("a-key-for-this-test\n")
        f.flush()
        with Worker("http.api_keys_file=" + f.name) as t:
            e = raises(openai.AuthenticationError, client(t).models.list)
            equal(e.code, "invalid_api_key")
            client(t, api_key="a-key-for-this-test").completions.create(model="mock", prompt="a", max_tokens=1)


@case("an error in the middle of a stream is raised")
def _():
    s = c.completions.create(model="mock", prompt="a", max_tokens=900, stream=True, extra_body={"ignore_eos": True})
    first = next(iter(s))
    equal(w.call("POST", "/v2/cancel", {"job_id": first.id}).status, 202)
    e = raises(openai.APIError, list, s)
    equal(e.code, "cancelled")


@case("a full queue is a rate limit; what may be tried again is")
def _():
    with Worker("model.slots=1", "queue.capacity=1", token_ms=5) as t, t.connect() as other:
        s = client(t).completions.create(model="mock", prompt="a", max_tokens=900, stream=True, extra_body={"ignore_eos": True})
        next(iter(s))
        other.sendall(request("POST", "/v1/completions", {"prompt": "b", "max_tokens": 2}))
        t.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        raises(openai.RateLimitError, client(t).completions.create, model="mock", prompt="a")
        s.close()
    with Worker(wait=None, load_ms=500) as t:
        r = client(t, max_retries=50).completions.create(model="mock", prompt="a", max_tokens=2)
        equal(r.usage.completion_tokens, 2)


@case("a deadline by header")
def _():
    e = raises(openai.InternalServerError, c.completions.create, model="mock", prompt="a", extra_headers={"X-Deadline": "2001-01-01T00:00:00Z"})
    equal((e.status_code, e.code), (504, "deadline_exceeded"))


@case("a client that gives up frees the slot: a time-out, a closed stream")
def _():
    gone = 'orcd_requests_total{outcome="disconnected"}'
    with Worker("model.slots=1", "model.context=30000", token_ms=5) as t:
        raises(openai.APITimeoutError, client(t, timeout=0.2).completions.create, model="mock", prompt="a", max_tokens=20000)
        t.wait_metric(gone, lambda v: v == 1)
        s = client(t).completions.create(model="mock", prompt="a", max_tokens=20000, stream=True)
        next(iter(s))
        s.close()
        t.wait_metric(gone, lambda v: v == 2)
        t.wait_metric("orcd_requests_running", lambda v: v == 0)


@case("the asynchronous client: eight streams at once, one given up")
def _():
    async def run():
        a = openai.AsyncOpenAI(base_url=w.url + "/v1", api_key="x", max_retries=0, timeout=PATIENCE)

        async def one(i):
            s = await a.completions.create(model="mock", prompt="p", max_tokens=40, seed=i, stream=True)
            return "".join([k.choices[0].text async for k in s])
        texts = await asyncio.gather(*[one(i) for i in range(8)])
        s = await a.completions.create(model="mock", prompt="p", max_tokens=900, stream=True, extra_body={"ignore_eos": True})
        async for _ in s:
            break
        await s.close()
        await a.close()
        return texts
    texts = asyncio.run(run())
    for i, text in enumerate(texts):
        equal(c.completions.create(model="mock", prompt="p", max_tokens=40, seed=i).choices[0].text, text)
    w.wait_metric("orcd_requests_running", lambda v: v == 0)


@case("the worker ends cleanly")
def _():
    c.close()
    equal(w.stop(), 0)


main()
