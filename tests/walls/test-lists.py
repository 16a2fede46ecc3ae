#!/usr/bin/env python3
"""Lists and files agree: each file of the tree is in a list of make, each test is run, each page is
installed, and each row of the tables of keys and metrics is used. What is read is text: conditionals of
make are taken as true."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done  # noqa: E402

TOP = os.environ["ORCD_SRCDIR"]
FOLDERS = ("include", "lib", "core", "cli", "plugins", "config", "man", "docs", "bench", "tests", "scripts", "share")


def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def files(pattern, *folders):
    """Paths below the folders whose last part matches."""
    for top in folders:
        for folder, _, names in os.walk(os.path.join(TOP, top)):
            for n in names:
                if re.search(pattern, n):
                    yield os.path.relpath(os.path.join(folder, n), TOP)


def read_lists():
    """The variables of all makefiles, each with its words, and the names of files that are included."""
    variables, included = {}, set()
    for path in ["Makefile.am", *files(r"\.mk$", *FOLDERS)]:
        t = text(path).replace("\\\n", " ")
        for name, words in re.findall(r"^(\w+)[ \t]*\+?=(.*)$", t, re.M):
            variables.setdefault(name, []).extend(words.split())
        included |= set(re.findall(r"^include (\S+)", t, re.M))
    return variables, included


def words_of(name):
    """The words of a variable, those of the variables in it included: $(X) or $(X:.a=.b)."""
    for w in variables.get(name, []):
        m = re.fullmatch(r"\$\((\w+)(?::(\S*)=(\S*))?\)", w)
        for inner in words_of(m.group(1)) if m else [w]:
            yield re.sub(re.escape(m.group(2)) + "$", m.group(3), inner) if m and m.group(2) else inner


variables, included = read_lists()
named = included | {w for words in variables.values() for w in words}
check(sorted("%s is in no local.mk and no *.mk" % p
             for p in files(r"\.(c|h|cc|cu|cuh|py|sh|pod|md|map|mk)$", *FOLDERS) if p not in named),
      "each file is in a list of make")

run = set(words_of("TESTS"))
run |= {source for t in run for source in words_of(re.sub(r"\W", "_", t) + "_SOURCES")}
check(sorted("%s is not in TESTS" % p for p in files(r"^test-.*\.(c|py|sh)$", "tests") if p not in run),
      "each test is run")

installed = {re.sub(r"\.[1-8]$", ".pod", w) for w in words_of("man_MANS")}
check(sorted("%s is not in man_MANS" % p for p in files(r"\.pod$", "man") if p not in installed),
      "each page is installed")

check(["%s is linked without plugins/%s/plugin.map" % (so, so[8:-3]) for so in words_of("plugins_PROGRAMS")
       if not any("plugins/%s/plugin.map" % so[8:-3] in w for w in words_of(re.sub(r"\W", "_", so) + "_LDFLAGS"))],
      "each plugin exports its entry alone")


def worker_without(*tables):
    """The text of the worker and its command line, but for what declares a table."""
    return "\n".join(text(p) for p in files(r"\.[ch]$", "core", "cli") if p not in tables)


code = worker_without("core/config-table.c", "core/config-table.h")
keys = re.findall(r'^ {4}(?:TEXT|CHOICE|INT|BOOL)\(\s*"([a-z_.0-9]+)"', text("core/config-table.c"), re.M)
fields = {k: ".".join([k.split(".")[0], "_".join(k.split(".")[1:])]) for k in keys}
del fields["http.tls.cert"], fields["http.tls.key"]  # they must be null
check(["nothing reads " + k for k, f in fields.items() if not re.search(r"[.>]%s\b" % re.escape(f), code)],
      "each of %d keys is read" % len(fields))

code = worker_without("core/metrics-table.h", "core/metrics.h")
table = text("core/metrics-table.h")
families = {}  # a metric may have a row for each of its series
for row, series in re.findall(r'X\(([A-Z0-9_]+),\s*"([a-z0-9_]+)', table):
    families.setdefault(series, []).append(row)
check(["nothing counts " + s for s, rows in families.items()
       if not re.search(r"\bM[CGH]_(%s)\b" % "|".join(rows), code)],
      "each of %d metrics is counted" % len(families))
labels = [v for body in re.findall(r"^enum metric_\w+ \{([^}]*)\}", table, re.M) for v in re.findall(r"\w+", body)
          if not v.endswith("_COUNT")]
check(["nothing counts " + v for v in labels if not re.search(r"\b%s\b" % v, code)],
      "each of %d values of labels is counted" % len(labels))
check([what for what, n in (("keys", len(keys)), ("metrics", len(families)), ("labels", len(labels))) if n < 15],
      "the tables were found")
done()
