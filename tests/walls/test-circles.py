"""No circles among the files of a room: where a.c calls a function of b.c, b.c calls none of a.c, nor
does any file that it calls, in however many steps. What is called is read from the object files."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done, skip, skip_all  # noqa: E402

ROOMS = ["lib/http", "core/api", "core/engine"]

SRC, BUILD = os.environ["ORCD_SRCDIR"], os.environ["ORCD_BUILDDIR"]
NM = shutil.which(os.environ.get("NM", "nm"))


def objects(room):
    """Pairs of file and object: of sources that are there. A build tree may have objects of others."""
    folder = os.path.join(BUILD, room)
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
        # The object of a target with flags of its own is called target-file.o.
        stem = name.removesuffix(".o")
        for source in (stem, stem.partition("-")[2]):
            if name.endswith(".o") and source and os.path.exists(os.path.join(SRC, room, source + ".c")):
                yield source, os.path.join(folder, name)
                break


def symbols(path):
    """Functions that an object defines for others, and names that it wants from others."""
    defined, wanted = set(), set()
    for line in subprocess.run([NM, path], capture_output=True, text=True, check=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        if kind in "TWi":
            defined.add(name)
        elif kind == "U":
            wanted.add(name)
    return defined, wanted


def calls(room):
    """Of each file of the room, the other files of the room that it calls, and by which functions."""
    defined, wanted = {}, {}
    for source, path in objects(room):
        defines, wants = symbols(path)
        defined.setdefault(source, set()).update(defines)
        wanted.setdefault(source, set()).update(wants)
    return {a: {b: sorted(wanted[a] & defined[b]) for b in sorted(defined) if b != a and wanted[a] & defined[b]}
            for a in sorted(wanted)}


def circle(graph):
    """The files of a shortest circle, the first one again at its end; [] if there is none."""
    best = []
    for start in sorted(graph):
        paths, seen = [[start]], set()
        while paths:
            path = paths.pop(0)
            if best and len(path) >= len(best):
                break
            if start in graph.get(path[-1], ()):
                best = path + [start]
                break
            for called in sorted(graph.get(path[-1], ())):
                if called not in seen:
                    seen.add(called)
                    paths.append(path + [called])
    return best


def told(room, graph):
    files = circle(graph)
    return ["%s/%s.c calls %s.c: %s" % (room, a, b, ", ".join(graph[a][b])) for a, b in zip(files, files[1:])]


if not NM:
    skip_all("there is no nm")
one_way = {"a": {"b": ["f"], "c": ["g"]}, "b": {"c": ["g"]}, "c": {}}
wrong = [] if circle(one_way) == [] else ["a circle in a -> b -> c"]
for back in "a", "b":
    if not circle(dict(one_way, c={back: ["h"]})):
        wrong.append("no circle with c -> " + back)
check(wrong, "a circle of two files and one of three are found, and none where there is none")
for room in ROOMS:
    graph = calls(room)
    if not any(graph.values()):
        skip(room, "no objects in %s that nm reads" % BUILD)
        continue
    check(told(room, graph), "%s: %d files, no circle" % (room, len(graph)))
done()
