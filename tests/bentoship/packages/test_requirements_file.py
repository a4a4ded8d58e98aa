"""Requirements files by pip's rules."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pip_requirements_parser as pip
import pytest
from hypothesis import strategies as st

from bentoship.packages.requirements import RequirementsError, text_of, with_includes
from bentoship.packages.requirements_file import flattened, with_constraints
from tests.support.fuzzing import fuzz, texts


def read(folder: Path, **files: str | bytes) -> list[str]:
    """The lines that requirements.txt comes to, among other files."""
    for name, content in files.items():
        file = folder / f"{name}.txt"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return flattened(folder / "requirements.txt").splitlines()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a server of what is in a folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# on C:\\work\\\nsix==1.17.0\nidna\n", ["six==1.17.0", "idna"]),
        ("six==1.17.0  # of C:\\work\\\nidna\n", ["six==1.17.0", "idna"]),
        ("six>=1, \\\n  <2\n", ["six>=1,   <2"]),
        ("a==1 \\\n    --hash=sha256:0f \\\n    --hash=sha256:1f\n", ["a==1 --hash=sha256:0f --hash=sha256:1f"]),
        ("--pre\n--require-hashes\n--no-index\n", ["--pre", "--require-hashes", "--no-index"]),
        ("-i https://h/simple --trusted-host h\n", ["--index-url https://h/simple", "--trusted-host h"]),
        ("tool @ https://h/tool-1.0.zip#egg=tool\r\n", ["tool @ https://h/tool-1.0.zip#egg=tool"]),
        ("Pillow[webp]>=10 ; python_version > '3.8'\n", ["Pillow[webp]>=10 ; python_version > '3.8'"]),
    ],
)
def test_lines_are_read_as_pip_reads_them(tmp_path: Path, text: str, lines: list[str]) -> None:
    """Comments end with their line, even where they end in a backslash; options are written in one way."""
    assert read(tmp_path, requirements=text) == lines


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings_are_told_by_their_marks(tmp_path: Path, encoding: str) -> None:
    """As Windows' editors and shells write them, and by the line of PEP 263; what they include is known as well."""
    text = "# coding: latin-1 für\n-r base.txt\n" if encoding == "latin-1" else "-r base.txt\r\nidna\r\n"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    assert read(tmp_path, base="six==1.15.0\n", requirements=mark + text.encode(encoding))[0] == "six==1.15.0"
    assert [file.name for file in with_includes(tmp_path / "requirements.txt")] == ["requirements.txt", "base.txt"]


@pytest.mark.parametrize("name", ['"my limits.txt"', "my\\ limits.txt", "my limits.txt", "'my limits.txt'"])
def test_included_files_may_have_spaces(tmp_path: Path, name: str) -> None:
    """In quotes or not, for requirements and constraints."""
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "my limits.txt").write_text("six==1.15.0\n")
    file = tmp_path / "a folder" / "requirements.txt"
    file.write_text(f"-r {name}\n--constraint={name}\n")
    assert flattened(file).splitlines() == ["six==1.15.0", f"-c {tmp_path}/a folder/my limits.txt"]
    assert with_constraints(flattened(file), tmp_path) == ("six==1.15.0\n", "six==1.15.0\n")
    assert tmp_path / "a folder" / "my limits.txt" in with_includes(file)


def test_files_are_read_from_addresses(tmp_path: Path, address: str) -> None:
    """Requirements and constraints, and what they name beside themselves; what is missing is said with its line."""
    (tmp_path / "served" / "more.txt").write_text("-r other.txt\nidna\n")
    (tmp_path / "served" / "other.txt").write_text("six\n")
    (tmp_path / "served" / "limits.txt").write_text("--pre\nsix==1.15.0  # why\n")
    lines = read(tmp_path, requirements=f"-r {address}/more.txt\n-c {address}/limits.txt\n")
    assert lines == ["six", "idna", f"-c {address}/limits.txt"]
    assert with_constraints("\n".join(lines), tmp_path) == ("six\nidna\n--pre\n", "six==1.15.0\n")
    with pytest.raises(RequirementsError, match=r"line 2: http.*/none\.txt cannot be downloaded: 404"):
        read(tmp_path, requirements=f"six\n-r {address}/none.txt\n")


def test_folders_of_packages_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    """As pip has it; uv gets an address where there is a space."""
    (tmp_path / "the wheels").mkdir()
    (tmp_path / "wheels").mkdir()
    lines = read(tmp_path, requirements='--find-links ./wheels\n-f "the wheels"\n-f https://h/wheels\n')
    assert lines == [
        f"--find-links {tmp_path}/wheels",
        f"--find-links file://{tmp_path}/the%20wheels",
        "--find-links https://h/wheels",
    ]


def test_variables_are_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But those of an address, which uv completes: a token gets into no file."""
    monkeypatch.setenv("SIX", "1.15.0")
    monkeypatch.setenv("TOKEN", "s3cr3t")
    lines = read(tmp_path, requirements="six==${SIX}\n--index-url https://u:${TOKEN}@h/simple\n")
    assert lines == ["six==1.15.0", "--index-url https://u:${TOKEN}@h/simple"]
    monkeypatch.delenv("TOKEN")
    with pytest.raises(RequirementsError, match=r"line 2: \$\{TOKEN\} is not set"):
        read(tmp_path, requirements="six\n--index-url https://u:${TOKEN}@h/simple\n")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("six=1.0", "Invalid requirement"),
        ("--unknown", "no such option: --unknown"),
        ("six --pre", "an option that cannot follow a requirement: --pre"),
        ("-r none.txt", "none.txt cannot be read: No such file"),
        ('-r "none.txt', "No closing quotation"),
        ("six \\ ", "Invalid requirement"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, why: str) -> None:
    """Of the file that has the line, where one includes another."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequirementsError) as caught:
        read(tmp_path, base=f"# first\n{line}\n", requirements="-r base.txt\n")
    assert str(caught.value).startswith(f"base.txt, line 2: {why}")


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    """Each is read once in a row."""
    assert read(tmp_path, other="-r requirements.txt\nsix\n", requirements="-r other.txt\nidna\n") == ["six", "idna"]


LINES = st.sampled_from(
    [
        "six",
        "idna==3.1",
        "a[b]>=1 ; python_version > '3'",
        "# x",
        "\\",
        "--hash=sha256:0f",
        "--pre",
        "-e .",
        "-i http://h",
    ]
)


@fuzz(st.lists(LINES | texts("-= \\#'\"[];@:/.${}AB"), max_size=5).map("\n".join))
def test_any_file_is_read_as_pip_reads_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Or refused with the line."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed-requirements"
    folder.mkdir(exist_ok=True)
    file = folder / "requirements.txt"
    file.write_bytes(text.encode("utf-8"))
    try:
        lines = flattened(file).splitlines()
    except RequirementsError:
        return
    # pip goes on after a comment that ends in a backslash, and leaves variables that are not set as they are.
    if "\\" not in text and "$" not in text:
        parsed = pip.RequirementsFile.from_file(str(file))
        names = [one.name for one in parsed.requirements if one.name and not one.is_editable]
        ours = [pip.build_install_req(line).name for line in lines if not line.startswith("-")]
        assert [name for name in ours if name] == names


@fuzz(st.binary(max_size=60) | texts("# coding: zipundefined idna\n").map(str.encode))
def test_any_bytes_are_a_text_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever encoding they claim to have."""
    file = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    file.write_bytes(content)
    with suppress(RequirementsError):
        flattened(file)
    text_of(file)


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("--no-binary a,B_c\n--only-binary=d\n", ["--only-binary d", "--no-binary a", "--no-binary b-c"]),
        ("--only-binary a,b\n--no-binary a\n", ["--only-binary b", "--no-binary a"]),
        ("--no-binary a\n--only-binary :all:\n--no-binary b\n", ["--only-binary :all:", "--no-binary b"]),
        ("--only-binary a\n--only-binary :none:,b\n", ["--only-binary b"]),
        ("--no-binary a\n--prefer-binary\n", ["--only-binary :all:", "--no-binary a"]),
    ],
)
def test_what_is_said_of_wheels_is_what_pip_makes_of_it(tmp_path: Path, text: str, formats: list[str]) -> None:
    """The later option counts; wheels that are preferred are taken alone."""
    plain, _ = with_constraints(f"{text}six\n", tmp_path)
    assert plain.splitlines() == ["six", *formats]
    assert with_constraints(plain, tmp_path)[0] == plain


def test_settings_of_uv_say_what_is_built_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the requirements."""
    monkeypatch.setenv("UV_NO_BINARY_PACKAGE", "a")
    assert with_constraints("--only-binary a\nsix\n", tmp_path) == ("six\n--no-binary a\n", "")
    monkeypatch.setenv("UV_NO_BINARY", "1")
    with pytest.raises(RequirementsError, match="UV_NO_BINARY"):
        with_constraints("six\n", tmp_path)


def test_to_build_all_packages_is_refused(tmp_path: Path) -> None:
    """With the file and the line: a list names what has to be built."""
    (tmp_path / "more.txt").write_text("six\n--no-binary :all:\n", "utf-8")
    with pytest.raises(RequirementsError, match=r"more\.txt, line 2: --no-binary :all: is not supported"):
        flattened(tmp_path / "more.txt")
