"""Addresses without users and passwords."""

import pytest
from hypothesis import strategies as st

from bentoship.system.urls import with_variables, without_passwords, without_user_info
from tests.support.fuzzing import fuzz, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ann:correct-horse@pypi.example.com/simple", "https://pypi.example.com/simple"),
        ("https://token@github.com/a/b.git@v1", "https://github.com/a/b.git@v1"),
        ("see HTTP://ann:p@ss:word@host:80, and https://host/x@y", "see HTTP://host:80, and https://host/x@y"),
        ("tool @ git+https://ann:pw@host/tool.git@1.0", "tool @ git+https://host/tool.git@1.0"),
        ("git+ssh://git@host/tool.git", "git+ssh://git@host/tool.git"),
        ("ssh://git:pw@host/tool.git", "ssh://git@host/tool.git"),
        ("https://:pw@host", "https://host"),
        ("ann@example.com wrote 'a://b' and c@d", "ann@example.com wrote 'a://b' and c@d"),
    ],
)
def test_user_and_password_are_removed(text: str, expected: str) -> None:
    """Of each URL in a text, and nothing else."""
    assert without_user_info(text) == expected


PASSWORDS = st.text(st.characters(exclude_characters="/?#'\"`<>", exclude_categories=["Z", "C"]), min_size=9)


@fuzz(
    texts("ab @:/'\" "), st.sampled_from(["https", "git+https", "ssh", "HTTP"]), st.sampled_from(["", "u"]), PASSWORDS
)
def test_a_password_in_an_address_never_stays(before: str, scheme: str, user: str, password: str) -> None:
    """Whatever is around it."""
    text = f"{before} {scheme}://{user}:{password}@host/path {before}"
    assert without_user_info(text).count(password) < text.count(password)
    assert without_user_info(without_user_info(text)) == without_user_info(text)


def test_passwords_are_replaced_by_variables() -> None:
    """By the same ones whatever the password is; a variable stays, and so does what SSH gets."""
    text = (
        "--index-url https://{}@h/simple\ntool @ https://ann:${{TOKEN}}@h/t.whl\nx @ git+https://{}@h/x\n"
        "ssh://git@h/y\nz @ git+ssh://git@h/z\n"
    )
    found, values = with_variables(text.format("ann:one", "ann:two"))
    again, others = with_variables(text.format("ann:three", "ann:four"))
    assert found == again
    assert (list(values.values()), list(others.values())) == (["ann:one", "ann:two"], ["ann:three", "ann:four"])
    assert found == text.format(*(f"${{{name}}}" for name in values))
    assert without_passwords(found) == found


def test_a_variable_is_the_same_however_it_is_written() -> None:
    """In a line of requirements, and in a list of bentofile.yaml."""
    address = "https://ann:one@h/simple"
    assert with_variables(f"-i {address}\n")[1] == with_variables(str({"index_url": address, "packages": []}))[1]
