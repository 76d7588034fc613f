"""How each kind of network is trained, as data: one line of the table is one model type.

On two cores with bf16 arithmetic an epoch of `cifar10_large` takes two and a half minutes, one of `cifar10_small` 18 s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Numbers that decide how a network learns; all of them are part of what its weights come from.

    epochs: passes over the training pictures. batch_size: pictures for one step. learning_rate: its peak, a fifth of
    the way in. weight_decay: of matrices and kernels, not of biases and batch norms. label_smoothing: share of the
    target that is spread over all classes. shift: pixels by which a picture is moved at most, to each side. mixed:
    share of pictures that are given a square of another (CutMix). settling: the last so many epochs, in which none is,
    at a low rate: the network sees pictures as it will be shown them. average: steps over which the exponential moving
    average of weights reaches, roughly. seed: of the first weights, of the order of pictures, of their augmentation.
    """

    epochs: int
    batch_size: int = 512
    learning_rate: float
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    shift: int = 2
    mixed: float = 0.0
    settling: int = 0
    average: float = 200.0
    seed: int = 0

    def within(self, epochs: int) -> "Recipe":
        """The same with so many epochs, of which settling has the same share, rounded down."""
        return replace(self, epochs=epochs, settling=self.settling * epochs // self.epochs)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "simple": Recipe(epochs=10, learning_rate=0.1),
        "vgg11": Recipe(epochs=16, learning_rate=0.1),
        "vgg16": Recipe(epochs=24, learning_rate=0.1),
        "cifar10_small": Recipe(epochs=40, learning_rate=0.4, mixed=0.25),
        "cifar10_large": Recipe(epochs=66, learning_rate=0.4, weight_decay=1e-3, shift=3, mixed=0.5, settling=6),
    }
)
"""By `model_type`: the book's three, and the two that are shipped."""
