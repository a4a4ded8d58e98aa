"""Numbers in a readable form."""


def size(count: float, *, exact: bool = True) -> str:
    """Return a number of bytes in a readable form: 532 B, 41.2 kB, or ~98.4 MB for an estimate."""
    if not exact:
        return f"~{size(count)}"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """Return an estimated number of seconds in a readable form: 4 s, 12 min, 2.5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
