"""Images of several sizes get one without being asked for: whole where they are small, windows where they are not."""

from __future__ import annotations

import pytest

from sar_data.train import sizes
from sar_data.train.settings import Detect, Finetune, Segment, Settings
from tests.mini import invented


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images of 6 to 10 by 5 to 8 pixels."""
    folder = tmp_path_factory.mktemp("ragged")
    made = invented.pipeline("detection", shape=None)
    archive = invented.archive(folder / "raw", 40, ragged=True)
    return str(invented.sealed(made, archive, folder / "builds", format="lmdb").path)


@pytest.mark.parametrize(
    "settings", [Finetune(), Segment(), Detect(), Detect(image_size=64)], ids=lambda one: type(one).__name__
)
def test_small_images_are_extended_to_the_largest_side_of_any_split(ragged: str, settings: Settings) -> None:
    lines: list[str] = []
    found = sizes.sized(ragged, settings, lines.append)
    assert (found.crop, found.pad) == (None, 10)
    assert lines == ["images differ in size: each is extended to 10 pixels (`pad=10`); `crop=…` takes windows"]


def test_of_large_images_pixels_and_objects_are_learnt_in_windows(ragged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "WHOLE", 9)
    lines: list[str] = []
    for settings in (Segment(), Detect()):
        found = sizes.sized(ragged, settings, lines.append)
        assert (found.crop, found.pad, found.tiles) == (512, None, 512)
    assert sizes.sized(ragged, Finetune(), lines.append).pad == 10  # a class is of the whole image
    assert sizes.sized(ragged, Detect(tile=64), lines.append).crop == 64
    assert "windows of 512 pixels (`crop=512`)" in lines[0]


def test_what_is_asked_for_and_images_of_one_size_are_left_as_they_are(ragged: str, classes: str) -> None:
    lines: list[str] = []
    for build, settings in ((ragged, Detect(crop=8)), (ragged, Finetune(pad=32)), (classes, Finetune())):
        assert sizes.sized(build, settings, lines.append) == settings
    assert not lines
