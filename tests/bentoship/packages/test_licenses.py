"""Licences, as installed packages state them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.image.layer import Entry
from bentoship.packages.installed import Distribution
from bentoship.packages.licenses import license_of

CLASSIFIER = "Classifier: License :: OSI Approved"


@pytest.mark.parametrize(
    ("fields", "license"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: something else", "MIT OR Apache-2.0"),
        (f"License: BSD\n{CLASSIFIER} :: BSD License", "BSD"),
        (f"{CLASSIFIER}\n{CLASSIFIER} :: BSD License", "BSD License"),
        (f"License: UNKNOWN\n{CLASSIFIER} :: MIT License", "MIT License"),
        (f"License: {'Permission is hereby granted. ' * 9}\n{CLASSIFIER} :: MIT License", "MIT License"),
        ("License: The\n        Owner's\n        Own", "The Owner's Own"),
        (f"{CLASSIFIER} :: MIT License\n{CLASSIFIER} :: BSD License", "MIT License, BSD License"),
        (f"License-Expression: {' AND '.join(30 * ['MIT'])}", " AND ".join(30 * ["MIT"])),
        ("Author: Ada", ""),
        ("Author: Ada\n\nLicense: of the description", ""),
    ],
    ids=[
        "expression",
        "field",
        "classifier",
        "unknown",
        "a whole text",
        "two lines",
        "two",
        "long expression",
        "none",
        "in the description",
    ],
)
def test_a_license_is_what_the_metadata_says(fields: str, license: str, tmp_path: Path) -> None:
    """An expression before a name, and a name before a classifier."""
    file = tmp_path / "METADATA"
    file.write_text(f"Metadata-Version: 2.4\nName: tool\n{fields}\n", "utf-8")
    entry = Entry("home/bentoml/.venv/lib/python3.11/site-packages/tool-1.0.dist-info/METADATA", content=file)
    assert license_of(Distribution("tool", "1.0", (entry,))) == license


def test_a_package_without_metadata_states_none() -> None:
    """There are wheels whose list of files is not whole."""
    assert license_of(Distribution("tool", "1.0", ())) == ""
