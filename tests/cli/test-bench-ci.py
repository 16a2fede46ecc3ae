"""orcd bench --ci: a case that became slower fails and is named, an equal one passes."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

CASES = ("deadline_check", "rfc3339")
ONE = CASES[1:]  # each case costs two starts of valgrind
COMMITTED = os.path.join(SRCDIR, "bench", "ci-baseline.json")


def need_counts():
    if os.environ.get("ORCD_TEST_SANITIZED"):
        raise Skip("a program with sanitizers does not run under valgrind")
    if not shutil.which("valgrind"):
        raise Skip("no valgrind")


class Baseline:
    """A baseline file with the counts of this program, for tests to change."""
    saved = None

    def __enter__(self):
        need_counts()
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "baseline.json")
        if not Baseline.saved:
            status, out, err = self.ci("--ci-save", cases=CASES)
            equal(status, 0, out + err)
            with open(self.path, encoding="utf-8") as f:
                Baseline.saved = f.read()
        self.file = json.loads(Baseline.saved)
        self.write()
        return self

    def __exit__(self, *_):
        self.dir.cleanup()

    def write(self):
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump(self.file, f)

    def cases(self):
        return self.file["baselines"][0]["cases"]

    def scale(self, case, factor):
        self.cases()[case]["ratio"] *= factor
        self.write()

    def ci(self, *more, cases=ONE, env=None):
        return run("bench", "--ci", "--ci-baseline", self.path, *cases, *more, env=env)


def change(out, case):
    """The change in percent, from the line of a case."""
    for line in out.splitlines():
        if line.startswith(case + " "):
            return float(line.split()[-1].rstrip("%"))
    raise AssertionError("no line for " + case + ": " + out)


def equal_counts_pass():
    with Baseline() as b:
        status, out, err = b.ci(cases=CASES)
        equal(status, 0, out + err)
        for case in CASES:
            check(abs(change(out, case)) < 0.5, out)
        check("FAILED" not in out, out)


def a_slower_case_fails_by_its_name():
    with Baseline() as b:
        b.scale("rfc3339", 0.9)
        status, out, err = b.ci(cases=CASES)
        equal(status, 1, out + err)
        contains(out, "FAILED rfc3339")
        check(10.5 < change(out, "rfc3339") < 11.7, out)
        contains(out, "--ci-save")
        contains(out, b.path)
        check("FAILED deadline_check" not in out, out)


def less_than_the_limit_passes():
    with Baseline() as b:
        b.scale("rfc3339", 1 / 1.04)
        status, out, err = b.ci()
        equal(status, 0, out + err)
        check(3.5 < change(out, "rfc3339") < 4.5, out)


def a_faster_case_passes_and_says_so():
    with Baseline() as b:
        b.scale("rfc3339", 1.5)
        status, out, err = b.ci()
        equal(status, 0, out + err)
        contains(out, "1 case is faster")


def a_case_without_a_baseline_fails():
    with Baseline() as b:
        del b.cases()["rfc3339"]
        b.write()
        status, out, err = b.ci()
        equal(status, 1, out + err)
        contains(out, "FAILED rfc3339: not in the baseline")


def saving_keeps_what_others_saved():
    with Baseline() as b:
        other = {"build": {"compiler": "another"}, "cases": {"rfc3339": {"ratio": 1}}}
        b.file["baselines"].insert(0, other)
        b.file["baselines"][1]["cases"]["rfc3339"]["ratio"] = 1
        b.write()
        equal(b.ci("--ci-save")[0], 0)
        with open(b.path, encoding="utf-8") as f:
            now = json.load(f)["baselines"]
        equal(len(now), 2)
        equal(now[0], other)
        check(now[1]["cases"]["rfc3339"]["ratio"] > 10, now)


def another_build_is_skipped():
    with Baseline() as b:
        b.file["baselines"][0]["build"]["compiler"] = "gcc 1.2.3"
        b.write()
        status, out, err = b.ci()
        equal(status, 77, out + err)
        contains(out, "skipped")
        contains(out, "compiler: gcc 1.2.3, here: ")


def without_valgrind_it_is_skipped():
    with Baseline() as b:
        status, out, err = b.ci(env={"PATH": "/nonexistent"})
        equal(status, 77, out + err)
        contains(out, "valgrind is not installed")


def sanitizers_are_skipped():
    if not os.environ.get("ORCD_TEST_SANITIZED"):
        raise Skip("no sanitizers")
    status, out, err = run("bench", "--ci", "--ci-baseline", COMMITTED)
    equal(status, 77, out + err)
    contains(out, "sanitizers")


def bad_files_and_names_are_told():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "baseline.json")
        equal(run("bench", "--ci", "--ci-baseline", path)[0], 66)
        for text in ("", "[]", "{}", '{"baselines": 1}'):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            status, out, err = run("bench", "--ci", "--ci-baseline", path)
            equal(status, 65, text + out + err)
        equal(run("bench", "--ci", "--ci-baseline", COMMITTED, "no_such_case")[0], 64)


def the_committed_baseline_has_every_case():
    names = {line.split()[0] for line in run("bench", "--ci", "--list")[1].splitlines()}
    check(len(names) > 10 and set(CASES) <= names, names)
    with open(COMMITTED, encoding="utf-8") as f:
        baselines = json.load(f)["baselines"]
    check(baselines, "none")
    for b in baselines:
        equal(set(b["cases"]) - {"calibration"}, names, b["build"])


main([equal_counts_pass, a_slower_case_fails_by_its_name, less_than_the_limit_passes,
      a_faster_case_passes_and_says_so, a_case_without_a_baseline_fails, saving_keeps_what_others_saved,
      another_build_is_skipped, without_valgrind_it_is_skipped, sanitizers_are_skipped,
      bad_files_and_names_are_told, the_committed_baseline_has_every_case])
