"""Writes the tokenizer.json that a model with the vocabulary of a GGUF file has."""
import json

import expressions
import gguf

MARK = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5
WHOLE_WORDS = ("llama-bpe", "gpt-4o", "tekken", "youtu", "kimi-k2", "minicpm5")
ADD_BOS = ("llama-bpe", "tekken", "chameleon")


def merges_by_score(pieces, types, scores):
    """All ways to build a normal piece from two others, the best pieces first."""
    ids = {p: i for i, p in enumerate(pieces) if types[i] in (NORMAL, UNUSED)}
    merges = []
    for piece, score in [(p, scores[i]) for p, i in ids.items()]:
        ways = []
        for cut in range(1, len(piece)):
            if piece[:cut] in ids and piece[cut:] in ids:
                ways.append((piece[:cut], piece[cut:], score))
        merges += sorted(ways, key=lambda w: (ids[w[0]], ids[w[1]]))
    merges.sort(key=lambda w: -w[2])
    return [(a, b) for a, b, _ in merges]


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def pre_tokenizer_of(pre):
    """As publishers write it: some have other parts than Split, some have line ends as they are."""
    if pre == "gpt-2":
        return byte_level(True)
    if pre == "starcoder":
        return {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level(True)]}
    parts = []
    for e in expressions.EXPRESSIONS[pre]:
        if pre.startswith("deepseek"):
            e = e.replace("\\r\\n", "\r\n")
        parts.append({"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False})
    return {"type": "Sequence", "pretokenizers": parts + [byte_level(False)]}


def make(path, merge_pairs=True):
    """From a GGUF file, as a dictionary."""
    keys = gguf.read_keys(path)
    pieces = [t.decode() for t in keys["tokenizer.ggml.tokens"]]
    types = keys["tokenizer.ggml.token_type"]
    spm = keys["tokenizer.ggml.model"] == b"llama"
    pre = keys.get("tokenizer.ggml.pre", b"").decode()
    phi3 = b"phi" in keys.get("general.name", b"").lower()
    added = []
    for i, kind in enumerate(types):
        if kind not in (CONTROL, UNKNOWN, USER_DEFINED):
            continue
        strips = phi3 and pieces[i] not in ("<unk>", "<s>", "<|endoftext|>")
        added.append({"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": strips,
                      "normalized": False, "special": kind != USER_DEFINED})
    if spm:
        merges = merges_by_score(pieces, types, keys["tokenizer.ggml.scores"])
        unknown = pieces[types.index(UNKNOWN)] if UNKNOWN in types else None
        normalizer = {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": MARK},
            {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}
        pre_tokenizer = None
    else:
        merges = []
        for merge in keys["tokenizer.ggml.merges"]:
            merge = merge.decode()
            space = merge.index(" ", 1)
            merges.append((merge[:space], merge[space + 1 :]))
        unknown = None
        normalizer = {"type": "NFC"} if pre == "qwen2" else None
        pre_tokenizer = pre_tokenizer_of(pre)
    bos = keys.get("tokenizer.ggml.bos_token_id", 1)
    text = {"Sequence": {"id": "A", "type_id": 0}}
    if spm or pre in ADD_BOS:
        name = pieces[bos]
        post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": name, "type_id": 0}}, text],
                "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {name: {"id": name, "ids": [bos], "tokens": [name]}}}
    else:
        post = byte_level(True)
    vocab = {}
    for i, piece in enumerate(pieces):
        vocab.setdefault(piece, i)
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post, "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": spm, "byte_fallback": spm,
            "ignore_merges": pre in WHOLE_WORDS, "vocab": vocab,
            "merges": [list(m) for m in merges] if merge_pairs else [" ".join(m) for m in merges],
        },
    }


def write(path, tokenizer, ascii_only=False):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(tokenizer, f, ensure_ascii=ascii_only, indent=None if ascii_only else 2)
