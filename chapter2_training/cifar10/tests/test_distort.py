"""What a network is shown of a picture: its mirror every other time, moved a little, and nothing that was not in it."""

import torch

from chapter2_training.cifar10 import distort

PICTURES = torch.randint(0, 256, (20, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
STILL = torch.zeros(20, 2, dtype=torch.int64)
NEVER = torch.zeros(20, dtype=torch.bool)


def test_without_a_move_and_a_mirror_a_picture_is_itself() -> None:
    assert torch.equal(distort.apply(PICTURES, NEVER, STILL), PICTURES)


def test_a_mirrored_picture_has_its_columns_the_other_way_round() -> None:
    assert torch.equal(distort.apply(PICTURES, ~NEVER, STILL), PICTURES.flip(2))


def test_what_comes_in_at_an_edge_is_the_reflection_of_what_is_there() -> None:
    moved = distort.apply(PICTURES, NEVER, STILL + torch.tensor([2, -1]))
    assert torch.equal(moved[:, :6, 1:], PICTURES[:, 2:, :7])
    assert torch.equal(moved[:, 6:, 1:], PICTURES[:, 5:7, :7].flip(1))
    assert torch.equal(moved[:, :6, 0], PICTURES[:, 2:, 1])


def test_two_epochs_show_both_sides_of_every_picture_and_an_epoch_about_as_many_of_each() -> None:
    first, second, third = (distort.draw(1000, shift=2, mixed=0.5, seed=0, epoch=epoch) for epoch in range(3))
    assert torch.equal(first.mirrored, ~second.mirrored)
    assert torch.equal(first.mirrored, third.mirrored)
    assert 400 < int(first.mirrored.sum()) < 600


def test_an_epoch_shows_every_picture_once_in_an_order_and_with_moves_of_its_own() -> None:
    first, second = (distort.draw(1000, shift=2, mixed=0.5, seed=0, epoch=epoch) for epoch in range(2))
    assert first.order.sort().values.tolist() == list(range(1000))
    assert not torch.equal(first.order, second.order)
    assert not torch.equal(first.moves, second.moves)
    assert set(first.moves.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_the_same_epoch_and_seed_draw_the_same() -> None:
    once, again = (distort.draw(100, shift=2, mixed=0.5, seed=3, epoch=5) for _ in range(2))
    other = distort.draw(100, shift=2, mixed=0.5, seed=4, epoch=5)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(once, other, strict=True))


def test_a_square_of_the_picture_before_is_put_around_the_middle_that_was_drawn() -> None:
    mixed, own = distort.mix(PICTURES, torch.full((20, 2), 0.5), torch.full((20,), 0.25))
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    assert torch.equal(mixed[:, inside], PICTURES.roll(1, 0)[:, inside])
    assert torch.equal(mixed[:, ~inside], PICTURES[:, ~inside])
    assert own.tolist() == [0.75] * 20


def test_what_lies_outside_of_the_picture_is_not_counted_and_no_area_changes_nothing() -> None:
    corner = torch.tensor([[0.0, 0.99]]).expand(20, 2)
    mixed, own = distort.mix(PICTURES, corner, torch.full((20,), 0.25))
    assert torch.equal(mixed[:, :2, 5:], PICTURES.roll(1, 0)[:, :2, 5:])
    assert own[0] == 1 - 2 * 3 / 64
    mixed, own = distort.mix(PICTURES, corner, torch.zeros(20))
    assert torch.equal(mixed, PICTURES)
    assert own.tolist() == [1.0] * 20


def test_as_many_pictures_are_mixed_as_is_asked_for() -> None:
    areas = distort.draw(1000, shift=2, mixed=0.3, seed=0, epoch=0).areas
    assert 250 < int((areas > 0).sum()) < 350
    assert float(areas.max()) < 1
