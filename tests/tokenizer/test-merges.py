#!/usr/bin/env python3
"""Merging gives the ids of the textbook algorithm, which looks at all pairs each time.

Real vocabularies and random texts: short words, long ones (which take another way
through the code), and texts that repeat themselves.
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gguf
import probe
import texts

FOLDER = os.path.join(probe.SHARED, "data")
FILES = (
    ["tokenizers/" + name for name in ("gpt-2", "llama-bpe", "llama-spm", "phi-3")]
    + ["models/" + name for name in ("stories260K", "qwen2-tiny-f16", "gpt-oss-tiny-mxfp4")]
)
WHOLE_WORDS = ("llama-bpe", "gpt-4o")  # a word of the vocabulary is not merged
NORMAL, UNUSED = 1, 5


def byte_alphabet():
    """Byte -> the character that stands for it in byte-level BPE."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain}
    table.update({b: chr(256 + i) for i, b in enumerate(others)})
    return table


class Vocabulary:
    def __init__(self, path):
        keys = gguf.read_keys(path)
        tokens = [t.decode() for t in keys["tokenizer.ggml.tokens"]]
        types = keys["tokenizer.ggml.token_type"]
        self.all_ids = {}
        self.ids = {}
        for i, text in enumerate(tokens):
            self.all_ids.setdefault(text, i)
            if types[i] in (NORMAL, UNUSED):
                self.ids.setdefault(text, i)
        self.spm = keys["tokenizer.ggml.model"] == b"llama"
        self.pre = keys.get("tokenizer.ggml.pre", b"").decode()
        self.scores = keys.get("tokenizer.ggml.scores")
        self.ranks = {}
        for rank, merge in enumerate(keys.get("tokenizer.ggml.merges", [])):
            merge = merge.decode()
            space = merge.index(" ", 1)
            self.ranks.setdefault((merge[:space], merge[space + 1 :]), rank)

    def merge(self, symbols):
        while True:
            best = None
            for i in range(len(symbols) - 1):
                if self.spm:
                    token = self.ids.get(symbols[i] + symbols[i + 1])
                    key = None if token is None else -self.scores[token]
                else:
                    key = self.ranks.get((symbols[i], symbols[i + 1]))
                if key is not None and (best is None or key < best[0]):
                    best = (key, i)
            if best is None:
                return symbols
            i = best[1]
            symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]

    def encode_spm(self, text):
        ids = []
        if not text:
            return ()
        for symbol in self.merge(list((" " + text).replace(" ", "\u2581"))):
            if symbol in self.ids:
                ids.append(self.ids[symbol])
            else:
                ids += [self.all_ids["<0x%02X>" % b] for b in symbol.encode()]
        return tuple(ids)

    def encode_bpe(self, words, alphabet):
        ids = []
        for word in words:
            mapped = "".join(alphabet[b] for b in word)
            if self.pre in WHOLE_WORDS and mapped in self.ids:
                ids.append(self.ids[mapped])
            else:
                ids += [self.ids[s] for s in self.merge(list(mapped))]
        return tuple(ids)


def make_texts(rng, count):
    groups = texts.by_category(lambda c: c != "\x00")
    made = texts.random_texts(rng, groups, count, 40)
    for _ in range(count):
        made.append(" ".join(rng.choice(texts.PIECES).strip() or "x" for _ in range(rng.randrange(8))))
    for alphabet in ("ab", "aeiounrst", "abcdefghijklmnopqrstuvwxyz", "\u4e2d\u56fd\u4eba\u7684", "= \n", "\u2581 a"):
        for _ in range(12):
            made.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(40, 160))))
            made.append(rng.choice(alphabet) * rng.randrange(1, 200))
    for _ in range(3):
        made.append("".join(rng.choice(("the", "in", "ation", "er", "qu", "o", "un")) for _ in range(400)))
    return [t for t in made if "</s>" not in t]


def main():
    if not os.path.isdir(FOLDER):
        probe.skip_all("needs the shared vocabularies")
    tap = probe.Tap()
    rng = random.Random(7)
    made = make_texts(rng, int(os.environ.get("ORCD_TEST_TEXTS", "1500")))
    encoded = [t.encode() for t in made]
    alphabet = byte_alphabet()
    for name in FILES:
        path = os.path.join(FOLDER, name + ".gguf")
        vocabulary = Vocabulary(path)
        ours = probe.run(["encode", path], encoded)
        cuts = None if vocabulary.spm else probe.run(["pre", vocabulary.pre], encoded)
        bad = None
        for i, text in enumerate(made):
            if vocabulary.spm:
                want = vocabulary.encode_spm(text)
            else:
                words, at = [], 0
                for n in cuts[i]:
                    words.append(encoded[i][at : at + n])
                    at += n
                want = vocabulary.encode_bpe(words, alphabet)
            if want != ours[i]:
                bad = "%r: %s, expected %s" % (text, ours[i], want)
                break
        tap.ok(bad is None, "%s: %d texts" % (name, len(made)), bad or "")
    tap.done()


main()
