"""Take the picture of a catalog that the documentation shows: python -m tests.support.picture."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bentoship.commands.catalog_page import Catalog, page
from tests.support.browser import chromium
from tests.support.catalogs import made_up

PICTURE = Path(__file__).parents[2] / "docs" / "catalog.png"


def main() -> None:
    """Take it, of versions of the example as they could be."""
    repository = "europe-west6-docker.pkg.dev/acme/mlops/celestial-bodies-classifier"
    commits = "https://github.com/acme/planets/commit/"
    read = datetime(2026, 10, 12, 8, 30, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as browser:
        file = Path(folder) / "catalog.html"
        file.write_text(page(Catalog(repository, made_up(24), read, {"loss"}, commits)))
        browser.size(1360, 960)
        browser.open(file)
        PICTURE.write_bytes(browser.screenshot())


if __name__ == "__main__":
    main()
