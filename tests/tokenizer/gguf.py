"""Reads the keys of a GGUF file, written down plainly for comparison, and writes files of keys alone."""
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def read_keys(path):
    with open(path, "rb") as f:
        data = f.read()
    at = 24
    magic, _version, _tensors, n_keys = struct.unpack_from("<4sIQQ", data)
    if magic != b"GGUF":
        raise ValueError(path + ": not a GGUF file")

    def scalar(kind):
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, data, at)
        at += struct.calcsize("<" + kind)
        return value

    def string():
        nonlocal at
        n = scalar("Q")
        at += n
        return data[at - n : at]

    def value(kind):
        nonlocal at
        if kind == 8:
            return string()
        if kind != 9:
            return scalar(SCALARS[kind])
        element = scalar("I")
        n = scalar("Q")
        if element == 8:
            return [string() for _ in range(n)]
        layout = "<%d%s" % (n, SCALARS[element])
        values = list(struct.unpack_from(layout, data, at))
        at += struct.calcsize(layout)
        return values

    keys = {}
    for _ in range(n_keys):
        name = string().decode()
        keys[name] = value(scalar("I"))
    return keys


def write_keys(path, keys):
    """Texts, numbers as u32, and lists of texts or of numbers as i32."""
    def text(t):
        data = t.encode()
        return struct.pack("<Q", len(data)) + data

    out = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    for name, value in keys.items():
        out += text(name)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        elif isinstance(value[0], str):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(v) for v in value)
        else:
            out += struct.pack("<IIQ%di" % len(value), 9, 5, len(value), *value)
    with open(path, "wb") as f:
        f.write(out + bytes(-len(out) % 32))
