"""What an image says of its container."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.errors import NotVerifiedError, VerifyError
from bentoship.verify.container import User, described

PASSWD = "root:x:0:0::/root:/bin/sh\nbentoml:x:1034:1035::/home/bentoml:/bin/bash\nbroken:x:abc:1::/:/bin/sh\n"
SERVED = {"Entrypoint": ["/bin/serve"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of an image."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "root" / "etc" / "group").write_text("root:x:0:\nstars:x:50:\n")
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("named", "user"),
    [
        ("bentoml", User(1034, 1035, "/home/bentoml")),
        ("1034", User(1034, 1035, "/home/bentoml")),
        ("1034:7", User(1034, 7, "/home/bentoml")),
        ("bentoml:stars", User(1034, 50, "/home/bentoml")),
        ("5000:5001", User(5000, 5001, "/")),
        ("", User(0, 0, "/root")),
    ],
)
def test_the_user_is_looked_up_in_the_image(root: Path, named: str, user: User) -> None:
    """By name or id, with a group or without."""
    assert described(root, {**SERVED, "User": named}).user == user


@pytest.mark.parametrize("named", ["nosuch", "-5", "99999999999", "broken", "bentoml:nosuch", "²"])
def test_a_user_that_is_none_is_refused(root: Path, named: str) -> None:
    """As by engines, in place of running as another user."""
    with pytest.raises(NotVerifiedError, match=named.partition(":")[0]):
        described(root, {**SERVED, "User": named})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"Env": ["KEY=se\0cret"]}, r"its Env \('KEY'\) has a NUL byte"),
        ({"Env": ["KEY=secret\ud800"]}, r"its Env \('KEY'\) has '\\ud800'"),
        ({"Env": ["KEY=" + "x" * 3_000_000]}, r"its Env \('KEY'\) has 3000004 bytes, and Linux takes at most"),
        ({"Env": ["=x"]}, "its Env has a variable without a name$"),
        ({"Entrypoint": ["/bin/serve", "\0"]}, "its Entrypoint has a NUL"),
        ({"Cmd": ["\udfff"]}, "its Cmd has"),
        ({"WorkingDir": "/a\0b"}, "its WorkingDir has a NUL"),
        ({"User": "a\0b"}, "its User has a NUL"),
        ({"WorkingDir": "app"}, "its WorkingDir, 'app', is not absolute"),
        ({"WorkingDir": "/etc/passwd"}, "its WorkingDir, '/etc/passwd', cannot be created: File exists"),
        ({"WorkingDir": "/etc/passwd/app"}, "cannot be created: Not a directory"),
        ({"Entrypoint": None}, "Entrypoint and Cmd are empty"),
        ({"Entrypoint": [], "Cmd": []}, "Entrypoint and Cmd are empty"),
        ({"Entrypoint": [""]}, "name is empty"),
    ],
)
def test_what_cannot_be_started_is_named(root: Path, settings: dict[str, object], said: str) -> None:
    """By the field that is wrong, without the value of a variable."""
    with pytest.raises(VerifyError, match=said) as caught:
        described(root, SERVED | settings)
    assert "secret" not in str(caught.value)


def test_a_missing_working_directory_is_created(root: Path) -> None:
    """As by Docker; below the image's root, wherever its links lead to."""
    (root / "home").symlink_to("/../../etc")
    assert described(root, {**SERVED, "WorkingDir": "/home/bentoml/bento"}).folder == "/home/bentoml/bento"
    assert (root / "etc" / "bentoml" / "bento").is_dir()
