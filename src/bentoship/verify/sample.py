"""A service's sample request and its expected response."""

import errno
import json
import math
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import urllib3
import yaml
from urllib3.filepost import encode_multipart_formdata

from bentoship.errors import VerifyError, reason
from bentoship.system.documents import read_bytes, read_yaml
from bentoship.system.git import nearest
from bentoship.system.text import size
from bentoship.system.values import dataclass

_TIMEOUT = 120.0
_MOST = 64 << 20
"""The bytes that a response or a file of a request may have."""
_STATUS = re.compile("[1-5][0-9][0-9]")
_KEYS = {"path", "method", "headers", "json", "form", "files", "status", "answer"}
_NOTHING = object()


class _Loader(yaml.SafeLoader):
    """Reads YAML as JSON has it: a date is a text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {  # noqa: RUF012  # as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Answer:
    """A service's response: its HTTP status and body."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """Return the body's text."""
        return self.body.decode("utf-8", "replace")

    @property
    def content(self) -> Any:
        """Return the body's JSON, else its text."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return self.text


@dataclass(frozen=True)
class Sample:
    """A request and its expected response.

    Args:
        path: the path of the request, "/predict".
        method: the HTTP method.
        headers: the headers of the request, including those for its body.
        body: the body of the request; None for none.
        status: the expected status.
        expected: what the response's JSON has to contain, or its whole text; `...` accepts anything.
    """

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    status: int = 200
    expected: Any = ...

    def send(self, address: str) -> Answer:
        """Send the request to the service at an address.

        A redirect is an answer like any other: it may lead out of the sandbox.

        Raises: OSError when there is no response, a part of one, or a large one.
        """
        headers = {"Accept": "*/*", **self.headers}
        options: dict[str, Any] = {"redirect": False, "retries": False, "timeout": _TIMEOUT, "preload_content": False}
        try:
            with urllib3.PoolManager() as pool:
                response = pool.request(self.method, address + self.path, body=self.body, headers=headers, **options)
                return Answer(response.status, _body_of(response))
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise OSError(str(error)) from error

    def check(self, answer: Answer) -> None:
        """Raise VerifyError, with both, when the response differs from the expected one."""
        # A text may look like JSON: a service that answers with the text 3.13 does not answer with a number.
        is_expected = self.expected in (..., answer.text) or holds(answer.content, self.expected)
        if answer.status != self.status or not is_expected:
            expected = f"{self.status} {shown(self.expected)}" if self.expected is not ... else str(self.status)
            raise VerifyError(
                f"Check the response to {self.method} {self.path}",
                f"it is {answer.status} {shown(answer.content)} instead of {expected}",
            )


def _body_of(response: urllib3.BaseHTTPResponse) -> bytes:
    body = response.read(_MOST + 1)
    if len(body) > _MOST:
        raise OSError(errno.EFBIG, f"it is larger than {size(_MOST)}")
    return body


def project_sample(project: Path, named: Path | None) -> Sample | None:
    """Return a project's sample request; None when it has none.

    Args:
        project: the project's folder.
        named: the file, relative to that folder; None for model/verify.yaml there or in a parent, if it exists.

    Raises: VerifyError as `read_sample` does.
    """
    files = [project / named.expanduser()] if named else nearest(project, "model/verify.yaml")
    return read_sample(files[0]) if files else None


def read_sample(file: Path) -> Sample:
    """Read a sample request from a YAML file: path, method, headers, either json or form/files, status, answer.

    Paths of files are relative to the folder of the YAML file.

    Raises: VerifyError when it cannot be read or parsed.
    """
    try:
        content = read_yaml(file, _Loader)
        if not isinstance(content, dict) or not str(content.get("path", "")).startswith("/"):
            raise ValueError("it needs a path that begins with /, such as /predict")
        if unknown := sorted(map(str, set(content) - _KEYS)):
            raise ValueError(f"{', '.join(unknown)} is unknown; known are {', '.join(sorted(_KEYS))}")
        _check_json(content)
        headers, body = _body(content, file.parent)
        status = str(content.get("status", 200))
        if not _STATUS.fullmatch(status):
            raise ValueError(f"status is {status}, but has to be a number such as 200")
        return Sample(
            path=content["path"],
            method=str(content.get("method") or ("GET" if body is None else "POST")).upper(),
            headers={**headers, **{str(name): str(value) for name, value in _mapping(content, "headers").items()}},
            body=body,
            status=int(status),
            expected=content.get("answer", ...),
        )
    except (OSError, ValueError, yaml.YAMLError) as error:
        beside = f"{error.filename}: " if isinstance(error, OSError) and error.filename != str(file) else ""
        raise VerifyError(
            f"Read the sample request {file}",
            f"{beside}{reason(error)}",
            "docs/verify.md of bentoship describes the format of this file.",
        ) from error


def _check_json(content: object) -> None:
    """Raise ValueError for a value that JSON does not have, such as a set of YAML's."""
    try:
        json.dumps(content)
    except TypeError as error:
        raise ValueError("it has a value that JSON does not have") from error


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[Any, Any]:
    """Return what a key holds, {} without it. Raises ValueError unless it is a mapping."""
    found = content.get(name) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{name} has to be a mapping, as in {name}: {{name: value}}")
    return found


def _body(content: Mapping[str, Any], folder: Path) -> tuple[dict[str, str], bytes | None]:
    """Return the headers for a request's body, and the body or None. Raises OSError and ValueError."""
    form, files = _mapping(content, "form"), _mapping(content, "files")
    if "json" in content:
        if form or files:
            raise ValueError("it has both json and form or files; only one of them can be the body")
        return {"Content-Type": "application/json"}, json.dumps(content["json"]).encode()
    if not form and not files:
        return {}, None
    fields: list[tuple[str, Any]] = [(str(name), str(value)) for name, value in form.items()]
    for name, value in files.items():
        file = folder / str(value)
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        fields.append((str(name), (file.name, read_bytes(file, _MOST), media_type)))
    body, content_type = encode_multipart_formdata(fields)
    return {"Content-Type": content_type}, body


def holds(answer: Any, expected: Any) -> bool:
    """Return whether an answer contains what is expected; floats may differ by 0.001, as between processors."""
    if isinstance(expected, dict):
        return isinstance(answer, dict) and all(
            holds(answer.get(str(key), _NOTHING), value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(answer, list) and len(answer) == len(expected) and all(map(holds, answer, expected))
    if isinstance(expected, float) and isinstance(answer, int | float) and not isinstance(answer, bool):
        return math.isclose(answer, expected, rel_tol=1e-3, abs_tol=1e-3)
    return bool(answer == expected and isinstance(answer, bool) == isinstance(expected, bool))


def shown(content: Any) -> str:
    """Return a content on one line of at most 300 characters."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:300]}…"
