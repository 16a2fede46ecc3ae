"""Models that say what they are told: GGUF files of the family gpt2 in which all weights are zero
but those of positions and of the output. Which token comes next depends on how many there are by
now and on nothing else, so a script of tokens can be laid behind a prompt of a known length."""
import random
import struct

EMBD, HEADS, FF = 128, 2, 32
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
U32, F32, STRING, ARRAY, I32 = 4, 6, 8, 9, 5


def alphabet():
    """The characters that byte-level BPE writes the 256 bytes with."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    other = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain}
    table.update({b: chr(256 + i) for i, b in enumerate(other)})
    return table


ALPHABET = alphabet()


def put_str(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


class Vocabulary:
    """The 256 bytes, then marks (text to type), then whole words."""

    def __init__(self, marks, words):
        self.pieces = [ALPHABET[b] for b in range(256)]
        self.types = [NORMAL] * 256
        self.ids = {bytes([b]): b for b in range(256)}
        for text, kind in marks.items():
            self._add(text.encode(), text, kind)
        for word in words:
            data = word if isinstance(word, bytes) else word.encode()
            if data not in self.ids:
                self._add(data, "".join(ALPHABET[b] for b in data), NORMAL)

    def _add(self, data, piece, kind):
        self.ids[data] = len(self.pieces)
        self.pieces.append(piece)
        self.types.append(kind)

    def id(self, token):
        return self.ids[token if isinstance(token, bytes) else token.encode()]


def write(path, vocabulary, scripts, eos, context=2048):
    """scripts: {length of the text so far: tokens that follow}; elsewhere the text ends with eos."""
    rng = random.Random(5)
    n_vocab = len(vocabulary.pieces)
    # Orthogonal enough, and already of mean 0 and variance 1.
    signs = []
    for _ in range(n_vocab):
        v = [1.0] * (EMBD // 2) + [-1.0] * (EMBD // 2)
        rng.shuffle(v)
        signs.append(struct.pack("<%df" % EMBD, *v))
    says = [vocabulary.id(eos)] * context
    taken = set()
    for start, tokens in scripts.items():
        for i, token in enumerate(tokens):
            at = start - 1 + i
            assert at not in taken and at < context, "scripts overlap"
            taken.add(at)
            says[at] = vocabulary.id(token)

    keys = []

    def key(name, kind, data):
        keys.append(put_str(name) + struct.pack("<I", kind) + data)

    def number(name, value):
        key(name, U32, struct.pack("<I", value))

    def array(name, kind, items):
        key(name, ARRAY, struct.pack("<IQ", kind, len(items)) + b"".join(items))

    key("general.architecture", STRING, put_str("gpt2"))
    key("general.name", STRING, put_str("script"))
    number("gpt2.block_count", 1)
    number("gpt2.context_length", context)
    number("gpt2.embedding_length", EMBD)
    number("gpt2.feed_forward_length", FF)
    number("gpt2.attention.head_count", HEADS)
    key("gpt2.attention.layer_norm_epsilon", F32, struct.pack("<f", 1e-5))
    key("tokenizer.ggml.model", STRING, put_str("gpt2"))
    key("tokenizer.ggml.pre", STRING, put_str("qwen2"))
    array("tokenizer.ggml.tokens", STRING, [put_str(p) for p in vocabulary.pieces])
    array("tokenizer.ggml.token_type", I32, [struct.pack("<i", t) for t in vocabulary.types])
    array("tokenizer.ggml.merges", STRING, [])
    number("tokenizer.ggml.eos_token_id", vocabulary.id(eos))

    def zeros(*dims):
        n = 4
        for d in dims:
            n *= d
        return dims, bytes(n)

    tensors = {
        "token_embd.weight": zeros(EMBD, n_vocab),
        "position_embd.weight": ((EMBD, context), b"".join(signs[t] for t in says)),
        "output_norm.weight": ((EMBD,), struct.pack("<f", 1) * EMBD),
        "output_norm.bias": zeros(EMBD),
        "output.weight": ((EMBD, n_vocab), b"".join(signs)),
        "blk.0.attn_norm.weight": zeros(EMBD),
        "blk.0.attn_norm.bias": zeros(EMBD),
        "blk.0.attn_qkv.weight": zeros(EMBD, 3 * EMBD),
        "blk.0.attn_qkv.bias": zeros(3 * EMBD),
        "blk.0.attn_output.weight": zeros(EMBD, EMBD),
        "blk.0.attn_output.bias": zeros(EMBD),
        "blk.0.ffn_norm.weight": zeros(EMBD),
        "blk.0.ffn_norm.bias": zeros(EMBD),
        "blk.0.ffn_up.weight": zeros(EMBD, FF),
        "blk.0.ffn_up.bias": zeros(FF),
        "blk.0.ffn_down.weight": zeros(FF, EMBD),
        "blk.0.ffn_down.bias": zeros(EMBD),
    }
    infos, data = b"", b""
    for name, (dims, values) in tensors.items():
        infos += put_str(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, 0, len(data))
        data += values + bytes(-len(values) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)
