"""Flipped bits, lost files and swapped files: verify names each, and no loader gives other data than were sealed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from sar_data.sealed.verify import verify
from tests.faults.rot import Kind, Rot, read
from tests.mini import invented
from tests.mini.builds import CONTAINERS

FEW: dict[Kind, int] = {"flip": 6, "deletion": 1, "swap": 1}
MANY: dict[Kind, int] = {"flip": 500, "deletion": 50, "swap": 50}
CLEAN = 50
KINDS = ("multiclass", "multilabel", "segmentation", "detection")


def sealed(root: Path, container: str, number: int = 0) -> Path:
    """Return a small build; another number is another kind of task, another count and another split."""
    source = invented.archive(root / "raw", 14 + number)
    format, _, compression = container.partition("+")
    kind = invented.pipeline(KINDS[(number + 2) % len(KINDS)])  # type: ignore[arg-type]
    options = {"format": format, "compression": compression or "none", "seed": number}
    return invented.sealed(kind, source, root / "out", **options).path


def damage(build: Path, counts: dict[Kind, int]) -> Rot:
    rot = Rot(build)
    for kind in get_args(Kind):
        for number in range(counts[kind]):
            rot.trial(kind, number)
    return rot


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_few_faults_are_named_and_give_no_other_data(container: str, tmp_path: Path) -> None:
    assert damage(sealed(tmp_path, container), FEW).missed == []


@pytest.mark.fuzz
@pytest.mark.parametrize("container", CONTAINERS)
def test_six_hundred_faults_are_named_and_give_no_other_data(container: str, tmp_path: Path) -> None:
    rot = damage(sealed(tmp_path, container), MANY)
    print(f"\n{rot.table(container)}")
    assert rot.missed == []


@pytest.mark.fuzz
@pytest.mark.parametrize("number", range(CLEAN))
def test_a_sound_build_gives_no_alarm(number: int, tmp_path: Path) -> None:
    build = sealed(tmp_path, CONTAINERS[number % len(CONTAINERS)], number)
    assert verify(build) == []
    assert verify(build, sample=0.3, seed=number) == []
    assert verify(build, full=True) == []
    assert read(build) == read(build)
