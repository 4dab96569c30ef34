"""One itinerary: its steps in order, the lock they hold, and what becomes of several containers and of parents."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.itinerary import Itinerary, build, carry_out, convert
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import TargetError, UsageError
from sar_data.runners import Serial
from tests.mini import invented
from tests.mini.builds import visible

LOSSLESS = ["prepare", "pack", "seal"]
BAKING = ["bake: prepare", "bake: pack", "bake: seal"]
RAGGED = invented.pipeline(shape=None)


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("even") / "raw", 12)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("ragged") / "raw", 12, ragged=True)


def asked(source: Path, out: Path, **choices: Any) -> BuildRequest:
    return BuildRequest(**{"dataset": invented.pipeline(), "source": source, "out": out, "seed": 1, **choices})


def steps(request: BuildRequest) -> tuple[list[str], Itinerary]:
    itinerary, titles = Itinerary(request), []
    with closing(itinerary.steps()) as running:
        for step in running:
            titles.append(step.title)
            step.run(Serial())
    return titles, itinerary


def test_what_is_baked_is_baked_from_a_lossless_build_and_found_again(even: Path, tmp_path: Path) -> None:
    request = asked(even, tmp_path, normalize="zscore")
    titles, itinerary = steps(request)
    (result,) = itinerary.results
    assert titles == LOSSLESS + BAKING
    assert (result.reused, len(visible(tmp_path))) == (False, 2)
    parent = build(asked(even, tmp_path)).manifest
    assert result.parent is not None
    assert result.build.manifest.parent is not None
    assert result.build.manifest.parent.model_dump() == {
        "path": result.parent.name,
        "content_digest": parent.content_digest,
        "recipe_digest": parent.recipe_digest,
    }
    again, itinerary = steps(request)
    assert again == ["prepare", "seal", "bake: prepare", "bake: seal"]
    assert (itinerary.results[0].reused, itinerary.results[0].build.path) == (True, result.build.path)


def test_files_that_changed_after_the_build_are_named_unless_their_contents_are_read(
    even: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(even, tmp_path / "raw"))
    name = min(path.name for path in source.iterdir())
    lines: list[str] = []

    def warnings(**choices: Any) -> list[str]:
        lines.clear()
        build(asked(source, tmp_path / "out", **choices), say=lines.append)
        return [line for line in lines if "newer" in line]

    first = build(asked(source, tmp_path / "out"))
    later = (first.path / "manifest.json").stat().st_mtime + 5
    assert not warnings()
    assert not warnings(rehash=True)
    os.utime(source / name, (later, later))
    (line,) = warnings()
    assert line.startswith("warning: 1 of 12 source files are newer than the build, such as ")
    assert name in line
    assert "rehash=True" in line
    assert not warnings(rehash=True)


def test_a_parent_is_dropped_once_and_not_built_again(even: Path, tmp_path: Path) -> None:
    request = asked(even, tmp_path, dtype="int16", drop_parent=True)
    titles, first = steps(request)
    assert titles == [*LOSSLESS, *BAKING, "bake: drop parent"]
    assert first.results[0].parent is None
    again, second = steps(request)
    assert again == ["prepare"]
    assert [result.build.path for result in second.results] == [result.build.path for result in first.results]
    assert [path.name for path in first.results[0].build.path.parent.iterdir()] == [first.results[0].build.path.name]
    assert build(asked(even, tmp_path, dtype="float16", drop_parent=True)).path != first.results[0].build.path


def test_of_several_containers_each_is_the_build_it_is_alone(even: Path, tmp_path: Path) -> None:
    both = carry_out(asked(even, tmp_path / "both", format=("lmdb", "zarr"), crop=4))
    alone = [carry_out(asked(even, tmp_path / "alone", format=name, crop=4))[0] for name in ("lmdb", "zarr")]
    assert [one.build.manifest.recipe_digest for one in both] == [one.build.manifest.recipe_digest for one in alone]
    assert len({one.build.manifest.content_digest for one in both}) == 1
    assert len(visible(tmp_path / "both")) == 4


def test_sizes_that_differ_suit_webdataset_and_become_zarr_by_a_crop(ragged: Path, tmp_path: Path) -> None:
    assert build(asked(ragged, tmp_path, dataset=RAGGED)).manifest.format == "webdataset"
    cropped = build(asked(ragged, tmp_path, dataset=RAGGED, crop=7))
    assert (cropped.manifest.format, cropped.manifest.shape) == ("zarr", (7, 7))
    assert [name.partition("-")[0] for name in visible(tmp_path)] == ["webdataset", "zarr"]
    with pytest.raises(UsageError, match="zarr needs one: use `format=webdataset`"):
        build(asked(ragged, tmp_path, dataset=RAGGED, format="zarr"))


@pytest.mark.parametrize(
    ("change", "message"), [({"crop": 11}, r"`crop=11`: .* at most 10 pixels"), ({"pad": 9}, r"`pad=9`: .* 10 pixels")]
)
def test_a_size_that_no_image_has_room_for_is_refused_before_a_pixel_is_read(
    ragged: Path, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(asked(ragged, tmp_path / "out", dataset=RAGGED, **change))
    assert not (tmp_path / "out").exists()
    plain = build(asked(ragged, tmp_path / "plain", dataset=RAGGED))
    with pytest.raises(UsageError, match=message):
        convert(ConvertRequest(parent=plain.path, **change))


def test_the_target_is_held_from_prepare_to_seal(even: Path, tmp_path: Path) -> None:
    request = asked(even, tmp_path)
    with closing(Itinerary(request).steps()) as running:
        for step in running:
            step.run(Serial())
            if step.name != "seal":
                with pytest.raises(TargetError, match="another build is making it"):
                    prepare(request, Serial())
    with prepare(request, Serial()) as draft:
        assert draft.sealed
    with closing(Itinerary(asked(even, tmp_path, seed=2)).steps()) as running:
        next(running).run(Serial())
        next(running)
    with prepare(asked(even, tmp_path, seed=2), Serial()) as draft:
        assert not draft.sealed
