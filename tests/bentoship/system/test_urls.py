"""Addresses without users, passwords, tokens and signatures."""

import pytest
from hypothesis import strategies as st

from bentoship.system.urls import with_variables, without_passwords, without_secrets
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
        ("https://ann@sha256:80/x", "https://sha256:80/x"),
        (f"bentoship://stars@sha256:{'a' * 64} is", f"bentoship://stars@sha256:{'a' * 64} is"),
        (f"https://ann@sha256:{'a' * 64}@host", f"https://sha256:{'a' * 64}@host"),
        ("ann@example.com wrote 'a://b' and c@d", "ann@example.com wrote 'a://b' and c@d"),
    ],
)
def test_user_and_password_are_removed(text: str, expected: str) -> None:
    """Of each URL in a text, and nothing else."""
    assert without_secrets(text) == expected


SAS = "sv=2022-11-02&ss=b&srt=o&sp=r&se=2026-01-01T00:00:00Z&spr=https&sig=a%2Fb%3D"
AMAZON = "X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA%2F1&X-Amz-Date=2026&X-Amz-Security-Token=t&X-Amz-Signature=ff"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://a.blob.core.windows.net/c/w.whl?{SAS}", "https://a.blob.core.windows.net/c/w.whl"),
        (f"https://h/w.whl?version=3&{SAS}#sha256=1", "https://h/w.whl?version=3#sha256=1"),
        (f"https://b.s3.amazonaws.com/k?versionId=9&{AMAZON}", "https://b.s3.amazonaws.com/k?versionId=9"),
        ("https://h/k?X-Goog-Credential=a&X-Goog-Expires=9&x-goog-signature=ff", "https://h/k"),
        ("https://h/k?AWSAccessKeyId=a&Signature=b&Expires=1&x=2", "https://h/k?x=2"),
        ("https://h/k?access_token=a&refreshToken=b&password=c&api_key=d&q=1", "https://h/k?q=1"),
        ("https://u:p@h/simple/?pass%77ord=a&auth=b&jwt=c", "https://h/simple/"),
        ("(see https://h/?token=abc).", "(see https://h/)."),
        ("Max retries exceeded with url: /simple/?token=a?b&page=2 (Caused by", "/simple/?page=2 (Caused by"),
        (r'{"u":"https://h/?a=1\u0026token=t"} <a href="/?b=1&amp;sig=t">', r'{"u":"https://h/?a=1"} <a href="/?b=1">'),
        ("https://h/callback#access_token=a&state=1", "https://h/callback#state=1"),
        ("t @ https://h/t.whl?sig=a#sha256=1 ; os_name == 'nt'", "t @ https://h/t.whl#sha256=1 ; os_name == 'nt'"),
        ("https://h/?token=${TOKEN}", "https://h/"),
        ("https://h/?key=AIzaSyA-0123456789abcdef", "https://h/"),
    ],
)
def test_tokens_and_signatures_are_removed(text: str, expected: str) -> None:
    """With what belongs to a signature, and whether the URL is a whole one or not."""
    assert without_secrets(text).removeprefix("Max retries exceeded with url: ") == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://h/simple/?page=2&sp=1&se=2&author=ann&expires=1",
        "https://h/?key=models/a.bin&keyboard=de&tokens_max=3&token=",
        "is it? no: a token=abc, password = x",
        "# token",
        "git+https://h/tool.git@1.0#egg=tool&subdirectory=x",
    ],
)
def test_other_queries_stay(text: str) -> None:
    """Also where parameters of a signature stand without one."""
    assert without_secrets(text) == text
    assert with_variables(text) == (text, {})


PASSWORDS = st.text(st.characters(exclude_characters="/?#'\"`<>", exclude_categories=["Z", "C"]), min_size=9)


@fuzz(
    texts("ab @:/'\" "), st.sampled_from(["https", "git+https", "ssh", "HTTP"]), st.sampled_from(["", "u"]), PASSWORDS
)
def test_a_password_in_an_address_never_stays(before: str, scheme: str, user: str, password: str) -> None:
    """Whatever is around it."""
    text = f"{before} {scheme}://{user}:{password}@host/path {before}"
    assert without_secrets(text).count(password) < text.count(password)
    assert without_secrets(without_secrets(text)) == without_secrets(text)


TOKENS = st.text(st.characters(exclude_characters="#&'\"`<>", exclude_categories=["Z", "C"]), min_size=9)


@fuzz(texts("ab ?&=#/'\" "), st.sampled_from(["token", "sig", "X-Amz-Signature", "X_PASSWORD"]), TOKENS)
def test_a_token_in_a_query_never_stays(before: str, name: str, token: str) -> None:
    """Whatever is around it."""
    text = f"{before} https://host/path?a=1&{name}=0{token}0 {before}"
    assert f"0{token}0" not in without_secrets(text)
    assert without_secrets(without_secrets(text)) == without_secrets(text)


def test_tokens_are_replaced_by_variables() -> None:
    """By the same ones whatever they are, and each with its own name; one in a variable stays."""
    text = "https://{}@h/x?a=1&sig={}&st=2\nhttps://h/y?token={}#sha256=1\nhttps://h/?token=${{TOKEN}}\n"
    first, values = with_variables(text.format("ann:1", "s%2F1", "t1"))
    second, others = with_variables(text.format("ann:2", "s%2F2", "t2"))
    assert first == second
    assert sorted(values.values()) == ["2", "ann:1", "s%2F1", "t1"]
    assert {**values, **others} == dict(others)
    assert without_passwords(first) == first
    completed = first
    for name, value in values.items():
        completed = completed.replace(f"${{{name}}}", value)
    assert completed == text.format("ann:1", "s%2F1", "t1")


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
