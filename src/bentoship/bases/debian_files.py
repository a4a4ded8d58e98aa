"""What of Debian's packages goes into a base, and what their scripts would have written there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDERS = (
    "dev", "home", "mnt", "opt", "proc", "root", "run/lock", "srv", "sys", "tmp", "usr/local/bin", "usr/local/lib",
    "usr/local/sbin", "usr/local/share", "var/log", "var/tmp",
)  # fmt: skip

# A service reads none of these: they are for people or for tools that are not installed. Of iconv's modules, only those
# stay that glibc does not list as extras (iconvdata/gconv-modules), since Python converts without iconv.
_UNWANTED = re.compile(
    r"usr/share/(applications|bash-completion|bug|doc-base|gcc|gdb|info|lintian|linda|locale|man|menu|perl5|pixmaps)(/|$)"
    r"|usr/share/doc/[^/]+/(?!copyright$)"
    r"|usr/share/zoneinfo/(posix|right)(/|$)"
    r"|usr/lib/python3[^/]*/(ensurepip|idlelib|pydoc_data|test|turtledemo|\w+/tests?)(/|$)"
    r"|usr/lib/[^/]+/gconv/(?!gconv-modules|(ANSI_X3\.110|CP1252|ISO8859-15?|UNICODE|UTF-\d+)\.so$)"
    r"|etc/rmt$"  # leads to a program that only a script would choose
    r"|var/(cache|log)/|var/(lock|run)(/|$)"
)


def is_wanted(path: str) -> bool:
    """Return whether a file or folder of a package belongs into a base; its path has no slash in front."""
    return not _UNWANTED.match(path)


def configure(rootfs: Path, packages: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write what the packages' scripts would have written, had they been run.

    Args:
        rootfs: the system's files, all packages being unpacked.
        packages: their control files ("control", "md5sums"), by the packages' names.
    """
    for name in FOLDERS:
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    for name, target in _links(rootfs):
        path = rootfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_symlink() and not path.exists():
            path.symlink_to(target)
    for name, content in {**_users(rootfs), **_settings(rootfs), **_status(packages)}.items():
        path = rootfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)


def _links(rootfs: Path) -> Iterator[tuple[str, str]]:
    for name in ("bin", "lib", "lib64", "sbin"):
        if (rootfs / "usr" / name).is_dir():
            yield name, f"usr/{name}"
    yield "etc/localtime", "/usr/share/zoneinfo/Etc/UTC"
    yield "etc/os-release", "../usr/lib/os-release"
    yield "usr/bin/awk", "mawk"
    yield "usr/bin/which", "which.debianutils"
    # Where every user of OpenSSL looks; the single certificates' links are made by openssl, which isn't there.
    yield "usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt"
    yield "usr/lib/ssl/certs", "/etc/ssl/certs"
    yield "var/lock", "/run/lock"
    yield "var/run", "/run"


def _users(rootfs: Path) -> dict[str, bytes]:
    """Return the user database as base-passwd sets it up, with no password for any user."""
    master = rootfs / "usr" / "share" / "base-passwd"
    users = (master / "passwd.master").read_text("ascii").splitlines()
    groups = (master / "group.master").read_text("ascii").splitlines()
    lines = {
        "etc/passwd": [line.replace(":*:", ":x:", 1) for line in users],
        "etc/group": [line.replace(":*:", ":x:", 1) for line in groups],
        "etc/shadow": [f"{line.split(':')[0]}:*:::::::" for line in users],
        "etc/gshadow": [f"{line.split(':')[0]}:*::" for line in groups],
    }
    return {name: "".join(f"{line}\n" for line in content).encode() for name, content in lines.items()}


def _settings(rootfs: Path) -> dict[str, bytes]:
    authorities = sorted((rootfs / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    return {
        "etc/nsswitch.conf": (rootfs / "usr/share/libc-bin/nsswitch.conf").read_bytes(),
        "etc/ssl/certs/ca-certificates.crt": b"".join(path.read_bytes().rstrip() + b"\n" for path in authorities),
        "etc/timezone": b"Etc/UTC\n",
    }


def _status(packages: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    """Return the list of what is installed, as scanners look for it in images without dpkg."""
    endings = {"control": "", "md5sums": ".md5sums"}
    return {
        f"var/lib/dpkg/status.d/{name}{endings[kind]}": content
        for name, files in packages.items()
        for kind, content in files.items()
    }
