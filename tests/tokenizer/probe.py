"""Runs tokenizer-probe (tests/unit/tokenizer-probe.c) and prints TAP."""
import os
import struct
import subprocess
import sys

PROBE = os.path.join(os.environ.get("ORCD_BUILDDIR", "."), "tests/unit/tokenizer-probe")
SHARED = os.environ.get("ORCD_SHARED", "../shared")


def complaint(args):
    """The error message if the tokenizer cannot be created; "" if it can."""
    p = subprocess.run([PROBE] + args, input=b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p.stderr.decode("utf-8", "replace").strip() if p.returncode == 1 else ""


def run(args, texts, **popen):
    """One list of numbers per text (bytes)."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    out = subprocess.run([PROBE] + args, input=data, stdout=subprocess.PIPE, check=True, **popen).stdout
    at = 0
    lists = []
    while at < len(out):
        (n,) = struct.unpack_from("<I", out, at)
        lists.append(struct.unpack_from("<%dI" % n, out, at + 4))
        at += 4 + 4 * n
    if len(lists) != len(texts):
        raise RuntimeError("tokenizer-probe answered %d of %d texts" % (len(lists), len(texts)))
    return lists


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(77)


class Tap:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def ok(self, good, text, detail=""):
        self.n += 1
        self.failed += not good
        print("%sok %d - %s" % ("" if good else "not ", self.n, text))
        if not good and detail:
            print("# " + detail.replace("\n", "\n# "))
        sys.stdout.flush()

    def done(self):
        print("1..%d" % self.n)
        sys.exit(1 if self.failed else 0)
