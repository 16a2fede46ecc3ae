"""A byte-level BPE vocabulary that is learnt from a text, as a GGUF file, for use without a published one."""
import collections
import functools
import re

import gguf

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
SPECIALS = (("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<s>", CONTROL),
            ("<think>", USER_DEFINED))


def alphabet():
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    table = {b: chr(b) for b in plain}
    table.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in table)})
    return table


@functools.lru_cache(maxsize=1)
def learn(text, n_merges):
    """The merges, most frequent pairs first."""
    letters = alphabet()
    counts = collections.Counter(re.findall(r" ?[^\s]+|\s+", text))
    words = [([letters[b] for b in w.encode()], n) for w, n in counts.items()]
    merges = []
    while len(merges) < n_merges:
        pairs = collections.Counter()
        for symbols, n in words:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += n
        (a, b), n = max(pairs.items(), key=lambda p: (p[1], p[0]))
        if n < 2:
            break
        merges.append((a, b))
        for symbols, _ in words:
            i = 0
            while i + 1 < len(symbols):
                if symbols[i] == a and symbols[i + 1] == b:
                    symbols[i : i + 2] = [a + b]
                i += 1
    return merges


def write(path, text, pre, n_merges=300):
    letters = alphabet()
    merges = learn(text, n_merges)
    pieces = [letters[b] for b in range(256)] + list(dict.fromkeys(a + b for a, b in merges))
    types = [NORMAL] * len(pieces) + [kind for _, kind in SPECIALS]
    pieces += [name for name, _ in SPECIALS]
    gguf.write_keys(path, {
        "general.architecture": "qwen2", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": pieces, "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [a + " " + b for a, b in merges],
        "tokenizer.ggml.eos_token_id": pieces.index("<|endoftext|>"),
        "tokenizer.ggml.bos_token_id": pieces.index("<s>")})
