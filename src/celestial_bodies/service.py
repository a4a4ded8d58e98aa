"""The service: ``POST /predict`` tells which celestial body a picture shows."""

from http import HTTPStatus
from pathlib import Path

import bentoml
from bentoml.models import BentoModel
from starlette.responses import JSONResponse

from celestial_bodies.uploads import Upload, UploadError

with bentoml.importing():
    from celestial_bodies.classifier import Classifier, likeliest
    from celestial_bodies.preprocessing import PictureError, decode


class Prediction(bentoml.IODescriptor):
    """What the picture shows: the likeliest body, and the probability of each."""

    prediction: str
    probabilities: dict[str, float]


@bentoml.service(name="celestial_bodies_classifier")
class CelestialBodiesClassifier:
    """Tells ten bodies of the solar system apart in pictures."""

    model = BentoModel("celestial_bodies_classifier_model:latest")

    def __init__(self) -> None:
        self._classifier = Classifier(Path(self.model.path))

    @bentoml.api(input_spec=Upload, output_spec=Prediction)
    def predict(self, image: bytes | UploadError) -> Prediction | JSONResponse:
        """Tell which body a JPEG, PNG or WebP picture shows.

        Args:
            image: the picture's bytes, or why the request holds none.

        Returns:
            The prediction; or status 4xx and, as ``error``, one sentence that tells what is wrong with the picture.
        """
        if isinstance(image, UploadError):
            return _refuse(image.status, image)
        try:
            picture = decode(image)
        except PictureError as error:
            return _refuse(HTTPStatus.BAD_REQUEST, error)
        probabilities = self._classifier.classify(picture)
        return Prediction(prediction=likeliest(probabilities), probabilities=probabilities)


def _refuse(status: HTTPStatus, why: Exception) -> JSONResponse:
    """Answer with a plain object; an exception would be answered by BentoML with a list around it."""
    return JSONResponse({"error": str(why)}, status)
