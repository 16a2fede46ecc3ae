#!/usr/bin/env python3
"""Every pre-tokenizer cuts random texts as its published regular expression does.

The expressions are run by the module regex (PyPI or python3-regex) and, where it is
there, by the package tokenizers, whose engine is another one.

The three sides follow different Unicode versions. The texts hold only characters
that are assigned in this Python's version, usually the oldest, and that regex puts
into the same category: what was assigned later may be a letter for one and nothing
for the other. Characters that are unassigned for ever (U+FDD0) are in.
"""
import os
import random
import sys
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import probe
import texts

try:
    import regex
except ImportError:
    probe.skip_all("needs the Python module regex")

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
)
GPT4O = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + "?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + "?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        TAIL,
    ]
)
EXPRESSIONS = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "gpt-4o": [GPT4O],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
}
COUNT = int(os.environ.get("ORCD_TEST_TEXTS", "100000"))


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
        compiled = [regex.compile(e) for e in EXPRESSIONS[name]]
        compare(tap, name, "regex", random_texts, ours, lambda t: lengths(split(compiled, t)))
        if not tokenizers:
            tap.ok(True, "%s # SKIP needs the Python package tokenizers" % name)
            continue
        steps = [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(e), "isolated") for e in EXPRESSIONS[name]
        ]
        steps = tokenizers.pre_tokenizers.Sequence(steps)
        few = slice(0, len(random_texts) // 10)
        compare(
            tap,
            name,
            "tokenizers",
            random_texts[few],
            ours[few],
            lambda t: lengths([p for p, _ in steps.pre_tokenize_str(t) if p]),
        )
    # Letters that were assigned in recent years, so that outdated tables are noticed.
    ours = probe.run(["pre", "gpt-2"], ["\U00011f02\U00011f04".encode(), "\U0001e4d0\U0001e4d1".encode()])
    tap.ok(ours == [(8,), (8,)], "letters of Unicode 15 are letters", str(ours))
    tap.done()


main()
