"""The soak in a few seconds: its counts add up on a machine of any speed."""
import os
import re
import subprocess
import sys

ORCD = os.environ.get("ORCD", "./orcd")
MUST_HOLD = ("slots_stuck", "queue_stuck", "descriptors_left_open", "requests_unaccounted", "rejections_unaccounted",
             "histogram_counts_off", "answers_wrong", "calls_without_an_end", "exit_status")
MUST_HAPPEN = ("length", "deadline_partial", "deadline", "cancelled", "disconnected", "error", "rejected")

if not os.access(ORCD, os.X_OK):
    sys.exit(77)
print("1..%d" % (2 + len(MUST_HOLD)), flush=True)
done = subprocess.run([ORCD, "bench", "--quick", "--scale", "0.08", "soak"], stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
lines = done.stdout.decode("utf-8", "replace").splitlines()
failed = 0


def row(name):
    for line in lines:
        if re.match(r"\s*%s\b" % name, line):
            return line
    return ""


def tell(good, i, text):
    global failed
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", i, text), flush=True)


for i, name in enumerate(MUST_HOLD, 1):
    tell(row(name).rstrip().endswith("ok"), i, name)
values = {o: re.search(r"\s1\s+([0-9.]+)", row("outcome_" + o)) for o in MUST_HAPPEN}
tell(all(v and float(v.group(1)) > 0 for v in values.values()), len(MUST_HOLD) + 1, "every outcome occurred")
tell(done.returncode == 0, len(MUST_HOLD) + 2, "the case passes")
if failed:
    print("\n".join("# " + line for line in lines))
sys.exit(1 if failed else 0)
