"""Tars whose headers lie about sizes."""

from __future__ import annotations

import io
import tarfile

import pytest

from bentoship.system.tars import Member


def header(kind: bytes, size: bytes) -> bytes:
    """Return a member's header with a size as it is written there."""
    block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    block[156:157], block[124:136] = kind, size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


NEGATIVE = b"\xff" * 11 + b"\x00"  # base 256, as GNU tar writes large numbers
HUGE = b"77777777777\0"


@pytest.mark.parametrize("size", [NEGATIVE, HUGE], ids=["negative", "huge"])
@pytest.mark.parametrize("mode", ["r:", "r|"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_attributes_of_an_impossible_size_are_refused(kind: bytes, mode: str, size: bytes) -> None:
    """They would be read into memory."""
    tar = io.BytesIO(header(kind, size) + bytes(1 << 20))
    with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=tar, mode=mode, tarinfo=Member) as opened:  # type: ignore[call-overload]
        list(opened)


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_a_negative_size_is_refused(mode: str) -> None:
    """Python's own class reads such a member for ever, in some versions."""
    tar = io.BytesIO(tarfile.TarInfo("b").tobuf() + header(tarfile.REGTYPE, NEGATIVE) + bytes(10240))
    with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=tar, mode=mode, tarinfo=Member) as opened:  # type: ignore[call-overload]
        list(opened)


def test_long_names_and_attributes_are_read() -> None:
    """As tarfile reads them."""
    name = "/".join(["folder" * 20] * 20)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(name))
    stream.seek(0)
    with tarfile.open(fileobj=stream, tarinfo=Member) as opened:
        assert opened.getnames() == [name]
