#!/usr/bin/env python3
"""The maps hold: files and folders that docs/ names exist, and each room and source file is in a map."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done  # noqa: E402

TOP = os.environ["ORCD_SRCDIR"]

def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def files(*folders):
    for top in folders:
        for folder, _, names in os.walk(os.path.join(TOP, top)):
            for n in names:
                yield os.path.relpath(os.path.join(folder, n), TOP)


DOCS = sorted("docs/" + n for n in os.listdir(os.path.join(TOP, "docs")) if n.endswith(".md"))
every = sorted(files("lib", "core", "cli", "plugins", "include", "tests", "bench", "scripts", "config", "tools", "man"))
by_name = {os.path.basename(p) for p in every}

# A path in a text: "lib/http/wake.h", "core/worker*.c", "admit.[ch]", "params*.c".
NAMED = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[\w*-]+\.(?:\[ch\]|[ch]|cuh?|cc|py|sh|mk))(?![\w/])")


SYSTEM = {"sysexits.h"}


def exists(name):
    name = name.replace("[ch]", "h") if "*" not in name else name.replace("[ch]", "*")
    pattern = re.escape(name).replace(r"\*", "[^/]*")
    if "/" in name:
        return any(re.fullmatch("(?:.*/)?" + pattern, p) for p in every)
    return any(re.fullmatch(pattern, n) for n in by_name)


for doc in DOCS + ["CONTRIBUTING.md", "README.md"]:
    names = set(NAMED.findall(text(doc)))
    check(sorted("no file " + n for n in names - SYSTEM if "NAME" not in n and not exists(n)),
      "%s: its %d files exist" % (doc, len(names)))

picture = text("docs/architecture.md").split("## A request, through its threads")[1].split("```")[1]
boxes = set(NAMED.findall(picture))
check([] if len(boxes) > 25 else ["only %d boxes" % len(boxes)],
      "the picture has the request's way")

rooms = {os.path.dirname(p).split("/", 1)[1] for p in files("lib", "core") if "/" in os.path.dirname(p)}
the_map = text("docs/architecture.md").split("```")[1]
check(sorted(r for r in rooms if not re.search(r"^ +%s/" % re.escape(r), the_map, re.M)),
      "each room is in the map")
folders = {p.split("/")[1] for p in files("plugins")}
check(sorted(f for f in folders if not re.search(r"^plugins/.*\b%s\b" % re.escape(f), the_map, re.M)),
      "each plugin is in the map")

for doc, folders in (("docs/http.md", ["lib/http", "core/api"]), ("docs/engine.md", ["core/engine"])):
    named = NAMED.findall(text(doc))
    missing = [p for p in files(*folders) if p.endswith(".c")
               and not any(re.fullmatch(re.escape(os.path.basename(n)).replace(r"\[ch\]", "c").replace(r"\*", ".*"),
                                        os.path.basename(p)) for n in named)]
    check(sorted(missing),
      "%s names each file of %s" % (doc, ", ".join(folders)))

check(["%s:%d: %d" % (d, i, len(line)) for d in DOCS for i, line in enumerate(text(d).split("\n"), 1)
       if len(line) > 119 and not line.lstrip().startswith("|")],
      "lines of docs have at most 119 characters, but for tables")
done()
