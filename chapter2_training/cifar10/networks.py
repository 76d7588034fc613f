"""The networks. Each takes pictures as a client has them, uint8 [n, 32, 32, 3] RGB, and gives ten logits [n, 10].

Normalisation is a network's first layer, so that training, evaluation and serving cannot differ in it. `residual`
follows airbench (Jordan 2024, arXiv 2404.00498): patches of 2x2 pixels are whitened by fixed filters, then three blocks
halve the picture. Ours differs in the skip around each second convolution, and in ReLU instead of GELU.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

CLASSES = 10


class Normalise(nn.Module):
    """Pictures of bytes to channels with mean 0 and deviation 1; in memory they stay last."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("deviation", torch.ones(3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Uint8 [n, height, width, 3] to float32 [n, 3, height, width]."""
        return (pictures.permute(0, 3, 1, 2).float() - self.mean) / self.deviation


class Block(nn.Module):
    """Two convolutions with batch norms; the first halves the picture, the second only adds to what it is given."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Float [n, inputs, h, w] to [n, outputs, h // 2, w // 2]."""
        x = torch.relu(self.first_norm(self.pool(self.first(x))))
        return x + torch.relu(self.second_norm(self.second(x)))


class Classifier(nn.Module):
    """Normalisation, features [n, channels, h, w], the largest of each channel, and a linear layer on these.

    scale: factor of the logits; below 1 it keeps a network from being sure before it has learnt anything.
    """

    def __init__(self, features: nn.Sequential, channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.normalise, self.features = Normalise(), features
        self.head = nn.Linear(channels, CLASSES, bias=False)
        self.scale = scale

    def forward(self, pictures: Tensor) -> Tensor:
        """Uint8 [n, 32, 32, 3] to logits [n, 10]."""
        logits: Tensor = self.head(torch.amax(self.features(self.normalise(pictures)), (2, 3)))
        return logits * self.scale

    @torch.no_grad()
    def look_at(self, pictures: Tensor) -> None:
        """Measure on training pictures what is not learnt: normalisation, and whitening where there is any."""
        sample = pictures.double()
        self.normalise.mean.copy_(sample.mean((0, 1, 2)).view(3, 1, 1))
        self.normalise.deviation.copy_(sample.std((0, 1, 2)).view(3, 1, 1))
        if isinstance(stem := self.features[0], Whitening):
            stem.fit(self.normalise(pictures))


class Whitening(nn.Conv2d):
    """A convolution of 2x2 pixels whose filters are the main directions of such patches, scaled to unit variance, and
    their negatives. They are measured once and never learnt; the biases are learnt.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__(3, outputs, 2)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, pictures: Tensor, epsilon: float = 5e-4) -> None:
        """Take the directions [outputs / 2, 3, 2, 2] of most variance in normalised pictures [n, 3, h, w]."""
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (directions / (variances + epsilon).sqrt()).T.flip(0).reshape(12, 3, 2, 2)[: len(self.weight) // 2]
        self.weight.copy_(torch.cat([filters, -filters]))


def residual(stem: int, *widths: int) -> Classifier:
    """Whitening and a block for each width; the stem's width is at most 24, of which half are negatives."""
    channels = (stem, *widths)
    blocks = [Block(inputs, outputs) for inputs, outputs in zip(channels, widths, strict=False)]
    return Classifier(nn.Sequential(Whitening(stem), nn.ReLU(), *blocks), channels[-1], scale=0.125)


def plain(*layers: int) -> Classifier:
    """Convolutions of 3x3 with batch norm and ReLU, as many channels as numbered; 0 halves the picture (as in VGG)."""
    parts: list[nn.Module] = []
    channels = 3
    for width in layers:
        if not width:
            parts.append(nn.MaxPool2d(2))
            continue
        parts += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return Classifier(nn.Sequential(*parts), channels)


NETWORKS: Mapping[str, Callable[[], Classifier]] = MappingProxyType(
    {
        "simple": lambda: plain(16, 0, 32, 0, 64),
        # Simonyan and Zisserman 2014, table 1, columns A and D, with batch norm; without the three dense layers, which
        # are meant for pictures of 224 pixels.
        "vgg11": lambda: plain(64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512),
        "vgg16": lambda: plain(64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512),
        "cifar10_small": lambda: residual(16, 32, 96, 128),
        "cifar10_large": lambda: residual(24, 128, 384, 384),
    }
)
"""By `model_type`."""
