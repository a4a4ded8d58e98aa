"""Versions of an image that nothing was published of: plausible ones, and a stranger's."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.versions.version import Data, Model, Part, Version

_BEGIN = datetime(2026, 9, 1, 9, 30, tzinfo=UTC)
_LEARNED = 24.0
"""Versions after which most is learned."""


def digest(text: str) -> str:
    """A digest."""
    return f"sha256:{hashlib.sha256(repr(text).encode()).hexdigest()}"


def _hex(text: str, count: int) -> str:
    return digest(text)[7 : 7 + count]


def _part(kind: str, number: int, size: int) -> Part:
    return Part(Descriptor(LAYER_GZIP, digest(f"{kind} {number}"), size), kind)


def made_up(count: int) -> list[Version]:
    """Versions of the example as it could have been trained, the newest first; one of them is promoted."""
    chance = random.Random(7)
    found = []
    for number in range(count):
        layers = [
            _part("base", 0, 25_300_000),
            *(_part(f"packages {part}", number // 8, 7_000_000 + 900_000 * part) for part in range(8)),
            _part("model", number, 1_100_000 + chance.randrange(20_000)),
            _part("source", number // 2, 7_900),
        ]
        progress = 1 - 2 ** (-number / min(_LEARNED, max(count / 4, 1)))
        bento, model = _hex(f"bento {number}", 16), _hex(f"model {number}", 16)
        version = Version(
            digest(f"version {number}"),
            [bento, *(["latest"] if number == count - 1 else [])],
            is_ours=True,
            size=sum(layer.descriptor.size for layer in layers),
            platforms=["linux/amd64"],
            layers=layers,
            bento=f"celestial_bodies_classifier:{bento}",
            description="Classifies pictures of celestial bodies",
            base="docker.io/library/python:3.11-slim",
            base_digest=digest(f"base {number // 8}"),
            models=[Model(f"celestial_bodies_classifier_model:{model}", {"framework": "onnx"})],
            metrics={
                "accuracy": round(0.84 + 0.13 * progress + chance.random() / 40, 4),
                "loss": round(0.62 - 0.45 * progress + chance.random() / 15, 4),
            },
            parameters={"epochs": 5 + number % 4 * 5, "lr": 0.0003 if number % 3 else 0.001, "augmentation": True},
            data=[Data("data/raw.dvc", f"md5:{_hex(f'data {number // 5}', 32)}", 96_000_000)],
            created=_BEGIN + timedelta(days=number * 1.7, hours=chance.randrange(9)),
            commit=_hex(f"commit {number}", 40),
            verified=None if number % 4 == 1 else number % 7 != 3,
        )
        found.append(version)
    if count > 2:
        promoted = found[count * 2 // 3]
        found[count * 2 // 3] = replace(promoted, tags=[*promoted.tags, "production"], promoted=["production"])
    return found[::-1]


def strange(text: str) -> Version:
    """A version with a text wherever a stranger can write one."""
    return Version(
        digest(text),
        [text],
        is_ours=True,
        size=1,
        platforms=[text],
        layers=[Part(Descriptor(LAYER_GZIP, digest(f"layer {text}"), 1), text)],
        bento=text,
        description=text,
        base=text,
        base_digest=text,
        models=[Model(text, {text: text})],
        metrics={text: 0.5, "__proto__": 1.0},
        parameters={text: text, "__proto__": text, "constructor": text},
        data=[Data(text, text, 1)],
        commit=text,
        promoted=[text],
        problem=text,
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<!--rows-->",
    "]]>--><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "&lt;b&gt;&#60;i&#62;",
    "\u2028\u2029\u0000\u0007\u001b[31m",
    "\u202egnp.exe\u2066\u200f",
    "\ud800",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "x" * 100_000,
    "{{7*7}}${7*7}",
)
"""Texts that would do harm, or look like something else, where they were taken for more than a text."""
