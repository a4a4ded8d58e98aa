"""gzip, the same to the byte on every machine, on all cores.

zlib's output differs with its version and its vendor, ISA-L's and zlib-ng's with the processor; libdeflate's depends on
nothing but its input and its own version, which the lock fixes, at twice the speed of zlib. It compresses whole
buffers, so a layer becomes a row of gzip members (RFC 1952, section 2.2), each made on its own.
"""

import os
from collections.abc import Iterable, Iterator

import deflate

from bentoship.system.parallel import map_in_order

MEMBER = 1 << 20
"""Bytes of input for each gzip member: large enough to cost no more than half a per cent."""

LEVEL = 5


def gzip_members(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream; memory stays at a few members, whatever its length."""
    jobs = os.cpu_count() or 1
    return map_in_order(lambda member: bytes(deflate.gzip_compress(member, LEVEL)), _members(pieces), jobs=jobs)


def is_worthwhile(sample: bytes) -> bool:
    """Return whether content like this becomes at least a twentieth smaller (weights of a model mostly don't)."""
    return len(sample) < MEMBER // 16 or len(deflate.gzip_compress(sample, 1)) < 0.95 * len(sample)


def _members(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, cut again, so that the cuts do not depend on how they came."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= MEMBER:
            yield bytes(held[:MEMBER])
            del held[:MEMBER]
    if held:
        yield bytes(held)
