"""Documents that anyone may have written."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import strategies as st

from bentoship.system.documents import DOCUMENT, read_bytes, read_text, read_yaml
from tests.support.fuzzing import fuzz, texts

LOADERS = {"in Python": yaml.SafeLoader, "in C": getattr(yaml, "CSafeLoader", yaml.SafeLoader)}

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10))

BOMBS = {
    "aliases": (LAUGHS, "more than 100,000 values"),
    "merges": (MERGES, "more than 100,000 values"),
    "itself": ("a: &a [1, {b: *a}]", "without an end"),
    "many values": ("[" + "1," * 100_000 + "]", "more than 100,000 values"),
    "deep lists": ("- " * 400_000, "more than 100 deep"),
    "deep brackets": ("[" * 400_000, "more than 100 deep"),
    "deep mappings": ("".join(f"{' ' * n}a:\n" for n in range(200)), "more than 100 deep"),
    "no such type": ("!!bool nonsense", "not of its type"),
    "no such time": ("!!timestamp nonsense", "not of its type"),
    "a number without an end": ("1" * 10_000, "integer string"),
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(("text", "why"), BOMBS.values(), ids=BOMBS)
def test_a_yaml_bomb_is_refused(tmp_path: Path, text: str, why: str, loader: type[yaml.SafeLoader]) -> None:
    """With what is wrong, before it is built in memory; PyYAML's parser in C would end the process for some."""
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    with pytest.raises((ValueError, yaml.YAMLError), match=why):
        read_yaml(tmp_path / "a.yaml", loader)


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [1, two, 3.0, null, {b: c}]",
        "base: &base {x: [1, 2], y: 3}\nmore: {<<: *base, z: *base}\nlast: *base",
        "&a a: *a",
    ],
)
def test_yaml_is_read_as_pyyaml_does(tmp_path: Path, text: str, loader: type[yaml.SafeLoader]) -> None:
    """Aliases and merges included, as people use them."""
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    assert read_yaml(tmp_path / "a.yaml", loader) == yaml.safe_load(text)


def test_line_ends_are_those_of_python(tmp_path: Path) -> None:
    """However a file has them."""
    (tmp_path / "a").write_bytes("\ufeffa\r\nb\rc\n".encode())
    assert read_text(tmp_path / "a", encoding="utf-8-sig") == "a\nb\nc\n"
    assert read_text(tmp_path / "a") == (tmp_path / "a").read_text("utf-8")


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    """Neither a file nor something without an end; the error names it."""
    file = tmp_path / "large"
    file.write_bytes(bytes(DOCUMENT))
    assert len(read_bytes(file)) == DOCUMENT
    file.write_bytes(bytes(DOCUMENT + 1))
    with pytest.raises(OSError, match="larger than") as caught:
        read_text(file)
    assert caught.value.filename == str(file)
    if sys.platform.startswith("linux"):
        with pytest.raises(OSError, match="larger than"):
            read_bytes(Path("/dev/zero"))


PARTS = st.sampled_from(
    ["a: ", "- ", "&a ", "*a", "<<: ", "!!int ", "!!timestamp ", "!!set ", "!!omap ", "{", "}", "\n", "? "]
)


@fuzz(st.lists(PARTS | texts("[]{}:,-&*!|>'\"%@` \n"), max_size=8).map("".join))
def test_any_text_is_yaml_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """In Python as in C."""
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_text(text, "utf-8")
    for loader in LOADERS.values():
        with suppress(ValueError, yaml.YAMLError):
            read_yaml(file, loader)
