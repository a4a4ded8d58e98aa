"""Tars from elsewhere, read without trusting the sizes that they name."""

from __future__ import annotations

import tarfile

_MOST = 1 << 20
"""The bytes that a member's name, link and attributes may have, where they do not fit into its header."""

_IN_FRONT = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)
"""The kinds of members that describe the next one; tarfile reads them into memory."""


class Member(tarfile.TarInfo):
    """A member of a tar, to pass to tarfile as `tarinfo`; one with an impossible size raises tarfile.ReadError."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # tarfile's hook for subclasses, called for each header before anything of the member is read.
        if self.size < 0 or (self.type in _IN_FRONT and self.size > _MOST):
            raise tarfile.ReadError(f"a header says that {self.size} bytes follow")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]  # the stubs leave it out

    def _block(self, count: int) -> int:
        # A negative size would have older versions of Python read the same member for ever (CVE-2025-8194).
        if count < 0:
            raise tarfile.ReadError(f"a header says that {count} bytes follow")
        return super()._block(count)  # type: ignore[misc,no-any-return]  # the stubs leave it out
