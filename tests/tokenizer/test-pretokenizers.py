#!/usr/bin/env python3
"""Every pre-tokenizer cuts random texts as its published regular expressions do.

The expressions are run by the module regex (PyPI or python3-regex) and, where it is
there, by the package tokenizers, whose engine is another one. ORCD_TEST_TEXTS sets
the number of texts.

The three sides follow different Unicode versions. The texts hold only characters
that are assigned in this Python's version, usually the oldest, and that regex puts
into the same category: what was assigned later may be a letter for one and nothing
for the other. Characters that are unassigned for ever (U+FDD0) are in.
"""
import ctypes
import functools
import os
import random
import subprocess
import sys
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import probe
import texts
from expressions import EXPRESSIONS, SAME

try:
    import regex
except ImportError:
    probe.skip_all("needs the Python module regex")

COUNT = int(os.environ.get("ORCD_TEST_TEXTS", "500"))


def split(expressions, text):
    """Each expression cuts the parts that the one before left, both matches and gaps."""
    parts = [text]
    for e in expressions:
        finer = []
        for part in parts:
            at = 0
            for m in e.finditer(part):
                finer += [part[at : m.start()], m.group()]
                at = m.end()
            finer.append(part[at:])
        parts = [p for p in finer if p]
    return parts


def lengths(parts):
    return tuple(len(p.encode()) for p in parts)


def compare(tap, name, what, random_texts, ours, theirs):
    for text, a in zip(random_texts, ours):
        b = theirs(text)
        if a != b:
            tap.ok(False, "%s: %s" % (name, what), "%r: %s, expected %s" % (text, a, b))
            return
    tap.ok(True, "%s: %d texts as %s has them" % (name, len(random_texts), what))


# What \w is for the package tokenizers; the module regex has it otherwise.
WORD = (
    r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\xb2\xb3\xb9\xbc-\xbe\u24b6-\u24e9\U0001f130-\U0001f149"
    r"\U0001f150-\U0001f169\U0001f170-\U0001f189"
)
SCANNED = ("default", "gpt-2", "llama-bpe", "qwen2", "gpt-4o")


@functools.lru_cache(maxsize=None)
def compiled_by_regex(name):
    """Version 1 of the module's syntax has &&, but also folds one character to two."""
    spelt = [e.replace(r"\b", "(?![%s])" % WORD) for e in EXPRESSIONS[name]]
    return [regex.compile(e, regex.V1 if "&&" in e else regex.V0) for e in spelt]


def other_names(tap, encoded):
    for name, same in SAME.items():
        want = probe.run(["pre", name], encoded)
        wrong = [other for other in same.split() if probe.run(["pre", other], encoded) != want]
        tap.ok(not wrong, "other names of %s cut the same" % name, " ".join(wrong))


def all_names(tap):
    """Each row of the table is compared with published expressions here, and documented."""
    out = subprocess.run([probe.PROBE, "names"], stdout=subprocess.PIPE, check=True).stdout.decode()
    rows = dict(line.split(" ", 1) if " " in line else (line, "") for line in out.splitlines())
    expected = {name: SAME.get(name, "") for name in EXPRESSIONS}
    tap.ok(rows == expected, "the names of the table", "%s, expected %s" % (rows, expected))
    with open(os.path.join(os.environ.get("ORCD_SRCDIR", "."), "docs/formats.md"), encoding="utf-8") as f:
        words = set(f.read().replace(",", " ").replace("|", " ").split())
    missing = [n for n in out.split() if n not in words]
    tap.ok(not missing, "the names in docs/formats.md", " ".join(missing))


def forbid_new_code():
    """As systemd's MemoryDenyWriteExecute: PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3)."""
    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
        raise OSError("no PR_SET_MDWE")


def interpreted(tap, encoded):
    """Where a process may not write code, PCRE2 interprets the expressions: the words are the same."""
    for name in compiled():
        try:
            ours = probe.run(["pre", name], encoded, preexec_fn=forbid_new_code)
        except subprocess.SubprocessError:
            tap.ok(True, "interpreted # SKIP needs Linux 6.3")
            return
        tap.ok(ours == probe.run(["pre", name], encoded), name + ": interpreted")


def compiled():
    """The names whose expressions are not done by a scanner."""
    scanned = [EXPRESSIONS[name] for name in SCANNED]
    return [name for name in sorted(EXPRESSIONS) if EXPRESSIONS[name] not in scanned]


def invalid_bytes(tap):
    """A run of bytes that are not UTF-8 is a word; the text on both sides is cut as two texts."""
    for name in compiled():
        text = b"a cat \xff\xfe\xe4\xbd b\xed\xa0\x80 12"
        sides = probe.run(["pre", name], [b"a cat ", b" b", b" 12"])
        want = sides[0] + (4,) + sides[1] + (3,) + sides[2]
        ours = probe.run(["pre", name], [text])[0]
        tap.ok(ours == want, name + ": bytes that are not UTF-8", "%s, expected %s" % (ours, want))


def expensive_texts(tap):
    """Texts that cost an expression the square of their length would end this test by its time limit."""
    repeated = [" ", "\n", "7", "a", "A", "\u0301", "a\u0301", "A\u0301", "a ", " \t", "!", "'", "\u4e2d", "\u00bd", "/"]
    made = [(part * (600000 // len(part.encode())) + "7x").encode() for part in repeated]
    for name in compiled() + list(SCANNED):
        words = probe.run(["pre", name], made)
        tap.ok([sum(w) for w in words] == [len(t) for t in made], name + ": expensive texts")


def main():
    same = {}
    for category in ("Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S"):
        same[category] = regex.compile(r"\p{%s}" % category)

    def agreed(c):
        category = unicodedata.category(c)
        for name in (category, category[0]):
            if name in same:
                return bool(same[name].match(c))
        return not any(e.match(c) for e in same.values())

    rng = random.Random(20)
    groups = texts.by_category(agreed)
    random_texts = texts.random_texts(rng, groups, COUNT)
    encoded = [t.encode() for t in random_texts]
    tap = probe.Tap()
    try:
        import tokenizers
    except ImportError:
        tokenizers = None
    for name in sorted(EXPRESSIONS):
        ours = probe.run(["pre", name], encoded)
        compare(tap, name, "regex", random_texts, ours, lambda t: lengths(split(compiled_by_regex(name), t)))
        if name in SCANNED:
            tap.ok(probe.run(["pre", name, "regex"], encoded) == ours, name + ": the scanner cuts as PCRE2 does")
        if not tokenizers:
            tap.ok(True, "%s # SKIP needs the Python package tokenizers" % name)
            continue
        steps = [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(e), "isolated") for e in EXPRESSIONS[name]
        ]
        steps = tokenizers.pre_tokenizers.Sequence(steps)
        compare(
            tap,
            name,
            "tokenizers",
            random_texts,
            ours,
            lambda t: lengths([p for p, _ in steps.pre_tokenize_str(t) if p]),
        )
    all_names(tap)
    other_names(tap, encoded[:200])
    interpreted(tap, encoded)
    invalid_bytes(tap)
    expensive_texts(tap)
    # Letters that were assigned in recent years, so that outdated tables are noticed.
    ours = probe.run(["pre", "gpt-2"], ["\U00011f02\U00011f04".encode(), "\U0001e4d0\U0001e4d1".encode()])
    tap.ok(ours == [(8,), (8,)], "letters of Unicode 15 are letters", str(ours))
    tap.done()


main()
