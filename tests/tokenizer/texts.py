"""Random texts over all Unicode categories."""
import unicodedata

# Characters that pre-tokenizers treat specially are more frequent than by chance.
FREQUENT = (
    list("    \n\n\r\t''''/stremvldSTREMVLDaZ019.,!$+<=>^~|_-`")
    + ["\u017f", "\u0130", "\u0131", "\u212a", "\u00df", "\ufb06", "\u2019", "\u02bc"]  # near-misses of folding
    + ["\u00a0", "\u0085", "\u2028", "\u3000", "\u200b", "\ufeff", "\u001c", "\u180e"]  # spaces and no spaces
    + ["\u00aa", "\u01c5", "\u02b0", "\u0300", "\u0903", "\u20dd", "\u0660", "\u00b2", "\u2160", "\u3007"]
    + ["\ufdd0", "\uffff", "\ue000", "\U0010ffff", "\U0001f469", "\u200d", "\U0001f3fd"]
)
PIECES = ["'s", "'LL", "'Re", "'ve", "'\u017f", "\r\n", "\n\n", "   ", " the", "Hello", "ABC", "1234", "\u4f60\u597d"]


def by_category(keep=lambda c: True):
    """Assigned characters of this Python's Unicode version by general category."""
    groups = {}
    for cp in range(0x110000):
        c = chr(cp)
        category = unicodedata.category(c)
        if category not in ("Cn", "Cs") and keep(c):
            groups.setdefault(category, []).append(c)
    return groups


def random_texts(rng, groups, count, longest=24):
    names = sorted(groups)
    texts = []
    for _ in range(count):
        text = []
        for _ in range(rng.randrange(longest + 1)):
            kind = rng.random()
            if kind < 0.45:
                text.append(rng.choice(FREQUENT))
            elif kind < 0.55:
                text.append(rng.choice(PIECES))
            else:
                text.append(rng.choice(groups[rng.choice(names)]))
            if rng.random() < 0.1:
                text.append(text[-1] * rng.randrange(1, 5))
        texts.append("".join(text))
    return texts
