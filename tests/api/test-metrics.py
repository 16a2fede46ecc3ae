"""The exposition is sound and has every metric of the table; health has every field."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from orcd_api import *  # noqa: E402,F403

SRCDIR = os.environ.get("ORCD_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
w = Worker(token_ms=1)


def scrape():
    r = w.call("GET", "/metrics")
    equal(r.status, 200)
    equal(r.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
    return r.body.decode()


def families(text):
    """name -> (type, {series: value}); checks the format's rules on the way."""
    out, helped, current = {}, set(), None
    check(text.endswith("\n"))
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            check(name not in helped, "HELP twice: " + name)
            check(len(line.split(" ", 3)[3]) > 3)
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            check(name in helped and name not in out, "TYPE twice or before HELP: " + name)
            check(kind in ("counter", "gauge", "histogram"))
            out[name] = (kind, {})
            current = name
        else:
            m = re.match(r'^([a-z0-9_]+)((?:\{(?:[a-z]+="[^"\n]*",?)+\})?) (\S+)$', line)
            check(m, line)
            name = m.group(1)
            base = re.sub("_(bucket|sum|count)$", "", name) if out[current][0] == "histogram" else name
            equal(base, current, "a series outside its family")
            check(m.group(1) + m.group(2) not in out[current][1], "a series twice: " + line)
            out[current][1][m.group(1) + m.group(2)] = float(m.group(3))
    return out


@case("every metric of the table is there, once, from the start")
def _():
    with open(os.path.join(SRCDIR, "core/metrics-table.h")) as f:
        names = set(re.findall(r'"((?:orcd|process)_[a-z0-9_]+)', f.read()))
    got = families(scrape())
    equal(sorted(set(got) - {"orcd_build_info"}), sorted(names))
    equal(got["orcd_requests_total"][1], {'orcd_requests_total{outcome="%s"}' % o: 0.0 for o in OUTCOMES})
    check(any('plugin="mock"' in s for s in got["orcd_build_info"][1]))
    for name, (kind, series) in got.items():
        check(kind != "counter" or name.endswith("_total"), name)


@case("histograms: buckets rise to +Inf, which is the count")
def _():
    for i in range(5):
        equal(w.execute(job_id="a%d" % i, stream=i > 2, params={"max_tokens": 10}).status, 200)
    got = families(scrape())
    for name, (kind, series) in got.items():
        if kind != "histogram":
            continue
        groups = {}
        for s, v in series.items():
            m = re.match(r'.*_bucket\{(.*?),?le="([^"]+)"\}', s)
            if m:
                groups.setdefault(m.group(1), []).append((float(m.group(2)), v))
        for labels, buckets in groups.items():
            suffix = "{%s}" % labels if labels else ""
            equal([b[0] for b in buckets], sorted(b[0] for b in buckets), name)
            equal([b[1] for b in buckets], sorted(b[1] for b in buckets), name)
            equal(buckets[-1][0], float("inf"))
            equal(buckets[-1][1], series[name + "_count" + suffix], name)
            check(name + "_sum" + suffix in series)
    m = parse_metrics(scrape())
    equal(m["orcd_generation_tokens_total"], 50)
    equal(m["orcd_time_to_first_token_seconds_count"], 5)
    w.wait_metric("orcd_per_token_emission_latency_us_count", lambda v: v == 20)


@case("gauges follow what goes on")
def _():
    s = w.stream(job_id="g", params={"max_tokens": 3000, "ignore_eos": True}).open()
    s.event()
    equal(w.metrics()["orcd_requests_running"], 1)
    check(w.metrics()["orcd_kv_cache_usage_ratio"] > 0)
    s.close()
    w.wait_metric("orcd_requests_running", lambda v: v == 0)
    m = w.metrics()
    check(m["orcd_uptime_seconds"] > 0 and m["orcd_http_server_start_duration_ms"] > 0)
    check(0 <= m["orcd_health_cache_age_seconds"] < 60)
    w.wait_metric('orcd_vram_total_bytes', lambda v: v > 0)
    check(m['orcd_vram_used_bytes{kind="weights"}'] > 0)


@case("what the process uses")
def _():
    before = w.metrics()
    text = w.call("GET", "/metrics").body.decode()
    m = parse_metrics(text)
    check("# TYPE process_cpu_seconds_total counter" in text and "# TYPE process_open_fds gauge" in text)
    check(0 < before["process_cpu_seconds_total"] <= m["process_cpu_seconds_total"], m)
    check(1 << 20 < m["process_resident_memory_bytes"] < m["process_virtual_memory_bytes"], m)
    check(abs(m["process_start_time_seconds"] + m["orcd_uptime_seconds"] - time.time()) < 60, m)
    kept = w.connect()
    kept.sendall(request("GET", "/health"))
    read_response(kept)
    equal(w.metrics()["process_open_fds"], m["process_open_fds"] + 1)
    kept.close()
    check(m["process_open_fds"] < m["process_max_fds"], m)
    equal(m["orcd_device_init_duration_ms"], m["orcd_cuda_init_duration_ms"])


@case("health has every field of the contract")
def _():
    fields = """status model model_ref plugin plugin_version device resident quant_kind memory_bytes_used memory_bytes_total vram_bytes_used vram_bytes_total tokenizer_kind
        vocab_size context_length slots queue_depth capabilities protocol memory_architecture uptime_seconds checked_ms_ago
        last_step_ms_ago load_progress sm cuda_runtime_version version""".split()
    for path in ("/health", "/health/live", "/health/ready"):
        r = w.call("GET", path)
        equal(r.status, 200)
        equal(sorted(r.json), sorted(fields))
    h = r.json
    equal((h["status"], h["plugin"], h["model"], h["tokenizer_kind"], h["protocol"]), ("healthy", "mock", "mock", "bytes", "sse"))
    equal((h["capabilities"], h["slots"], h["resident"], h["load_progress"]), (["text-gen"], {"total": 4, "busy": 0}, True, 1.0))
    check(h["last_step_ms_ago"] >= 0 and h["checked_ms_ago"] >= 0)


@case("lost residency and a lost device are unhealthy")
def _():
    with Worker("health.refresh_ms=100", "health.residency_ms=1000", fault="residency.lost!") as t:
        end = time.monotonic() + PATIENCE
        while t.call("GET", "/health").json["status"] != "unhealthy":
            check(time.monotonic() < end)
        equal(t.call("GET", "/health/ready").status, 503)
        equal(t.call("GET", "/health").json["resident"], False)
        equal(t.call("GET", "/health/live").status, 200)


@case("metrics events come when they are asked for")
def _():
    with Worker("http.metrics_event_ms=100", token_ms=20) as t:
        events = t.stream(job_id="a", params={"max_tokens": 40, "ignore_eos": True}).open().rest()
        m = [e for e in events if e[0] == "metrics"]
        check(m)
        equal(set(m[0][2]), {"tokens_out", "tokens_per_s", "decode_time_ms", "vram_bytes"})
        equal(m[0][1], None)


@case("the device's busy share is the plugin's own account")
def _():
    with Worker("health.refresh_ms=100", token_ms=20) as t:
        s = t.stream(job_id="a", params={"max_tokens": 4000, "ignore_eos": True}).open()
        # Two steps are in flight, so the device never waits for the host.
        t.wait_metric("orcd_cuda_stream_utilization", lambda v: 0.8 < v <= 1)
        s.close()
        t.wait_metric("orcd_cuda_stream_utilization", lambda v: v == 0)


@case("the worker ends cleanly")
def _():
    equal(w.stop(), 0)


main()
