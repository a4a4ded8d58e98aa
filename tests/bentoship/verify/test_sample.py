"""Sample requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import VerifyError
from bentoship.verify.sample import Answer, Sample, holds, project_sample, read_sample
from tests.support.servers import answering


def write(folder: Path, text: str) -> Path:
    """A sample request's file."""
    file = folder / "verify.yaml"
    file.write_text(text, "utf-8")
    return file


def test_files_and_fields_make_a_form(tmp_path: Path) -> None:
    """Files lie beside the request; each part says what it is."""
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8picture")
    sample = read_sample(write(tmp_path, "path: /predict\nfiles: {image: a.jpg}\nform: {mode: fast}\n"))
    assert (sample.method, sample.path, sample.expected) == ("POST", "/predict", ...)
    assert sample.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert sample.body
    assert b'name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8picture\r\n' in sample.body
    assert b'name="mode"\r\n\r\nfast\r\n' in sample.body


def test_json_is_sent_as_such(tmp_path: Path) -> None:
    """With method, headers, status and answer of one's own."""
    text = "path: /x\nmethod: put\nheaders: {X-One: 1}\njson: {a: [1]}\nstatus: 201\nanswer: done\n"
    sample = read_sample(write(tmp_path, text))
    headers = {"Content-Type": "application/json", "X-One": "1"}
    assert sample == Sample("/x", "PUT", headers, b'{"a": [1]}', 201, "done")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "path"),
        ("path: predict", "begins with /"),
        ("path: /x\nanwser: 1", "anwser is unknown"),
        ("path: /x\nfiles: {image: nowhere.jpg}", r"yaml: \S+/nowhere\.jpg: No such file"),
        ("path: /x\njson: 1\nform: {a: b}", "only one"),
        ("path: [", "YAML|flow|parsing"),
        ("path: /x\nfiles: 3", "files has to be a mapping"),
        ("path: /x\nform: [a]", "form has to be a mapping"),
        ("path: /x\nheaders: a", "headers has to be a mapping"),
        ("path: /x\nstatus: fine", "status is fine, but has to be a number such as 200"),
        ("path: /x\nstatus: .inf", "status is inf, but"),
        ("path: /x\nstatus: 20", "status is 20, but"),
        ("path: /x\nanswer: !!set {a}", "a value that JSON does not have"),
        ("path: /x\njson: {a: !!binary aGk=}", "a value that JSON does not have"),
        ("path: /x\njson: &a [*a]", "without an end"),
        ("path: /x\njson: " + "[" * 1000, "nested more than"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, message: str) -> None:
    """With the file, and where to read on."""
    with pytest.raises(VerifyError, match=message) as caught:
        read_sample(write(tmp_path, text))
    assert "verify.yaml" in str(caught.value)


def test_the_usual_file_need_not_be_there(tmp_path: Path) -> None:
    """It may lie in a parent within the repository. One that a setting names has to be there."""
    assert project_sample(tmp_path, None) is None
    with pytest.raises(VerifyError, match=r"nowhere\.yaml: No such file"):
        project_sample(tmp_path, Path("nowhere.yaml"))
    (tmp_path / "model").mkdir()
    write(tmp_path / "model", "path: /x\n")
    assert project_sample(tmp_path, None) == Sample("/x")
    (tmp_path / "echo").mkdir()
    assert project_sample(tmp_path / "echo", None) is None
    (tmp_path / ".git").mkdir()
    assert project_sample(tmp_path / "echo", None) == Sample("/x")


def test_a_date_is_a_text(tmp_path: Path) -> None:
    """As in the JSON of an answer; YAML has a type for it, which cannot be compared or shown."""
    sample = read_sample(write(tmp_path, "path: /x\njson: {day: 2024-01-01}\nanswer: {day: 2024-01-02}\n"))
    assert sample.body == b'{"day": "2024-01-01"}'
    sample.check(Answer(200, b'{"day": "2024-01-02"}'))
    with pytest.raises(VerifyError, match=r'instead of 200 {"day": "2024-01-02"}'):
        sample.check(Answer(200, b'{"day": "2024-01-03"}'))


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 2}]}}, True),
        ([1, 2], [1], False),
        (0.97411, 0.9745, True),
        (0.97, 0.98, False),
        (True, 1, False),
        (None, {"a": 1}, False),
        ("text", "text", True),
        ({}, {"a": None}, False),
    ],
)
def test_what_is_expected_has_to_be_there(answer: Any, expected: Any, same: bool) -> None:
    """An answer may hold more; numbers may differ a little."""
    assert holds(answer, expected) is same


def test_an_answer_is_asked_for_and_compared() -> None:
    """Over HTTP; another answer or status is shown beside what was expected."""
    with answering(404, body=b'{"error": "none"}') as server:
        answer = Sample("/x", status=404, expected={"error": "none"}).send(f"http://{server.host}")
    assert answer == Answer(404, b'{"error": "none"}')
    Sample("/x", status=404, expected={"error": "none"}).check(answer)
    with pytest.raises(VerifyError, match=r'it is 404 {"error": "none"} instead of 200 "?fine'):
        Sample("/x", expected="fine").check(answer)
    with pytest.raises(VerifyError, match=r"instead of 200$"):
        Sample("/x").check(answer)


@pytest.mark.parametrize("text", ["3.13", "true", "null", "[1]", '"quoted"'])
def test_a_text_may_look_like_json(text: str) -> None:
    """One that is expected as a whole is compared as it is; as JSON it is what JSON says."""
    answer = Answer(200, text.encode())
    Sample("/x", expected=text).check(answer)
    Sample("/x", expected=answer.content).check(answer)
    with pytest.raises(VerifyError):
        Sample("/x", expected=f"{text} ").check(answer)


def test_a_redirect_is_not_followed() -> None:
    """It could lead to anything that this machine reaches, with the request's headers."""
    with answering(200, body=b"secret") as other, answering(302, {"Location": f"http://{other.host}/"}) as server:
        assert Sample("/x").send(f"http://{server.host}").status == 302
        assert other.asked == []


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "100"}, {f"X-{n}": "x" for n in range(200)}, {"X": "x" * 70_000}]
)
def test_half_a_response_is_none(headers: dict[str, str]) -> None:
    """Nor is one that is no HTTP, as of a service that speaks something else."""
    with answering(200, headers, b"fine") as server, pytest.raises(OSError, match=r"\w"):
        Sample("/x").send(f"http://{server.host}")
