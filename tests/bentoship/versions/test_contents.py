"""What the manifest or index under a tag is, as far as it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bentoship.image.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from bentoship.versions.contents import Named, version_of

DIGEST = f"sha256:{'a' * 64}"
OF = {"mediaType": MANIFEST, "digest": DIGEST, "size": 2}
ENTRY = {"mediaType": MANIFEST, "digest": f"sha256:{'b' * 64}", "size": 2}
IMAGE = {"config": {"mediaType": CONFIG}, "layers": []}


def named(document: dict[str, Any], tag: str = "v1", kind: str = MANIFEST) -> Named:
    """A document under a tag."""
    content = json.dumps(document).encode()
    return Named(Descriptor.of(kind, content), content, (tag,))


@pytest.mark.parametrize(
    "found",
    [
        named(IMAGE),
        named({"layers": []}),
        named({"manifests": [ENTRY]}, kind=INDEX),
        named({"manifests": [ENTRY, {**ENTRY, "artifactType": "application/x"}]}, kind=INDEX),
        Named(None, b"", ("v1",), "it cannot be read"),
    ],
)
def test_an_image_is_one(found: Named) -> None:
    """Or an index of images, artifacts beside them or not; what cannot be read may be one."""
    assert found.is_image


@pytest.mark.parametrize(
    ("found", "nature"),
    [
        (named(IMAGE, f"{DIGEST.replace(':', '-')}.sig"), f"a part of {DIGEST}"),
        (named({**IMAGE, "subject": OF}), f"a part of {DIGEST}"),
        (named({"manifests": [ENTRY], "subject": OF}, kind=INDEX), f"a part of {DIGEST}"),
        (named({**IMAGE, "artifactType": "application/x", "subject": OF}), "application/x"),
        (named({"config": {"mediaType": "application/y"}, "layers": []}), "application/y"),
        (named({"manifests": [ENTRY], "artifactType": "application/z"}, kind=INDEX), "application/z"),
        (named({"manifests": [{**ENTRY, "artifactType": "application/x"}]}, kind=INDEX), "a list of artifacts"),
        (named({"config": {"mediaType": 7}, "layers": []}), "an artifact of an unknown kind"),
    ],
)
def test_anything_else_says_what_it_is(found: Named, nature: str) -> None:
    """By its type, by the image that it belongs to, or by its tag, as cosign has them."""
    assert not found.is_image
    assert found.nature == nature


def test_an_index_of_too_many_images_is_not_read() -> None:
    """Each of them would be a request."""
    entries = [{**ENTRY, "platform": {"os": "linux", "architecture": f"a{number}"}} for number in range(101)]
    assert len(named({"manifests": entries[1:]}, kind=INDEX).images) == 100
    with pytest.raises(ValueError, match="the index lists 101 images"):
        _ = named({"manifests": entries}, kind=INDEX).images


def test_an_index_without_an_image_has_a_problem() -> None:
    """It is listed, and says why there is nothing to run."""
    found = version_of(named({"manifests": []}, kind=INDEX), {}, [], ["production"])
    assert (found.problem, found.promoted) == ("its index has no image for any platform", ("production",))
