#!/usr/bin/env python3
"""Arrows between rooms point one way: every #include is counted, and one that runs back fails.

MAY says which rooms a room may include; its own is always allowed. What is not in MAY is a
new room: give it a row, and docs/architecture.md a line.
"""
import collections
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done  # noqa: E402

TOP = os.environ["ORCD_SRCDIR"]
MAY = {
    "include/orcd": "",
    "lib/base": "include/orcd",
    "lib/json": "lib/base",
    "lib/metrics": "lib/base",
    "lib/config": "lib/base",
    "lib/process": "lib/base",
    "lib/client": "lib/base",
    "lib/http": "lib/base lib/json",
    "core/model": "include/orcd lib/base lib/json",
    "core/sample": "lib/base",
    "core/chat": "lib/base core/model",
    "core/plugin": "include/orcd lib/base core/sample",
    "core/metrics": "lib/base lib/http/codes.h lib/metrics",
    "core/engine": "lib/base lib/http/codes.h core/metrics core/chat core/model core/plugin core/sample",
    "core/health": "lib/base lib/json core/metrics core/engine",
    "core/api": "lib/base lib/json lib/http core/metrics core/health core/engine core/chat core/model",
    "core": "lib/base lib/http lib/client lib/process core/metrics core/health lib/config core/engine core/api "
            "core/model core/chat core/plugin",
    "cli": "include/orcd lib/base lib/client lib/process core core/metrics lib/config core/model core/chat core/plugin bench",
    "plugins/mock": "include/orcd lib/base core/sample",
    "plugins/common": "include/orcd core/model",
    "plugins/cpu": "include/orcd core/model plugins/common tests/lib/simde-avx512.h",
    "plugins/cuda": "include/orcd core/model plugins/common",
}
# Rooms of a file or two.
SMALL = {"core/metrics": r"core/metrics(-table)?\.[ch]", "core/health": r"core/health\.[ch]"}
# In lib/ two headers know the plugin's contract: the type of errors, and the levels of the log.
ONLY = {("lib/base", "include/orcd"): {"lib/base/error.h", "lib/base/log.h"}}

def sources():
    for top in ("include", "lib", "core", "cli", "plugins"):
        for folder, _, names in os.walk(os.path.join(TOP, top)):
            for n in sorted(names):
                if re.search(r"\.(c|h|cc|cu|cuh)$", n):
                    yield os.path.relpath(os.path.join(folder, n), TOP)


def room_of(path):
    for room, pattern in SMALL.items():
        if re.fullmatch(pattern, path):
            return room
    folder = os.path.dirname(path)
    while folder not in MAY and "/" in folder:
        folder = os.path.dirname(folder)
    return folder


def find(path, name):
    """The file that an #include of path means; None: the system's."""
    for folder in (os.path.dirname(path), "include", "lib", "core", ""):
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(TOP, candidate)):
            return candidate
    return None


files = list(sources())
graph = collections.defaultdict(set)  # header or source -> files that it includes
arrows = collections.Counter()
back, stray = [], []
for path in files:
    room = room_of(path)
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        names = re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', f.read(), re.M)
    for name in names:
        target = find(path, name)
        if not target:
            continue
        graph[path].add(target)
        to = room_of(target)
        if to == room or room not in MAY:
            continue
        arrows[room, to] += 1
        allowed = MAY[room].split()
        if to not in allowed and target not in allowed:
            back.append("%s includes %s: %s does not know %s" % (path, target, room, to))
        if (room, to) in ONLY and path not in ONLY[room, to]:
            stray.append("%s includes %s" % (path, target))

for (room, to), n in sorted(arrows.items()):
    print("# %-14s -> %-14s %4d" % (room, to, n))
check(back, "no include runs against the arrows")
check(stray, "in lib, only the errors and the log know the plugin's header")
check(sorted({room_of(p) for p in files} - set(MAY)), "every room has a row")
check(sorted(r for r in MAY if not any(room_of(p) == r for p in files)), "no row is for nothing")

rows = collections.defaultdict(set)
for (room, to) in arrows:
    rows[room].add(to)
left = set(MAY)
while True:  # take away what includes nothing that is left: what stays is a circle
    leaf = {r for r in left if not (rows[r] & left) - {r}}
    if not leaf:
        break
    left -= leaf
check(["a circle through " + ", ".join(sorted(left))] if left else [], "rooms form no circle")


def circles(of):
    """Headers that include each other, by depth-first search."""
    state, stack, found = {}, [], []

    def visit(n):
        state[n] = 1
        stack.append(n)
        for m in sorted(graph[n]):
            if state.get(m) == 1:
                found.append(" -> ".join(stack[stack.index(m):] + [m]))
            elif m not in state:
                visit(m)
        stack.pop()
        state[n] = 2

    for n in of:
        if n not in state:
            visit(n)
    return found


check(circles(files), "no headers include each other in a circle")
check(["%s includes %s" % (p, t) for p in files if p.startswith("lib/") for t in sorted(graph[p])
       if not t.startswith(("lib/", "include/"))],
      "lib includes nothing of core, cli or plugins")
check(["%s includes %s" % (p, t) for p in files if p.startswith("plugins/") for t in sorted(graph[p])
       if t.startswith("plugins/") and os.path.dirname(t).split("/")[1] not in ("common", p.split("/")[1])],
      "a plugin includes nothing of another plugin")
done()
