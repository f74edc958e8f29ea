"""Mutations of the files of a run: every type, range and encoding that a reader may not expect."""

import json
import random

_TOKEN = "\x00token\x00"
VALUES = (
    "null", "true", "-1", "0", "0.5", "1e300", "-1e300", "1e-300", "1e400", "NaN", "-Infinity",
    "1" * 400, "1" * 5000, str(2**63), '""', '"1.5"', '"\xb2"', '"=cmd()"', '"../../out"',
    '"\\u001b[31m\\u202e"', '"\\ud800"', '"' + "x" * 100_000 + '"', "[]", "{}", "[[]]", "[1, 2]",
    '{"a": {}}', "[" * 200_000, '{"a":' * 900 + "1" + "}" * 900,
)  # fmt: skip
"""JSON texts to put in the place of any value."""


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return a file with one to three mutations."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = rng.choice([_bytes, _value, _value, _value, _key, _lines])(content, rng)
    return content


def _bytes(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    piece = rng.choice([b"\xff\xfe", b"\x00", b"[", b"}", b'"', b"\n", b"\r", rng.randbytes(9)])
    start, end = content[:at], content[at:]
    return rng.choice([start, start + piece + end, start + piece + end[1:]])


def _value(content: bytes, rng: random.Random) -> bytes:
    """Replace any value of a JSON file, or of a line of it."""
    return _edited(content, rng, lambda parent, key: parent.__setitem__(key, _TOKEN))


def _key(content: bytes, rng: random.Random) -> bytes:
    """Remove an item, or name it otherwise."""

    def edit(parent, key):
        value = parent.pop(key)
        if isinstance(parent, dict) and rng.random() < 0.5:
            parent[rng.choice(["", "=x", "\x1b[2J", "a.b@c", key + " "])] = value

    return _edited(content, rng, edit)


def _lines(content: bytes, rng: random.Random) -> bytes:
    """Repeat, remove or exchange lines."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return b"\n"
    at = rng.randrange(len(lines))
    return b"".join(rng.choice([lines[:at], lines + lines[at:], lines[::-1], lines[at:]]))


def _edited(content, rng, edit):
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    for text, put in ((content, lambda new: new), (lines[at], lambda new: _joined(lines, at, new))):
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            continue
        nodes = list(_nodes(tree))
        if nodes:
            edit(*rng.choice(nodes))
        value = rng.choice(VALUES).encode(errors="surrogatepass")
        return put(json.dumps(tree).encode().replace(json.dumps(_TOKEN).encode(), value))
    return content


def _joined(lines, at, new):
    return b"\n".join([*lines[:at], new, *lines[at + 1 :]])


def _nodes(tree, depth=0):
    if depth > 50:
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items) if isinstance(tree, dict | list) else ():
        yield tree, key
        if isinstance(value, dict | list):
            yield from _nodes(value, depth + 1)
