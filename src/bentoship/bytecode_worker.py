"""Compiles Python files to byte-code, the same to the byte in whichever interpreter of a minor version it runs.

This runs in the interpreter of the image (Python 3.9 or later) as a script, so it imports the standard library alone.
It reads JSON: pairs of a source file and the path that tracebacks shall show.
"""

import sys

sys.path.pop(0)  # this script's own folder, whose modules are no standard library

import gc
import importlib.util
import json
import marshal
from pathlib import Path

FLAG_REF = 0x80
UNCHECKED_HASH = (1).to_bytes(4, "little")
"""The flags of a .pyc file that is never compared with its source (PEP 552)."""

# What follows the type byte in a marshal stream (CPython, Python/marshal.c): nothing, a fixed number of bytes …
FIXED = {**dict.fromkeys(b"NTFS.0", 0), ord("i"): 4, ord("g"): 8, ord("y"): 16}
# … or a length of so many bytes, and the content.
SIZED = {ord("s"): 4, ord("a"): 4, ord("A"): 4, ord("u"): 4, ord("t"): 4, ord("z"): 1, ord("Z"): 1}
NOT_INTERNED = {ord("A"): ord("a"), ord("t"): ord("u"), ord("Z"): ord("z")}
INTERNED = {small: large for large, small in NOT_INTERNED.items()}
# A container begins with a number of so many bytes: of what it holds.
CONTAINERS = {ord("("): 4, ord(")"): 1, ord(">"): 4}
# The fields of a code object: numbers in front, objects, the first line's number, objects.
CODE = (20, 8, 4, 2) if sys.version_info >= (3, 11) else (24, 8, 4, 1)


def canonical(stream: bytes) -> bytes:
    """The same object as another marshal stream, written so that only its value counts.

    marshal marks an object as one that later parts may refer to when its reference count is above 1, which depends on
    what else the interpreter has loaded; so does which strings are interned. Here each text and each run of bytes is
    marked, every repetition refers to the first, nothing else is shared, and texts that look like names are interned.
    """
    out = bytearray()
    starts: list[int] = []  # where each object that `stream` marks begins, in the order of their numbers
    written: dict[tuple[int, bytes], int] = {}  # the number in `out` of each text and run of bytes

    def copy(at: int, first: bool) -> int:
        """Copy the object at an offset, which is met for the `first` time; the offset behind it."""
        kind = stream[at]
        if kind & FLAG_REF:
            kind ^= FLAG_REF
            if first:
                starts.append(at)
        at += 1
        if kind in SIZED:
            content = at + SIZED[kind]
            end = content + int.from_bytes(stream[at:content], "little")
            text = stream[content:end]
            kind = NOT_INTERNED.get(kind, kind)
            if kind in INTERNED and text.replace(b"_", b"a").isalnum():
                kind = INTERNED[kind]
            key = (kind, text)
            number = written.get(key)
            if number is not None:
                out.append(0x72)  # "r"
                out.extend(number.to_bytes(4, "little"))
            else:
                written[key] = len(written)
                out.append(kind | FLAG_REF)
                out.extend(stream[at:end])
            return end
        if kind in FIXED:
            end = at + FIXED[kind]
            out.append(kind)
            out.extend(stream[at:end])
            return end
        if kind == 0x72:  # "r": the number of an object met before
            copy(starts[int.from_bytes(stream[at : at + 4], "little")], False)
            return at + 4
        if kind in CONTAINERS:
            end = at + CONTAINERS[kind]
            out.append(kind)
            out.extend(stream[at:end])
            number = int.from_bytes(stream[at:end], "little")
            if kind == 0x3E:  # ">"
                return copy_set(end, number, first)
            for _ in range(number):
                end = copy(end, first)
            return end
        if kind == 0x63:  # "c"
            out.append(kind)
            for index, size in enumerate(CODE):
                if index % 2:
                    for _ in range(size):
                        at = copy(at, first)
                else:
                    out.extend(stream[at : at + size])
                    at += size
            return at
        if kind == 0x6C:  # "l": a long integer in digits of 15 bits, their number negative when it is
            end = at + 4 + 2 * abs(int.from_bytes(stream[at : at + 4], "little", signed=True))
            out.append(kind)
            out.extend(stream[at:end])
            return end
        raise ValueError(f"Unknown kind {kind} in byte-code")

    def copy_set(at: int, number: int, first: bool) -> int:
        """Copy what a frozenset holds in the order of its values, since marshal's follows hashes or marks."""
        nonlocal out, written
        items = []
        for _ in range(number):
            kept, out, written = (out, written), bytearray(), {}
            end = copy(at, first)
            items.append((bytes(out), at))
            (out, written), at = kept, end
        for _, begin in sorted(items):
            copy(begin, False)
        return at

    copy(0, True)
    return bytes(out)


def compiled(source: bytes, shown_path: str) -> bytes:
    """The content of a .pyc file. Raises what `compile` does."""
    code = compile(source, shown_path, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
    return head + canonical(marshal.dumps(code))


def main() -> None:
    """Compile what the input lists. Files that are no Python of this version are left alone, as compileall does."""
    gc.disable()  # nothing here goes round in circles, and it takes a quarter of the time
    for path, shown_path in json.load(sys.stdin):
        try:
            content = compiled(Path(path).read_bytes(), shown_path)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        target = Path(importlib.util.cache_from_source(path))
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


if __name__ == "__main__":
    main()
