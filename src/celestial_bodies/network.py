"""The convolutional network."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

CHANNELS = (24, 40, 72, 112, 144)
"""Output channels of the blocks; each block halves the picture's side."""


class Network(nn.Module):
    """Five blocks of two 3 × 3 convolutions, averaged over the picture, and one linear layer.

    Args:
        classes: how many classes it tells apart.
        dropout: the share of pooled features that is dropped while training.
    """

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        sides = zip((3, *CHANNELS[:-1]), CHANNELS, strict=True)
        self.features = nn.Sequential(*(_block(before, after) for before, after in sides))
        self.head = nn.Sequential(OrderedDict(dropout=nn.Dropout(dropout), linear=nn.Linear(CHANNELS[-1], classes)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            pictures: shape (batch, 3, side, side), from 0 to 1.

        Returns:
            Logits of shape (batch, classes).
        """
        logits: Tensor = self.head(self.features(pictures).mean(dim=(2, 3)))
        return logits


class Probabilities(nn.Module):
    """A network as the service wants it: its answer is probabilities, averaged over the picture and its mirror images.

    Which way round a body is tells nothing, so what the four views disagree about is mostly noise.

    Args:
        network: gives logits of shape (batch, classes).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """Classify pictures of shape (batch, 3, side, side); returns probabilities of shape (batch, classes)."""
        views = torch.cat([pictures, pictures.flip(2), pictures.flip(3), pictures.flip(2, 3)])
        probabilities = torch.softmax(self.network(views), dim=1)
        return probabilities.reshape(4, -1, probabilities.shape[1]).mean(dim=0)


def _block(before: int, after: int) -> nn.Sequential:
    """Two convolutions: the first halves the side, and the second, a depthwise separable one, looks further around."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, groups=after, bias=False),
        nn.Conv2d(after, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
