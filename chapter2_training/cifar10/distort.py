"""Augmentation: the network never sees a picture twice as it is."""

from typing import NamedTuple

import torch
from torch import Tensor


class Draw(NamedTuple):
    """Drawn for one epoch: the order of pictures [n], which are mirrored [n], how far each is moved [n, 2], and of the
    square of another picture that each is given its middle [n, 2] and its area [n], 0 for none.
    """

    order: Tensor
    mirrored: Tensor
    moves: Tensor
    middles: Tensor
    areas: Tensor


def draw(pictures: int, *, shift: int, mixed: float, seed: int, epoch: int) -> Draw:
    """Draw for all pictures, the same for the same numbers. mixed: share of pictures that are given a square.

    A picture is mirrored in every other epoch, and chance says whether it begins so: two epochs show both sides of
    each, which teaches more than to toss anew (alternating flip: Jordan 2024, arXiv 2404.00498).
    """
    always = torch.Generator().manual_seed(seed)
    now = torch.Generator().manual_seed(seed * 100_003 + epoch + 1)
    mirrored = (torch.rand(pictures, generator=always) < 0.5) ^ bool(epoch % 2)
    order = torch.randperm(pictures, generator=now)
    moves = torch.randint(-shift, shift + 1, (pictures, 2), generator=now)
    chances = torch.rand(4, pictures, generator=now)
    return Draw(order, mirrored, moves, chances[:2].T, chances[2] * (chances[3] < mixed))


def apply(pictures: Tensor, mirrored: Tensor, moves: Tensor) -> Tensor:
    """Mirror and move pictures [n, h, w, channels]; what comes in at an edge is the reflection of what is there."""
    n, height, width = pictures.shape[:3]
    rows = _reflected(torch.arange(height) + moves[:, :1], height)
    columns = torch.where(mirrored[:, None], torch.arange(width).flip(0), torch.arange(width))
    columns = _reflected(columns + moves[:, 1:], width)
    return pictures[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def mix(pictures: Tensor, middles: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
    """Put a square of the picture before it over each picture [n, h, w, channels], the last before the first.

    middles: of the squares [n, 2], in shares of height and width. areas: of the squares [n], in shares of a picture.
    Also returns how much of each picture is its own [n]: what it shows is as much of its class (CutMix: Yun and others
    2019, arXiv 1905.04899).
    """
    inside = []
    for axis in (0, 1):
        size = pictures.shape[1 + axis]
        side = (areas[:, None].sqrt() * size).round().long()
        first = (middles[:, axis : axis + 1] * size).long() - side // 2
        place = torch.arange(size)
        inside.append((place >= first) & (place < first + side))
    covered = inside[0][:, :, None] & inside[1][:, None, :]
    mixed = torch.where(covered[..., None], pictures.roll(1, 0), pictures)
    return mixed, 1 - covered.float().mean((1, 2))


def _reflected(index: Tensor, size: int) -> Tensor:
    """Indices a little outside of 0 … size - 1, reflected at the outermost pixel."""
    return (size - 1) - ((size - 1) - index.abs()).abs()
