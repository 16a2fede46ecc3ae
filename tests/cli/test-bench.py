"""orcd bench: lists, runs, writes what it says it writes, and refuses what it cannot do."""
import html.parser
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

QUICK = ("bench", "model_loading", "--quick", "--scale", "0.2")
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Elements must nest, and nothing may be loaded from anywhere."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.text = [], {}, ""
        self.feed(text)
        self.close()
        equal(self.open, [], "elements that are never closed")

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        check(tag not in ("script", "iframe", "object", "embed", "link", "img"), "not in a report:", tag)
        for name, value in attrs:
            check(not name.startswith("on") and name not in ("src", "srcset", "style"), "attribute", name, value)
            check(name != "href" or value.startswith("#"), "links to another page:", value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        check(self.open, "closes nothing:", tag)
        equal(tag, self.open.pop())

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def verdicts(report):
    return [b["verdict"] for r in report["results"] for m in r["measures"] for b in m["bars"]]


def matches(status, report):
    """The exit status is 0 if every bar held, else 1. No test depends on the speed of this machine."""
    equal(status, 1 if "fails" in verdicts(report) else 0)


def list_names_cases():
    status, out, _ = run("bench", "--list")
    equal(status, 0)
    names = [line.split()[0] for line in out.splitlines()]
    check(len(set(names)) == len(names) and "model_loading" in names and "graceful_shutdown" in names, names)


def a_quick_run_writes_json_and_html():
    with Dir() as d:
        j, h = os.path.join(d.path, "r.json"), os.path.join(d.path, "r.html")
        status, out, err = run(*QUICK, "--json", j, "--html", h)
        report = json.loads(read(j))
        matches(status, report)
        contains(out, "model_loading")
        held = sum(v != "fails" for v in verdicts(report))
        contains(out, "%d of %d bars hold" % (held, len(verdicts(report))))
        check(len(verdicts(report)) >= 3, out)
        equal((report["schema"], report["schema_version"], report["mode"]), ("orcd-bench", 1, "quick"))
        check(report["machine"]["cores"] > 0 and report["machine"]["cpu"] and report["machine"]["kernel"])
        contains(report["command"], "orcd bench model_loading --quick --scale 0.2 --json ")
        equal([r["case"] for r in report["results"]], ["model_loading"])
        ready = [x for x in report["results"][0]["measures"] if x["id"] == "ready"]
        equal(len(ready), 1)
        equal((ready[0]["n"], len(ready[0]["samples"]), ready[0]["unit"], ready[0]["target"]), (6, 6, "ms", "orcd-mock"))
        s = ready[0]["summary"]
        check(0 < s["min"] <= s["median_low"] <= s["median"] <= s["median_high"] <= s["p95"] <= s["max"], s)
        equal(s["max"], max(ready[0]["samples"]))
        for b in ready[0]["bars"]:
            equal(b["value"], s[b["statistic"]])
            equal(b["verdict"], "holds" if b["value"] <= b["limit"] else "fails")
        page = Page(read(h))
        check(page.seen["svg"] >= 2 and page.seen["table"] >= 1, page.seen)
        contains(page.text, "model_loading")
        contains(page.text, "bars hold")


def a_baseline_is_compared_with():
    with Dir() as d:
        base, j = os.path.join(d.path, "base"), os.path.join(d.path, "r.json")
        check(run(*QUICK, "--save", base)[0] in (0, 1))
        old = json.loads(read(base))
        for r in old["results"]:
            for m in r["measures"]:
                m["samples"] = [x * 1e6 for x in m["samples"]]
        with open(base, "w") as f:
            json.dump(old, f)
        h = os.path.join(d.path, "r.html")
        status, out, err = run(*QUICK, "--baseline", base, "--json", j, "--html", h)
        matches(status, json.loads(read(j)))
        contains(out, "since the baseline")
        contains(out, ": better")
        for m in json.loads(read(j))["results"][0]["measures"]:
            check(m["change"]["significant"] and -1 < m["change"]["median"] < -0.9, m["change"])
        contains(Page(read(h)).text, "before")


def a_case_that_cannot_run_fails():
    with Dir() as d:
        h, base = os.path.join(d.path, "<b>.html"), os.path.join(d.path, "base")
        status, out, err = run("bench", "model_loading", "--quick", "--html", h, "--save", base, "--target",
                               "evil=llama.cpp:exec:/bin/sh -c 'echo \"<script>alert(1)</script>\" >&2; exit 3' {port}",
                               "--model", __file__)
        equal(status, 1, out + err)
        contains(out, "evil: FAILED")
        contains(out, "status 3")
        page = Page(read(h)) # a <script> would be seen
        contains(page.text, "<script>alert(1)</script>")
        check(not os.path.exists(base), "a run that failed was saved as a baseline")


def a_peer_dies_with_the_bench():
    """A server that never becomes ready. When the bench is killed, the server must end too."""
    with Dir() as d:
        pid_file = os.path.join(d.path, "pid")
        p = subprocess.Popen([ORCD, "bench", "model_loading", "--quick", "--model", __file__, "--target",
                              "deaf=llama.cpp:exec:/bin/sh -c 'echo $$ >%s.new; mv %s.new %s; exec sleep 1000' {port}" %
                              (pid_file, pid_file, pid_file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
        while not os.path.exists(pid_file):
            check(p.poll() is None, "the bench ended")
        pid = int(read(pid_file))
        p.kill()
        p.wait()
        while os.path.exists("/proc/%d" % pid): # the harness's own time limit ends this
            with open("/proc/%d/stat" % pid) as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    break


def bad_arguments():
    for words, text in ((("nonsense",), "no such benchmark"),
                        (("--target", "x=y:z"), "target 'x=y:z'"),
                        (("--target", "orcd-"), "target 'orcd-'"),
                        (("--target", "a b=openai:http://h:1"), "letters, digits"),
                        (("--target", "p=llama.cpp:exec:llama-server"), "{port}"),
                        (("--target", "p=openai:ftp://h"), "http://"),
                        (("--target", "orcd-cpu"), "--model"),
                        (("--target", "p=llama.cpp:exec:s {model} {port}"), "--model"),
                        (("--target", "orcd-mock", "--target", "orcd-mock"), "two targets"),
                        (("--scale", "0"), "--scale"),
                        (("--scale", "nan"), "--scale"),
                        (("--seed", "-1"), "--seed")):
        status, out, err = run("bench", *words)
        equal((status, out), (64, ""), words)
        contains(err, text)
    equal(run("bench", "--baseline", "/nonexistent")[0], 66)
    equal(run("bench", "--baseline", "/dev/null")[0], 65)
    equal(run("bench", "--json", "/nonexistent/x")[0], 73)


def what_means_nothing_is_skipped():
    """A case for workers of orcd only, on a peer."""
    status, out, err = run("bench", "cancellation_latency", "--quick", "--target", "p=openai:http://127.0.0.1:1")
    equal(status, 0, out + err)
    contains(out, "p: skipped: only for a worker of orcd")


main([list_names_cases, a_quick_run_writes_json_and_html, a_baseline_is_compared_with, a_case_that_cannot_run_fails,
      a_peer_dies_with_the_bench, bad_arguments, what_means_nothing_is_skipped])
