"""TAP for tests that list what is wrong: check(bad, text) for each point, then done()."""
import sys

results = []


def check(bad, text):
    """One point of the test; bad: lines that say what is wrong with it, none if nothing is."""
    results.append(not bad)
    for line in bad:
        print("# %s" % (line,))
    print("%sok %d - %s" % ("not " if bad else "", len(results), text), flush=True)


def skip(text, why):
    results.append(True)
    print("ok %d - %s # SKIP %s" % (len(results), text, why), flush=True)


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


def done():
    print("1..%d" % len(results))
    sys.exit(0 if all(results) else 1)
