"""Reproducible gzip."""

import gzip
import hashlib
import os
import random

import pytest

from bentoship.layers.compression import MEMBER, gzip_members, is_worthwhile


def content(size: int) -> bytes:
    """Bytes that compress somewhat, always the same."""
    return bytes(random.Random(7).choices(range(16), k=size))


@pytest.mark.parametrize("size", [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 5 * MEMBER + 3])
def test_any_reader_gets_the_content_back(size: int) -> None:
    """Rows of gzip members are gzip."""
    data = content(size)
    assert gzip.decompress(b"".join(gzip_members([data]))) == data


def test_the_cuts_do_not_matter() -> None:
    """However the input comes in pieces, the output is the same."""
    data = content(2 * MEMBER + 100)
    pieces = [data[i : i + 77_777] for i in range(0, len(data), 77_777)]
    assert b"".join(gzip_members(pieces)) == b"".join(gzip_members([data]))


def test_the_output_is_fixed() -> None:
    """The same bytes on every machine; a new version of the library that writes others shows here."""
    digest = hashlib.sha256(b"".join(gzip_members([content(MEMBER + 5)]))).hexdigest()
    assert digest == "a478a3e0eb3c6f52775e85b52c2f3800fbb9e97050f7d8a179d415cd6c66d9e2"


def test_what_does_not_shrink_is_told() -> None:
    """Random bytes aren't worth the work, text is."""
    assert not is_worthwhile(os.urandom(MEMBER))
    assert is_worthwhile(b"text " * MEMBER)
