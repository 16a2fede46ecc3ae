"""orcd config, and which source of a value wins."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *


def value(text, key):
    for line in text.splitlines():
        words = line.split()
        if words[0] == key:
            return words[1], line.split("# ", 1)[1]
    raise AssertionError(key + " is missing")


def sources_in_order():
    with Dir() as d:
        path = d.file("o.yaml", "model:\n  slots: 2\nqueue:\n  capacity: 5\nlog:\n  level: warn\n")
        env = {"ORCD_MODEL_SLOTS": "3", "ORCD_QUEUE_CAPACITY": "6"}
        status, out, err = run("config", "--config", path, "--set", "model.slots=4", env=env)
        equal(status, 0, err)
        equal(value(out, "model.slots"), ("4", "--set"))
        equal(value(out, "queue.capacity"), ("6", "ORCD_QUEUE_CAPACITY"))
        equal(value(out, "log.level"), ("warn", path + ":6"))
        equal(value(out, "http.threads"), ("1", "default"))
        status, out, err = run("config", "--show", env={"ORCD_CONFIG": path})
        equal(value(out, "model.slots"), ("2", path + ":2"))


def check_says_what_is_wrong():
    with Dir() as d:
        equal(run("config", "--check", d.file("a.yaml", "")), (0, "", ""))
        status, out, err = run("config", "--check", d.file("a.yaml", "http:\n  thread: 1\n"))
        equal((status, out), (78, ""))
        contains(err, "a.yaml:2: http.thread: unknown key; did you mean http.threads?")
        for scheme, want in (("http", 0), ("https", 0), ("unix", 78)):
            path = d.file("a.yaml", "worker:\n  callback_url: %s://pool:9200/ready\n" % scheme)
            equal(run("config", "--check", path)[0], want, scheme)
        equal(run("config", "--check", d.path)[0], 74)
        equal(run("config", "--check", d.path + "/none")[0], 66)


def the_default_file_is_sound():
    equal(run("config", "--check", os.path.join(SRCDIR, "config/orcd.yaml")), (0, "", ""))


def a_full_disk_is_an_error():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        p = subprocess.run([ORCD, "config", "--list"], stdout=full, stderr=subprocess.PIPE, env=ENV)
    equal(p.returncode, 74)
    contains(p.stderr.decode(), "standard output")


main([sources_in_order, check_says_what_is_wrong, the_default_file_is_sound,
      a_full_disk_is_an_error])
