"""Programs and libraries, and the machines that they are for."""

from __future__ import annotations

from pathlib import Path

AMD64, ARM64 = 62, 183
"""EM_X86_64 and EM_AARCH64 (man 5 elf)."""


def programs(root: Path) -> dict[Path, int]:
    """Every ELF file below a folder, and its machine."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                machine = machine_of(stream.read(20))
            if machine is not None:
                found[path] = machine
    return found


def machine_of(head: bytes) -> int | None:
    """The machine that a file's first bytes tell; None when it is no ELF file."""
    return int.from_bytes(head[18:20], "little") if head.startswith(b"\x7fELF") else None
