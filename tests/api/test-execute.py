"""Jobs: streams, whole answers, every field checked, hostile JSON."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

w = Worker("http.max_body_kb=4096", "model.context=512", "deadlines.max_ms=60000")
serial = 0


def new_id():
    global serial
    serial += 1
    return "x%d" % serial


def run(expect=200, **fields):
    fields.setdefault("job_id", new_id())
    fields.setdefault("stream", False)
    r = w.execute(**fields)
    equal(r.status, expect, r.body)
    return r


def bad(field=None, code="INVALID_REQUEST", **fields):
    r = run(400, **fields)
    equal(r.code, code)
    if field:
        equal(r.json["error"]["details"]["field"], field)
    return r


def bad_json(body, why, at=None):
    r = w.call("POST", "/v2/execute", body)
    equal((r.status, r.code), (400, "INVALID_REQUEST"), (body[:60], r.body))
    message = r.json["error"]["message"]
    check(why in message and (at is None or message.startswith("invalid JSON in request body at byte %d: " % at)), r.body)


def fields_of_params():
    """The fields of params that core/api reads."""
    srcdir = os.environ.get("ORCD_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    def between(name, begin, end):
        with open(os.path.join(srcdir, name)) as f:
            return f.read().split(begin)[1].split(end)[0]
    table = between("core/api/params-fields.c", "simple_params[] = {", "};")
    code = between("core/api/params.c", "static void read_param(", "static void read_params(")
    names = re.findall(r'\{"([a-z_]+)"', table) + re.findall(r'strcmp\(name, "([a-z_]+)"\)', code)
    check(len(names) > 15, names)
    return names


@case("a stream: started, tokens, end, with ids that count")
def _():
    s = w.stream(job_id="s1", params={"max_tokens": 7, "seed": 42}, headers={"X-Correlation-Id": "abc.1"}).open()
    equal(s.status, 200)
    h = s.response.headers
    equal(h["Content-Type"], "text/event-stream")
    equal(h["Cache-Control"], "no-store")
    equal(h["X-Accel-Buffering"], "no")
    equal(h["X-Correlation-Id"], "abc.1")
    equal(h["Transfer-Encoding"], "chunked")
    events = s.rest()
    equal([e[0] for e in events], ["started"] + ["token"] * 7 + ["end"])
    equal([e[1] for e in events], list(range(9)))
    started, end = events[0][2], events[-1][2]
    equal(sorted(started), sorted(["job_id", "model", "seed", "started_at", "queue_ms", "prompt_tokens", "cached_tokens", "correlation_id"]))
    equal((started["job_id"], started["seed"], started["model"], started["correlation_id"]), ("s1", 42, "mock", "abc.1"))
    equal(started["prompt_tokens"], 6)
    equal([e[2]["i"] for e in events[1:-1]], list(range(7)))
    check(all(set(e[2]) == {"t", "i", "id"} for e in events[1:-1]))
    equal(sorted(end), sorted(["tokens_out", "tokens_in", "finish_reason", "decode_time_ms", "ttft_ms", "seed"]))
    equal((end["tokens_out"], end["tokens_in"], end["finish_reason"], end["seed"]), (7, 6, "length", 42))
    s.close()


@case("timestamps: when each token was sampled, between request and receipt, in order")
def _():
    with Worker(token_ms=2) as t:
        before = time.time()
        s = t.stream(job_id="at", params={"max_tokens": 8, "timestamps": True}).open()
        events = s.rest()
        after = time.time()
        tokens = [e[2] for e in events if e[0] == "token"]
        check(all(set(e) == {"t", "i", "id", "at_us"} and type(e["at_us"]) is int for e in tokens), tokens)
        at = [e["at_us"] for e in tokens]
        equal(at, sorted(at))
        check(before * 1e6 <= at[0] and at[-1] <= after * 1e6, (before, at, after))
        s.close()
        s = t.stream(job_id="no", params={"max_tokens": 2, "timestamps": False}).open()
        check(all("at_us" not in e[2] for e in s.rest()))
        s.close()


@case("the alias, and the same text streamed or not")
def _():
    params = {"max_tokens": 20, "seed": 5}
    whole = run(params=params).json
    r = w.call("POST", "/execute", {"job_id": new_id(), "prompt": "hello", "stream": False, "params": params}).json
    s = w.stream(job_id=new_id(), params=params).open()
    events = s.rest()
    equal(text_of(events), whole["text"])
    equal(r["text"], whole["text"])
    equal([e[2]["id"] for e in events if e[0] == "token"], whole["tokens"])
    equal((whole["finish_reason"], whole["tokens_out"], whole["seed"]), ("length", 20, 5))


@case("several streams on one connection, one after the other")
def _():
    with w.connect() as c:
        for _ in range(3):
            c.sendall(request("POST", "/v2/execute", {"job_id": new_id(), "prompt": "a", "params": {"max_tokens": 3}}))
            r = read_response(c)
            equal(r.body.count(b"event: token"), 3)


@case("four streams at once")
def _():
    streams = [w.stream(job_id=new_id(), params={"max_tokens": 100, "seed": i}).open() for i in range(4)]
    for s in streams:
        events = s.rest()
        equal([e[0] for e in events], ["started"] + ["token"] * 100 + ["end"])
        s.close()


@case("no wake-up is lost, however a job's events and its exchange's going to sleep meet")
def _():
    # Nothing but the event itself would wake a stream that has missed one.
    with Worker("http.ping_ms=86400000") as t:
        for i in range(300 if os.environ.get("ORCD_TEST_SANITIZED") else 4000):
            r = t.call("POST", "/v2/execute", {"job_id": "w%d" % i, "prompt": "hello", "params": {"max_tokens": 4}})
            equal((r.status, r.body.count(b"event: token")), (200, 4))


@case("more jobs than slots wait their turn")
def _():
    streams = [w.stream(job_id=new_id(), params={"max_tokens": 30}) for i in range(20)]
    for s in streams:
        equal(s.open().rest()[-1][0], "end")
        s.close()


@case("a seed is drawn when none is given, and reported")
def _():
    a, b = run().json, run().json
    check(a["seed"] != b["seed"])
    check(0 <= a["seed"] < 2 ** 53)


@case("tokens in place of a prompt")
def _():
    params = {"max_tokens": 5, "seed": 1}
    a = run(params=params).json
    r = w.call("POST", "/v2/execute", {"job_id": new_id(), "stream": False, "tokens": [256] + list(b"hello"), "params": params})
    equal(r.json["text"], a["text"])


@case("exactly one of prompt, messages and tokens; messages need a chat template")
def _():
    equal(w.call("POST", "/v2/execute", {"job_id": "n"}).status, 400)
    bad(tokens=[1])
    bad(messages=[{"role": "user", "content": "x"}])
    r = w.call("POST", "/v2/execute", {"job_id": "n", "messages": [{"role": "user", "content": "x"}]})
    equal((r.status, r.code), (400, "INVALID_REQUEST"))
    check("model.chat_template" in r.json["error"]["message"], r.body)


@case("stop strings never show, not even in part")
def _():
    with Worker(text="one two three") as t:
        r = t.execute(job_id="a", stream=False, params={"stop": ["tw"]}).json
        equal((r["text"], r["finish_reason"]), ("one ", "stop_sequence"))
        r = t.execute(job_id="b", stream=False).json
        equal((r["text"], r["finish_reason"]), ("one two three", "stop"))
        s = t.stream(job_id="c", params={"stop": ["thrice", "zzz"]}).open()
        events = s.rest()
        equal(text_of(events), "one two three")
        flush = [e for e in events if e[0] == "token" and e[1] is None]
        for e in flush:
            equal(set(e[2]), {"t"})


@case("text with newlines, quotes and control bytes stays one event")
def _():
    for byte in (0, 1, 10, 13, 27, 34, 92, 127):
        params = {"max_tokens": 3, "temperature": 0, "logit_bias": {str(byte): 100}}
        events = w.stream(job_id=new_id(), params=params).open().rest()
        equal([e[0] for e in events], ["started"] + ["token"] * 3 + ["end"])
        equal(text_of(events), chr(byte) * 3)
        equal(run(params=params).json["text"], chr(byte) * 3)


@case("characters stay whole; bytes that are none become U+FFFD")
def _():
    for text in ("event: end data: {}", 'q"\\', "é€𝄞", "\u2028"):
        with Worker(text=text) as t:
            events = t.stream(job_id="a").open().rest()
            equal(text_of(events), text)
            equal(events[-1][0], "end")
    params = {"max_tokens": 3, "temperature": 0, "logit_bias": {"255": 100}}
    equal(text_of(w.stream(job_id=new_id(), params=params).open().rest()), "\ufffd" * 3)
    params = {"max_tokens": 1, "temperature": 0, "logit_bias": {str(0xe2): 100}}
    events = w.stream(job_id=new_id(), params=params).open().rest()
    equal([(e[0], e[1], e[2].get("t")) for e in events[1:]], [("token", 1, ""), ("token", None, "\ufffd"), ("end", 2, None)])


@case("a stop string that the end of half a character completes is not shown")
def _():
    half = {"max_tokens": 1, "temperature": 0, "logit_bias": {str(0xe2): 100}, "stop": ["\ufffd"]}
    r = run(params=half).json
    equal((r["text"], r["finish_reason"]), ("", "stop_sequence"))
    events = w.stream(job_id=new_id(), params=half).open().rest()
    equal((text_of(events), events[-1][2]["finish_reason"]), ("", "stop_sequence"))


@case("with capacity 0 a job that has a free slot is taken, and no other")
def _():
    with Worker("queue.capacity=0", "model.slots=1", token_ms=5) as t:
        first = t.stream(job_id="a", params={"max_tokens": 4000, "ignore_eos": True}).open()
        equal(first.event()[0], "started")
        r = t.execute(job_id="b")
        equal((r.status, r.code), (429, "QUEUE_FULL"))
        check("no more than 0 jobs" in r.json["error"]["message"], r.body)
        first.close()
        t.wait_metric("orcd_requests_running", lambda v: v == 0)
        equal(t.execute(job_id="c", stream=False, params={"max_tokens": 1}).status, 200)


@case("log probabilities when asked for")
def _():
    r = run(params={"max_tokens": 4, "logprobs": 3}).json
    equal(len(r["logprobs"]), 4)
    for l in r["logprobs"]:
        equal(len(l["top"]), 3)
        check(l["logprob"] <= 0)
    events = w.stream(job_id=new_id(), params={"max_tokens": 4, "logprobs": 20}).open().rest()
    for e in events[1:-1]:
        equal(len(e[2]["top"]), 20)
        check(e[2]["logprob"] <= 0)


@case("every field of params, hostile")
def _():
    left = set(fields_of_params())
    def many(name, values):
        left.discard(name)
        for v in values:
            text = v if isinstance(v, str) else json.dumps(v)
            body = '{"job_id":"h","prompt":"a","stream":false,"params":{"%s":%s}}' % (name, text)
            r = w.call("POST", "/v2/execute", body.encode())
            equal((r.status, r.code), (400, "INVALID_REQUEST"), (name, text, r.body))
    never = ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", '"1"', "null", "true", "[1]", "{}", "9223372036854775808" + "0" * 5, "01", "1.", ".5", "+1", "0x1", "1e", "--1"]
    for name, values in {
        "temperature": ["-1", "2.0001", "-1e-9", "2147483648"], "top_p": ["-0.1", "1.0001", "2147483648"], "min_p": ["-1", "1.5"],
        "typical_p": ["-1", "1.5"], "repetition_penalty": ["0", "-1", "2.5", "1e-60", "9223372036854775808"],
        "frequency_penalty": ["-2.1", "2.1"], "presence_penalty": ["-2.1", "2.1"],
        "top_k": ["-1", "259", "1.0", "1e1", "2147483648", "9223372036854775808"],
        "repeat_last_n": ["-1", "513", "2147483648", "1.5"],
        "max_tokens": ["0", "-1", "513", "2147483648", "4294967297", "9223372036854775808", "18446744073709551617", "1.0"],
        "logprobs": ["-1", "21", "2147483648", "0.5"],
        "seed": ["-1", "18446744073709551616", "1.5", "-9223372036854775808"],
    }.items():
        many(name, values + never)
    many("ignore_eos", ["1", "0", "null", '"true"'])
    many("timestamps", ["1", "0", "null", '"true"'])
    many("add_special", ["1", "null"])
    many("parse_special", ["1", "null"])
    many("on_deadline", ["1", '"never"', "null", '""', '"errors"'])
    many("stop", ['"x"', "[1]", json.dumps(["a"] * 17), '[""]', json.dumps(["x" * 257]), "null", "{}"])
    many("logit_bias", ['{"-1":1}', '{"258":1}', '{"a":1}', '{"01":1}', '{"1":101}', '{"1":-101}', '{"1":"1"}', '{"1":1e400}', '{"":1}', "[]", "null", '{"99999999999":1}', '{"1.0":1}'])
    equal(left, set(), "no hostile value was sent for these fields")


@case("bounds themselves are taken")
def _():
    left = set(fields_of_params()) - {"max_tokens"}
    for p in ({"temperature": 0}, {"temperature": 2}, {"top_p": 0}, {"top_p": 1}, {"min_p": 1}, {"typical_p": 1}, {"top_k": 258},
              {"repetition_penalty": 2}, {"repetition_penalty": 0.001}, {"frequency_penalty": -2}, {"presence_penalty": 2},
              {"seed": 18446744073709551615}, {"seed": 0}, {"logprobs": 20}, {"logit_bias": {}}, {"logit_bias": {"32": -100, "257": 100}},
              {"stop": []}, {"stop": ["x" * 256] * 4}, {"repeat_last_n": 512}, {"on_deadline": "partial"}, {"on_deadline": "error"},
              {"ignore_eos": True, "timestamps": True, "add_special": False, "parse_special": True}):
        left -= set(p)
        r = run(params=dict({"max_tokens": 2}, **p)).json
        if "seed" in p:
            equal(r["seed"], p["seed"])
    equal(left, set(), "no valid value was sent for these fields")


@case("fields that are unknown, missing or of the wrong type are named")
def _():
    for field, fields in (("params.best_of", {"params": {"best_of": 1}}), ("foo", {"foo": 1}),
                          ("chat_template_kwargs.a", {"chat_template_kwargs": {"a": 1}})):
        equal(bad(field, **fields).json["error"]["message"], "unknown field " + field)
    for path, body in (("/v2/cancel", {"job_id": "n", "x": 1}), ("/v2/tokenize", {"text": "a", "x": 1}), ("/v2/detokenize", {"tokens": [1], "x": 1})):
        e = w.call("POST", path, body).json["error"]
        equal((e["message"], e["details"]["field"]), ("unknown field x", "x"), path)
    bad("params", params=[])
    bad("stream", stream=1)
    bad("prompt", prompt=1)
    bad("job_id", job_id=7)
    r = w.call("POST", "/v2/execute", {"prompt": "a"})
    equal(r.json["error"]["details"]["field"], "job_id")
    r = w.call("POST", "/v2/execute", {"job_id": "n", "tokens": "abc"})
    equal(r.json["error"]["details"]["field"], "tokens")
    bad(None, **{"x" * 5000: 1})


@case("job ids")
def _():
    for j in ("", "a b", "a/b", "ä", "x" * 129, "a\n"):
        bad("job_id", job_id=j)
    for j in ("x" * 128, "A.b_c:d-0"):
        run(job_id=j, params={"max_tokens": 1})


@case("token ids outside the vocabulary")
def _():
    for t in ([-1], [258], [1.0], ["1"], [None], [2 ** 31], [2 ** 63], [[1]]):
        r = w.call("POST", "/v2/execute", {"job_id": "t", "tokens": t})
        equal((r.status, r.code), (400, "INVALID_REQUEST"), t)


@case("model names other than the model's are 404, whatever they look like")
def _():
    run(model_ref="mock", params={"max_tokens": 1})
    for m in ("other", "../mock", "%2e%2e/x", "/etc/passwd", "", "mock\u0001"):
        r = run(404, model_ref=m)
        equal(r.code, "MODEL_NOT_FOUND")
        check(not m or m not in r.json["error"]["message"])


@case("prompts: empty, one token, the whole context, one more, far more")
def _():
    r = bad("prompt", prompt="", params={"add_special": False})
    run(prompt="", params={"max_tokens": 1})
    equal(run(prompt="a", params={"max_tokens": 1, "add_special": False}).json["tokens_in"], 1)
    r = run(prompt="a" * 511, params={"max_tokens": 1}).json
    equal(r["tokens_in"], 512)
    r = run(prompt="a" * 511).json
    equal(r["tokens_out"], 1, "what is left of the context")
    bad(None, "CONTEXT_LENGTH_EXCEEDED", prompt="a" * 511, params={"max_tokens": 2})
    bad(None, "CONTEXT_LENGTH_EXCEEDED", prompt="a" * 512, params={"max_tokens": 1})
    bad(None, "CONTEXT_LENGTH_EXCEEDED", prompt="a" * 3000000)
    equal(w.call("POST", "/v2/execute", {"job_id": "t", "tokens": [1] * 600}).code, "CONTEXT_LENGTH_EXCEEDED")
    equal(parse_response(w.raw(request("POST", "/v2/execute", b" " * (4096 * 1024 + 1)))).status, 413)


@case("invalid JSON")
def _():
    ok = b'{"job_id":"j","prompt":"a"}'
    for body, why in (
        (b"", "required"), (b" ", "unexpected end"), (b"[]", "object"), (b"1", "object"), (b'"a"', "object"), (b"null", "object"),
        (ok + b"x", "after the end"), (ok + ok, "after the end"), (ok[:-1], "unexpected end"), (b"{,}", "key"), (ok[:-1] + b",}", "key"),
        (b"{'job_id':1}", "key"), (b'{"a" 1}', "colon"), (b'{"a":}', "value"), (b'{"a":1 "b":2}', "comma"), (b'{"a":[1,]}', "value"),
        (b'{"a":tru}', "value"), (b'{"a":True}', "value"), (b'{"a":// x\n1}', "value"), (b'\xef\xbb\xbf{}', "value"),
        (b'{"job_id":"j","job_id":"k","prompt":"a"}', "duplicate key"), (b'{"a":1,"\\u0061":2}', "duplicate key"), (b'{"p":{"a":1,"b":2,"a":3}}', "duplicate key"),
        (b'{"a":"\xff"}', "UTF-8"), (b'{"a":"\xc0\x80"}', "UTF-8"), (b'{"a":"\xed\xa0\x80"}', "UTF-8"), (b'{"a":"\xf4\x90\x80\x80"}', "UTF-8"), (b'{"a":"\xe2\x82"}', "UTF-8"),
        (b'{"a":"\x00"}', "control"), (b'{"a":"\n"}', "control"), (b'{"a":"\\u0000"}', "NUL"), (b'{"\\u0000":1}', "NUL"),
        (b'{"a":"\\ud800"}', "surrogate"), (b'{"a":"\\udc00"}', "surrogate"), (b'{"a":"\\ud800\\u0041"}', "surrogate"), (b'{"a":"\\x41"}', "escape"), (b'{"a":"\\u00g0"}', "escape"),
        (b"[" * 33 + b"]" * 33, "deeply"), (b'{"a":' * 40, "deeply"), (b"{}\x00", "after the end"), (b'{"a":1]', "bracket"),
        (b'{"a":' + b"1" * 70 + b"}", "too long"), (b'{"a":0.' + b"1" * 70 + b"}", "too long"),
    ):
        bad_json(body, why)
    bad_json(ok[:-1], "unexpected end", len(ok) - 1)
    bad_json(b'{"a" 1}', "colon", 5)
    bad_json(ok + b"x", "after the end", len(ok))
    bad_json(b" " * 5000 + b'{"a":tru}', "value", 5008)
    run(params={"max_tokens": 1})
    r = w.call("POST", "/v2/execute", b' \t\r\n{"job_id":"\\u006a2","prompt":"\\ud834\\udd1e","stream":false,"params":{"max_tokens":1}}\n ')
    equal((r.status, r.json["job_id"]), (200, "j2"))


@case("a megabyte of tiny values stays cheap")
def _():
    for piece in (b"{},", b"0,", b"[],", b'"",'):
        body = b'{"a":[' + piece * (1000000 // len(piece)) + b"0]}"
        begin = time.monotonic()
        equal(w.call("POST", "/v2/execute", body).status, 400)
        with open("/proc/%d/statm" % w.process.pid) as f:
            rss = int(f.read().split()[1]) * 4096
        check(rss < (1200 << 20 if "ORCD_TEST_SANITIZED" in os.environ else 400 << 20), "RSS %d" % rss)


@case("a large body is parsed beside the loop, and the answer is the same")
def _():
    body = {"job_id": new_id(), "stream": False, "prompt": "hello", "params": {"max_tokens": 5, "seed": 3}}
    small = w.call("POST", "/v2/execute", body).json
    body["job_id"] = new_id()
    large = w.call("POST", "/v2/execute", b" " * 100000 + json.dumps(body).encode()).json
    equal(large["text"], small["text"])
    r = w.call("POST", "/v2/tokenize", {"text": "b" * 100000})
    equal(r.json["count"], 100001)


@case("tokenize and detokenize")
def _():
    r = w.call("POST", "/v2/tokenize", {"text": "hé"}).json
    equal(r, {"tokens": [256, 104, 0xc3, 0xa9], "count": 4})
    r = w.call("POST", "/v2/tokenize", {"text": "h", "add_special": False, "parse_special": False}).json
    equal(r, {"tokens": [104], "count": 1})
    equal(w.call("POST", "/v2/detokenize", {"tokens": [104, 0xc3, 0xa9]}).json, {"text": "hé"})
    equal(w.call("POST", "/v2/detokenize", {"tokens": [0xff, 0xfe]}).json["text"].count("\ufffd"), 2)
    equal(w.call("POST", "/v2/detokenize", {"tokens": []}).json, {"text": ""})
    for path, body in (("/v2/tokenize", {}), ("/v2/tokenize", {"text": 1}), ("/v2/tokenize", {"text": "a", "x": 1}), ("/v2/tokenize", []),
                       ("/v2/detokenize", {}), ("/v2/detokenize", {"tokens": "a"}), ("/v2/detokenize", {"tokens": [258]}), ("/v2/detokenize", {"tokens": [-1]}), ("/v2/detokenize", {"tokens": [1], "x": 1})):
        equal(w.call("POST", path, body).status, 400, (path, body))


@case("a running or queued job's id is refused, a finished one's is free again")
def _():
    with Worker(token_ms=5) as t:
        s = t.stream(job_id="dup", params={"max_tokens": 400, "ignore_eos": True}).open()
        s.event()
        r = t.execute(job_id="dup")
        equal((r.status, r.code), (409, "DUPLICATE_JOB"))
        equal(t.call("POST", "/v2/cancel", {"job_id": "dup"}).status, 202)
        s.rest()
        equal(t.execute(job_id="dup", stream=False, params={"max_tokens": 1}).status, 200)


@case("a full queue is 429 with Retry-After")
def _():
    with Worker("model.slots=1", "queue.capacity=1", token_ms=10) as t:
        a = t.stream(job_id="a", params={"max_tokens": 1000, "ignore_eos": True}).open()
        a.event()
        b = t.stream(job_id="b")
        t.wait_metric("orcd_requests_waiting", lambda v: v == 1)
        r = t.execute(job_id="c")
        equal((r.status, r.code), (429, "QUEUE_FULL"))
        check(int(r.headers["Retry-After"]) >= 1)
        a.close()
        equal(b.open().rest()[-1][0], "end")


@case("while the model loads: 503 with Retry-After, health says loading")
def _():
    with Worker(wait=None, load_ms=3000) as t:
        r = t.execute(job_id="a")
        equal((r.status, r.code), (503, "MODEL_LOADING"))
        check(int(r.headers["Retry-After"]) >= 1)
        r = t.call("GET", "/health")
        equal((r.status, r.json["status"]), (503, "loading"))
        equal(t.call("GET", "/health/live").status, 200)
        equal(t.call("GET", "/v2/model").status, 503)
        equal(t.call("POST", "/v2/tokenize", {"text": "a"}).status, 503)
        t.wait_log(lambda e: e.get("message") == "ready")
        equal(t.call("GET", "/health").json["status"], "healthy")


@case("a long prompt beside four streams takes whole slices of the plugin")
def _():
    with Worker("model.slots=5", "model.context=8192", token_ms=2, slice_tokens=512, slice_ms=27) as t:
        streams = [t.stream(job_id="s%d" % i, params={"max_tokens": 8000, "ignore_eos": True}).open() for i in range(4)]
        for s in streams:  # a step is counted after its tokens are sent, and before those of the next one
            equal([s.event()[0] for _ in range(3)], ["started", "token", "token"])
        name = 'orcd_step_duration_seconds_count{phase="prefill"}'
        before = t.metrics()[name]
        r = t.execute(job_id="long", stream=False, prompt="x" * 2040, params={"max_tokens": 1})
        equal(r.status, 200)
        # 508 tokens fit beside the streams.
        t.wait_metric(name, lambda n: n >= before + 5)
        for s in streams:
            s.close()
        equal(t.metrics()[name], before + 5)


@case("a unix socket, two loops")
def _():
    with tempfile.TemporaryDirectory() as d:
        with Worker("http.threads=2", listen="unix:%s/w.sock" % d) as t:
            for i in range(8):
                equal(t.execute(job_id="a%d" % i, stream=False, params={"max_tokens": 2}).status, 200)
            s = t.stream(job_id="s", params={"max_tokens": 5}).open()
            equal(len(s.rest()), 7)
        check(not os.path.exists(d + "/w.sock"))


@case("IPv6 and three loops")
def _():
    try:
        t = Worker("http.threads=3", listen="[::1]:0")
    except AssertionError as e:
        if "assign requested address" in str(e):
            return  # this machine has no IPv6
        raise
    with t:
        streams = [t.stream(job_id="a%d" % i, params={"max_tokens": 50}) for i in range(12)]
        for s in streams:
            equal(len(s.open().rest()), 52)
            s.close()


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
