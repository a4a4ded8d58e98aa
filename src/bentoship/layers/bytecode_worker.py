"""Compiles Python files to byte-code, the same to the byte in whichever interpreter of a minor version it runs.

This runs in the interpreter of the image (Python 3.9 or later), so it imports the standard library alone; and it needs
no file but those. It reads the path that tracebacks shall show, and a source, after the lengths of both (4 bytes each).
It writes the name that .pyc files have of the interpreter, then for each source what such a file holds, or nothing,
after its length; and a letter to stderr.
"""

import sys

sys.path.pop(0)  # the working directory, whose modules are no standard library

import gc
import importlib.util
import marshal
import struct
from collections.abc import Sequence
from types import CodeType
from typing import Any

UNCHECKED_HASH = (1).to_bytes(4, "little")
"""The flags of a .pyc file that is never compared with its source (PEP 552)."""

SORTS_SETS = sys.version_info >= (3, 11)
"""Whether marshal writes what a set holds in an order of its own; before it was that of hashes (PYTHONHASHSEED)."""

INTERNS_CLASSES = sys.version_info >= (3, 13)
"""Whether the compiler interns what a class in another scope is called: "Outer.Inner"."""

# An interpreter has a single string for each of these characters, so interning it here interns it everywhere.
for letter in map(chr, range(256)):
    sys.intern(letter)


def parts(whole: Any) -> list[Any]:
    """Return a code object, tuple or set, and all that it is made of, at any depth."""
    found: list[Any] = []
    todo = [whole]
    while todo:
        part = todo.pop()
        found.append(part)
        if isinstance(part, CodeType):
            found += (part.co_filename, part.co_name, getattr(part, "co_qualname", None))
            found += part.co_names + part.co_varnames + part.co_cellvars + part.co_freevars
            todo.append(part.co_consts)
        elif isinstance(part, (tuple, frozenset)):
            todo += part
    return found


def dumped(source: bytes, shown_path: str) -> bytes:
    """Return the marshal stream of a module's code, the same whatever the interpreter has loaded before.

    Raises: what `compile` does; ValueError for a set whose order would depend on addresses.
    """
    code = compile(source, shown_path, "exec", dont_inherit=True)
    # marshal marks an object as one that later parts may refer to when its reference count is above 1 (CPython,
    # Python/marshal.c, w_ref). Of a text that is interned it depends on what else is loaded, but not while it is held.
    held = parts(code)
    if is_up_to_chance(held):
        code = compile(source, shown_path, "exec", dont_inherit=True)
    return marshal.dumps(code)


def is_up_to_chance(held: Sequence[Any]) -> bool:
    """Return whether the compiler would have shared or ordered some of a module's parts in another way, had their
    texts been interned before; they are as long as they are held.

    Raises: ValueError for a set whose order depends on addresses.
    """
    sets = [part for part in held if isinstance(part, frozenset)]
    if not SORTS_SETS:
        if any(part is None or part is ... for whole in sets for part in parts(whole)):
            raise ValueError("None and ... have their addresses for hashes")
        return bool(sets)
    return len(set(sets)) < len(sets) or (INTERNS_CLASSES and any(map(is_inner_class, held)))


def is_inner_class(part: Any) -> bool:
    """Return whether it is the code of a class in another scope, which sets __qualname__ to a constant."""
    return isinstance(part, CodeType) and "." in part.co_qualname and part.co_qualname in part.co_consts


def compiled(source: bytes, shown_path: str) -> bytes:
    """Return the content of a .pyc file. Raises what `compile` does."""
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH + importlib.util.source_hash(source)
    return head + dumped(source, shown_path)


def main() -> None:
    """Compile what the input lists. Files that are no Python of this version are left alone, as compileall does."""
    gc.disable()  # nothing here goes round in circles, and it takes a quarter of the time
    read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
    tag = str(sys.implementation.cache_tag).encode()
    write(struct.pack("<I", len(tag)) + tag)
    while head := read(8):
        name_size, size = struct.unpack("<II", head)
        shown_path, source = read(name_size).decode("utf-8", "surrogatepass"), read(size)
        try:
            content = compiled(source, shown_path)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            content = b""
        write(struct.pack("<I", len(content)) + content)
        sys.stderr.write(".")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
