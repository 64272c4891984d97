from __future__ import annotations

import pytest

from errseg_model.sample_drive.scene import BLOCK, Scene

SEEDS = range(6)
BLOCKS = range(-2, 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_can_be_drawn_up_in_any_order(seed: int) -> None:
    there, back = Scene(seed), Scene(seed)
    assert [there.block(k) for k in BLOCKS] == [back.block(k) for k in reversed(BLOCKS)][::-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_things_stand_where_they_belong(seed: int) -> None:
    scene = Scene(seed)
    blocks = [scene.block(number) for number in BLOCKS]
    assert all(any(getattr(block, kind) for block in blocks) for kind in ("posts", "walkers", "houses"))
    for block in blocks:
        for thing in (*block.posts, *block.walkers, *block.parked):
            assert block.s0 <= thing.s <= block.s0 + BLOCK
        for house in block.houses:
            i = int(house.d > 0)
            assert abs(house.d) >= scene.section.kerb[i] + scene.section.pavement[i], "no house on the pavement"
            assert block.s0 <= house.s0 < house.s1 <= block.s0 + BLOCK
        for car in block.parked:
            i = int(car.d > 0)
            assert scene.section.parks(i) and not block.yellow[i]
            assert abs(car.d) + 0.9 < scene.section.kerb[i]
        for thing in (*block.posts, *block.walkers):
            i = int(thing.d > 0)
            assert 0 < abs(thing.d) - scene.section.kerb[i] < scene.section.pavement[i]


@pytest.mark.parametrize("seed", SEEDS)
def test_houses_and_parked_cars_leave_side_streets_free(seed: int) -> None:
    scene = Scene(seed)
    gaps = 0
    for number in range(40):
        block = scene.block(number)
        for side, a, b in block.gaps:
            gaps += 1
            assert not [h for h in block.houses if h.d * side > 0 and h.s0 < b and h.s1 > a]
            assert not [c for c in block.parked if c.d * side > 0 and a - 2 < c.s < b + 2]
    assert gaps > 3


def test_towns_have_variety() -> None:
    blocks = [Scene(seed).block(k) for seed in range(10) for k in range(0, 12, 3)]
    assert {h.style for b in blocks for h in b.houses} == {"brick", "render", "shop", "office"}
    assert {x.kind for b in blocks for x in b.barriers} == {"railing", "wood", "wall", "hedge"}
    assert {p.kind for b in blocks for p in b.posts} == {"lamp", "sign", "lights", "bollard"}
    assert {c.shape for b in blocks for c in b.parked} == {"hatch", "saloon", "estate", "suv", "van"}
