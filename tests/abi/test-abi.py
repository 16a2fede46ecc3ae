"""The layout of the plugin ABI against the stored baseline, and the program that prints it
against the header: nothing that crosses may be missing in it."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["ORCD_SRCDIR"], "tests/lib"))
from tap import check, done  # noqa: E402

src, build = os.environ["ORCD_SRCDIR"], os.environ["ORCD_BUILDDIR"]
now = subprocess.run([build + "/tests/abi/print-abi"], capture_output=True, text=True, check=True).stdout.splitlines()
with open(src + "/tests/abi/plugin-abi.txt") as f:
    stored = f.read().splitlines()
with open(src + "/include/orcd/plugin.h") as f:
    header = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)

if "--update" in sys.argv:
    with open(src + "/tests/abi/plugin-abi.txt", "w") as f:
        f.write("\n".join(now) + "\n")
    sys.exit(0)


def table(lines):
    return dict(line.split(" ", 1) for line in lines)


old, new = table(stored), table(now)
# A struct may grow at its end, and counts of roles may grow; everything else must never change.
grows = {"ORCD_ABI_MINOR", "ORCD_G_COUNT", "ORCD_L_COUNT", "orcd_layer.tensor"}
moved = [] if old else ["there is no baseline"]
for key, value in old.items():
    got = new.get(key)
    if got == value or key in grows:
        continue
    size = re.fullmatch(r"size (\d+)", value)
    if size and got and int(got.split()[1]) >= int(size.group(1)):
        continue
    moved.append("%s was %s, is %s" % (key, value, got))
check(moved, "nothing of the baseline has moved")
check([] if now == stored else ["run: make update-abi, and say in NEWS.md what was appended"], "the baseline is up to date")

missing = []
for name, body in re.findall(r"^struct (orcd_\w+) \{(.*?)^\};", header, flags=re.S | re.M):
    if name not in new:
        missing.append(name)
    for declaration in body.split(";"):
        slot = re.search(r"\(\*(\w+)\)\(", declaration)
        names = [slot.group(1)] if slot else re.findall(r"(\w+)\s*(?:\[[^\]]*\])?\s*(?:,|$)", declaration.strip())
        missing += [name + "." + f for f in names if name + "." + f not in new]
check(missing, "every field of every struct is in the baseline")
enums = re.findall(r"enum orcd_(?!error_code)\w+ \{(.*?)\}", header, flags=re.S)
constants = [e.split("=")[0].strip() for body in enums for e in body.split(",")]
check([e for e in constants if e and e not in new], "every constant of every enum is in the baseline")
done()
