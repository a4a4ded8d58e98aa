"""The service as its users meet it: running, and asked over HTTP."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from celestial_bodies.sample import draw

BODIES = ["Earth", "Jupiter", "Mars", "Mercury", "Moon", "Neptune", "Pluto", "Saturn", "Uranus", "Venus"]


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def predict(service: httpx.Client, data: bytes) -> httpx.Response:
    """Send bytes as a picture."""
    return service.post("/predict", files={"image": ("picture", data)})


def sixteen_bit(picture: Image.Image) -> Image.Image:
    """The greys of a picture in sixteen bits."""
    return picture.convert("I").point(lambda value: value * 257).convert("I;16")


def orientation(value: int) -> Image.Exif:
    """EXIF data that tell how a camera was held."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


COLOURED: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda saturn: encode(saturn, "JPEG"),
    "progressive JPEG": lambda saturn: encode(saturn, "JPEG", progressive=True),
    "large JPEG": lambda saturn: encode(saturn.resize((3000, 3000)), "JPEG"),
    "CMYK JPEG": lambda saturn: encode(saturn.convert("CMYK"), "JPEG"),
    "JPEG on its side": lambda saturn: encode(saturn.rotate(90), "JPEG", exif=orientation(6)),
    "PNG": lambda saturn: encode(saturn, "PNG"),
    "RGBA PNG": lambda saturn: encode(saturn.convert("RGBA"), "PNG"),
    "palette PNG": lambda saturn: encode(saturn.quantize(64), "PNG"),
    "palette PNG with transparency": lambda saturn: encode(saturn.quantize(64), "PNG", transparency=0),
    "WebP": lambda saturn: encode(saturn, "WEBP"),
    "RGBA WebP": lambda saturn: encode(saturn.convert("RGBA"), "WEBP", lossless=True),
    "wide PNG": lambda saturn: encode(saturn.crop((-256, 0, 512, 256)), "PNG"),
}

GREY: dict[str, Callable[[Image.Image], bytes]] = {
    "grey JPEG": lambda saturn: encode(saturn.convert("L"), "JPEG"),
    "grey PNG": lambda saturn: encode(saturn.convert("L"), "PNG"),
    "grey PNG with alpha": lambda saturn: encode(saturn.convert("LA"), "PNG"),
    "16-bit PNG": lambda saturn: encode(sixteen_bit(saturn), "PNG"),
    "1-bit PNG": lambda saturn: encode(saturn.convert("1"), "PNG"),
    "one pixel": lambda saturn: encode(Image.new("L", (1, 1)), "PNG"),
}

REFUSED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"not a picture",
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
    "GIF": lambda: encode(draw(), "GIF"),
    "TIFF": lambda: encode(draw(), "TIFF"),
    "BMP": lambda: encode(draw(), "BMP"),
    "truncated JPEG": lambda: encode(draw(), "JPEG")[:3000],
    "truncated PNG": lambda: encode(draw(), "PNG")[:3000],
    "truncated WebP": lambda: encode(draw(), "WEBP")[:1000],
    "only a JPEG's first bytes": lambda: b"\xff\xd8\xff",
    "only a PNG's signature": lambda: b"\x89PNG\r\n\x1a\n",
    "bomb": lambda: encode(Image.new("1", (12_000, 12_000)), "PNG"),
    "bigger bomb": lambda: encode(Image.new("1", (20_000, 20_000)), "PNG"),
}


def assert_refused(response: httpx.Response, status: int) -> None:
    """The answer is one sentence that tells what was wrong."""
    assert response.status_code == status
    answer = response.json()
    assert list(answer) == ["error"]
    assert answer["error"].endswith(".")
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("kind", COLOURED)
def test_a_coloured_picture_is_recognised(service: httpx.Client, kind: str) -> None:
    """Saturn is Saturn in every format and mode that keeps its colours."""
    response = predict(service, COLOURED[kind](draw("Saturn")))
    assert response.status_code == 200
    assert response.json()["prediction"] == "Saturn"


@pytest.mark.parametrize("kind", [*COLOURED, *GREY])
def test_the_answer_is_a_distribution(service: httpx.Client, kind: str) -> None:
    """Every picture gets one probability for each of ten bodies, and the likeliest as prediction."""
    response = predict(service, (COLOURED | GREY)[kind](draw("Saturn")))
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"prediction", "probabilities"}
    probabilities = answer["probabilities"]
    assert sorted(probabilities) == BODIES
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert probabilities[answer["prediction"]] == max(probabilities.values())


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_picture_is_refused(service: httpx.Client, kind: str) -> None:
    """Bytes that are no acceptable picture get status 400 and one sentence."""
    assert_refused(predict(service, REFUSED[kind]()), 400)


def test_a_form_without_the_field_is_refused(service: httpx.Client) -> None:
    """A picture in another field gets status 400, though it is a good one."""
    assert_refused(service.post("/predict", files={"picture": encode(draw(), "JPEG")}), 400)


@pytest.mark.parametrize("text", ["hello", "http://127.0.0.1:9/picture.jpg"])
def test_text_in_the_field_is_refused(service: httpx.Client, text: str) -> None:
    """The field must hold a file; an address in it is not fetched."""
    response = service.post("/predict", data={"image": text}, files={"other": b"x"})
    assert_refused(response, 400)


def test_two_pictures_are_refused(service: httpx.Client) -> None:
    """One request asks about one picture."""
    data = encode(draw(), "JPEG")
    assert_refused(service.post("/predict", files=[("image", data), ("image", data)]), 400)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_malformed_form_is_refused(service: httpx.Client, content_type: str) -> None:
    """A body that is no form gets status 400, with or without a boundary."""
    assert_refused(service.post("/predict", content=b"nonsense", headers={"content-type": content_type}), 400)


@pytest.mark.parametrize("content_type", ["application/json", "image/jpeg", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(service: httpx.Client, content_type: str) -> None:
    """A picture that is not sent as a form gets status 415."""
    content = encode(draw(), "JPEG")
    assert_refused(service.post("/predict", content=content, headers={"content-type": content_type}), 415)


def test_a_huge_upload_is_refused(service: httpx.Client) -> None:
    """An upload beyond the limit is read to its end and gets status 413."""
    assert_refused(predict(service, bytes(64 * 1024**2)), 413)


def test_the_service_survives_what_it_refuses(service: httpx.Client) -> None:
    """After all that can be refused, the next picture is recognised."""
    for make in REFUSED.values():
        predict(service, make())
    response = predict(service, encode(draw("Saturn"), "JPEG"))
    assert response.json()["prediction"] == "Saturn"
    assert service.get("/livez").status_code == 200


def test_the_schema_names_the_field(service: httpx.Client) -> None:
    """Clients learn from the schema that ``image`` is a file."""
    (route,) = service.get("/schema.json").json()["routes"]
    assert route["route"] == "/predict"
    assert route["input"]["required"] == ["image"]
    assert route["input"]["properties"]["image"]["type"] == "file"
