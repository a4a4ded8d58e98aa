"""What publishing is found to have done, on a side that does nothing but push."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Run
from benchmarks.registry import Registry, running
from benchmarks.sides import EXAMPLE, Side
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import image_of
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support.cache import needs_apt

pytestmark = needs_apt


class Pushing(Side):
    """Its images have the given content as their one layer; it takes two commands to push one."""

    name = "pushing"
    content = b"a layer"

    def _publish(self, project: Path, repository: str) -> Iterator[Run]:
        store = RegistryStore(ImageReference(self.registry.host, repository), push=True)
        layer = Descriptor.of(LAYER_TAR, self.content)
        image = image_of([Layer(layer, layer.digest, "content", "base")], {}, "linux/amd64", {})
        for descriptor, content in ((layer, self.content), (image.config_descriptor, image.config)):
            if not store.exists(descriptor):
                store.write(descriptor, io.BytesIO(content), lambda _: None)
        yield Run(1, memory=10, tree=20, output="")
        store.write(image.descriptor, io.BytesIO(image.manifest), lambda _: None)
        store.tag(image.descriptor, "latest")
        yield Run(2, memory=30, tree=40, output="")


def side(folder: Path, registry: Registry) -> Pushing:
    """A side that has forgotten all."""
    made = Pushing(folder, registry)
    made.forget()
    return made


def test_commands_add_up(tmp_path: Path) -> None:
    """Their times do; of what they held the most counts."""
    with running(tmp_path / "registry") as registry:
        done = side(tmp_path / "side", registry).publish()
    assert (done.seconds, done.memory, done.tree) == (3, 30, 40)


def test_what_is_sent_is_told_apart(tmp_path: Path) -> None:
    """What is there is not sent; a layer that a second project sends is sent again; a new one is not."""
    with running(tmp_path / "registry") as registry:
        one = side(tmp_path / "side", registry)
        size = len(one.content)
        first, again = one.publish(), one.publish()
        assert (first.layers, first.again, first.same) == (size, 0, False)
        assert (again.layers, again.again, again.same) == (0, 0, True)
        one.add_project("second")
        second = one.publish("second")
        assert (second.layers, second.again) == (size, size)
        one.content = b"another layer"
        changed = one.publish()
        assert (changed.layers, changed.again, changed.same) == (len(one.content), 0, False)
        assert changed.sent > changed.layers


def test_who_forgets_begins_anew(tmp_path: Path) -> None:
    """Nothing is known, and all is sent for the first time."""
    with running(tmp_path / "registry") as registry:
        one = side(tmp_path / "side", registry)
        first = one.publish(EXAMPLE)
        assert one.is_warm
        one.forget()
        assert not one.is_warm
        assert one.publish(EXAMPLE) == first
