#!/usr/bin/env python3
"""A tokenizer.json gives the ids of the GGUF file with the same vocabulary, the published
ids, and, where the Python package tokenizers is installed, that package's ids."""
import os
import random
import sys
import tempfile
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import probe
import texts
import tokjson
import trained

try:
    import tokenizers
except ImportError:
    tokenizers = None

FOLDER = os.path.join(probe.SHARED, "data")
DEMO = os.path.join(os.environ.get("ORCD_SRCDIR", "."), "share", "demo", "orcd-demo.gguf")
TRAINED = ("qwen2", "llama-bpe", "gpt-4o", "gpt-2")  # pre-tokenizers of vocabularies learnt on the spot
COMPILED = ("tekken", "starcoder", "deepseek-v3", "deepseek-llm", "qwen35", "bloom", "kimi-k2")
PUBLISHED = ("gpt-2", "llama-bpe", "llama-spm", "phi-3")
FILES = ["tokenizers/" + name for name in PUBLISHED]
FILES += ["models/qwen2-tiny-f16", "models/gpt-oss-tiny-mxfp4", "models/phi3-tiny-f16"]
CUT = "\n__ggml_vocab_test__\n"
SPECIALS = ("<|user|>", "<|end|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>", "<s>")


def mixed_text(rng, n_bytes, groups):
    """Words of several scripts, code, numbers, spaces and random characters, one text."""
    words = ["the", "of", "model", "don't", "I'LL", "caf\u00e9", "na\u00efve", "\u043f\u0440\u0438\u0432\u0435\u0442",
             "\u4f60\u597d\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f", "\uc548\ub155\ud558\uc138\uc694",
             "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
             "\U0001f469\u200d\U0001f680", "3.14159", "20260101", "if (x != 0) {", "    return y;\n", "\r\n", "\n\n",
             "\t\t", "http://a.b/c?d=e&f", "#include <x.h>", "\u2581", "e\u0301"]
    names = sorted(groups)
    parts, size = [], 0
    while size < n_bytes:
        part = rng.choice(words) if rng.random() < 0.9 else rng.choice(groups[rng.choice(names)])
        part += " " * (rng.random() < 0.7) + " " * (rng.randrange(4) * (rng.random() < 0.05))
        parts.append(part)
        size += len(part.encode())
    return "".join(parts)


def in_nfc(made):
    return [unicodedata.normalize("NFC", t) for t in made]


def first_difference(made, have, want):
    for text, a, b in zip(made, have, want):
        if tuple(a) != tuple(b):
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            return "%r: at %d %s, expected %s" % (text[:200], at, a[at : at + 8], b[at : at + 8])
    return None


def compare(tap, what, made, have, want):
    bad = first_difference(made, have, want)
    tap.ok(bad is None, "%s: %d texts" % (what, len(made)), bad or "")


def published(tap, folder, name):
    path = os.path.join(FOLDER, "tokenizers", name)
    with open(path + ".inp", encoding="utf-8", newline="") as f:
        made = f.read().split(CUT)[:46]
    with open(path + ".out", encoding="ascii") as f:
        want = [tuple(map(int, line.split())) for line in f.read().split("\n")[: len(made)]]
    have = probe.run(["encode-json", os.path.join(folder, name + ".json"), "-"], [t.encode() for t in made])
    compare(tap, name + ": published ids", made, have, want)


def by_package(path, made, special):
    if not tokenizers:
        return None
    theirs = tokenizers.Tokenizer.from_file(path)
    return [tuple(e.ids) for e in theirs.encode_batch(made, add_special_tokens=special)]


def variants(tap, folder, made):
    """What real files spell differently, with the vocabulary of Llama 2."""
    base = tokjson.make(os.path.join(FOLDER, "tokenizers/llama-spm.gguf"))
    model = os.path.join(FOLDER, "tokenizers/llama-spm.gguf")
    path = os.path.join(folder, "variant.json")
    mark = tokjson.MARK
    plain = [t for t in made if "</s>" not in t and "<s>" not in t and "<unk>" not in t and t]
    want = probe.run(["encode", model], [t.encode() for t in plain])
    starts = [t.startswith((" ", mark)) for t in plain]
    for scheme in ("first", "always"):
        base["normalizer"] = None
        base["pre_tokenizer"] = {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": False}
        tokjson.write(path, base)
        have = probe.run(["encode-json", path, model], [t.encode() for t in plain])
        # A text that begins with a space gets no second one; other texts are encoded as before.
        some = [i for i in range(len(plain)) if not starts[i]]
        compare(tap, "Metaspace " + scheme, [plain[i] for i in some], [have[i] for i in some], [want[i] for i in some])
        theirs = by_package(path, plain, False)
        if theirs:
            compare(tap, "Metaspace %s: as the package" % scheme, plain, have, theirs)
        special = ["a</s>b", "</s> b", "</s>b</s>"]
        have = probe.run(["encode-json", path, model, "parse"], [t.encode() for t in special])
        theirs = by_package(path, special, False)
        if theirs:
            compare(tap, "Metaspace %s: after special tokens" % scheme, special, have, theirs)
    base["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    base["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": mark}
    tokjson.write(path, base)
    have = probe.run(["encode-json", path, model], [(" " + t).encode() for t in plain])
    compare(tap, "no space added", plain, have, want)


def spellings(tap, folder, made):
    """The same pipeline, as other publishers write it."""
    model = os.path.join(FOLDER, "models/gpt-oss-tiny-mxfp4.gguf")
    path = os.path.join(folder, "spelling.json")
    want = probe.run(["encode", model], [t.encode() for t in made])

    def check(what, change):
        document = tokjson.make(model)
        change(document)
        tokjson.write(path, document)
        have = probe.run(["encode-json", path, model], [t.encode() for t in made])
        compare(tap, what, made, have, want)

    def inverted(d):
        d["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed", invert=True)

    def old_model(d):
        for key in ("type", "byte_fallback", "dropout"):
            del d["model"][key]
        d["model"].update(continuing_subword_prefix="", end_of_word_suffix="")

    def other_order(d):
        model = d.pop("model")
        d["model"] = dict(reversed(list(model.items())))

    check("Split that removes what does not match", inverted)
    check("a model without type", old_model)
    check("members in another order", other_order)


def refusals(tap, folder):
    """Unsupported parts are refused, and the error names them."""
    path = os.path.join(folder, "refused.json")
    model = os.path.join(FOLDER, "models/qwen2-tiny-f16.gguf")
    def change(place, value):
        made = tokjson.make(model)
        at = made
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        tokjson.write(path, made)
        return probe.complaint(["encode-json", path, model])
    for place, value, words in (
        (["model", "type"], "WordPiece", "WordPiece"),
        (["normalizer"], {"type": "NFKC"}, "NFKC"),
        (["normalizer"], {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}, "Lowercase"),
        (["pre_tokenizer"], {"type": "BertPreTokenizer"}, "BertPreTokenizer"),
        (["pre_tokenizer", "pretokenizers", 0, "pattern", "Regex"], r"\w+|\s+", r"\w+|\s+"),
        (["pre_tokenizer", "pretokenizers", 0, "behavior"], "MergedWithNext", "MergedWithNext"),
        (["post_processor"], {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]}, "BertProcessing"),
        (["model", "end_of_word_suffix"], "</w>", "end_of_word_suffix"),
        (["model", "vocab"], {"a": 0, "b": 0}, "two tokens have the id 0"),
        (["model", "vocab"], {"a": 99999999}, "99999999"),
    ):
        said = change(place, value)
        tap.ok(words in said, "refused: " + words, said)
    tokjson.write(path, tokjson.make(os.path.join(FOLDER, "tokenizers/gpt-2.gguf")))
    said = probe.complaint(["encode-json", path, os.path.join(FOLDER, "tokenizers/llama-bpe.gguf")])
    tap.ok("not the vocabulary of this model" in said, "refused: another model's file", said)


def same_ids(tap, folder, name, model, made, pairs=True):
    """The tokenizer.json of a model's vocabulary gives its ids, and the package's."""
    path = os.path.join(folder, os.path.basename(name) + ".json")
    document = tokjson.make(model, merge_pairs=pairs)
    tokjson.write(path, document, ascii_only=not pairs)
    nfc = document["normalizer"] == {"type": "NFC"}
    encoded = [t.encode() for t in made]
    encoded_nfc = [t.encode() for t in in_nfc(made)]
    for flags in ([], ["parse"], ["special", "parse"]):
        want = probe.run(["encode", model] + flags, encoded_nfc if nfc else encoded)
        have = probe.run(["encode-json", path, model] + flags, encoded)
        compare(tap, " ".join([name] + flags), made, have, want)
    # A text that begins with the BOS gets no second one.
    some = [t for t in made if not t.startswith("<s>")]
    theirs = by_package(path, some, True)
    if theirs is None:
        tap.ok(True, name + " # SKIP needs the Python package tokenizers")
    else:
        have = probe.run(["encode-json", path, "-", "special", "parse"], [t.encode() for t in some])
        compare(tap, name + ": as the package", some, have, theirs)


def normal_forms(tap, rng, made):
    have = probe.run(["nfc"], [t.encode() for t in made])
    compare(tap, "NFC", made, [bytes(b).decode() for b in have], in_nfc(made))
    # Marks in the wrong order, Hangul in parts, and what is excluded from composition.
    hard = ["a\u0301\u0323", "\u1e0b\u0323", "\u1112\u1161\u11ab", "\ud55c", "\u0344", "\u0958", "\u212b",
            "\u0928\u093c", "\U0001d15e", "q\u0307\u0323" * 5, "\u0301" * 40 + "\u0323" * 40, "e" + "\u0315\u0300\u05ae\u0301" * 99, "a\u0305\u0301", "a\u0331\u0323\u0301"]
    hard += ["".join(rng.choice("ae\u00e9\u0300\u0301\u0323\u0327\u1100\u1161\u11a8\uac00\u0915\u093c") for _ in range(30)) for _ in range(400)]
    have = probe.run(["nfc"], [t.encode() for t in hard])
    compare(tap, "NFC, hard", hard, [bytes(b).decode() for b in have], in_nfc(hard))


def main():
    tap = probe.Tap()
    rng = random.Random(11)
    # Assigned long ago, so that all tables have them.
    groups = texts.by_category(lambda c: c != "\x00" and ord(c) < 0x3000)
    made = texts.random_texts(rng, groups, int(os.environ.get("ORCD_TEST_TEXTS", "1500")), 40)
    mixed = mixed_text(rng, 1 << 20, groups)
    made.append(mixed)
    made += [a + s + b for s in SPECIALS for a, b in (("", ""), ("a", "b"), ("a ", " b"), ("", "\n\n x "))]
    normal_forms(tap, rng, made)
    with tempfile.TemporaryDirectory() as folder:
        same_ids(tap, folder, "demo", DEMO, made)
        published_too = os.path.isdir(FOLDER)
        for pre in TRAINED[:1] if published_too else TRAINED:
            model = os.path.join(folder, pre + ".gguf")
            trained.write(model, mixed[:60000], pre)
            same_ids(tap, folder, "trained-" + pre, model, made)
        for pre in COMPILED:
            model = os.path.join(folder, pre + ".gguf")
            trained.write(model, mixed[:60000], pre)
            same_ids(tap, folder, "trained-" + pre, model, made[:150] + [mixed[:20000]])
        if not published_too:
            tap.ok(True, "published vocabularies # SKIP needs the shared ones")
            tap.done()
        for name in FILES:
            same_ids(tap, folder, name, os.path.join(FOLDER, name + ".gguf"), made, name != "tokenizers/gpt-2")
        for name in PUBLISHED:
            published(tap, folder, name)
        variants(tap, folder, made)
        spellings(tap, folder, made[:500] + made[-40:])
        refusals(tap, folder)
    tap.done()


main()
