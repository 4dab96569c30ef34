"""Rebuild: the same digest from a manifest, its index and the sources alone, in every container, baked or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sar_data.builder.itinerary import build, carry_out, convert
from sar_data.builder.rebuild import RebuildRequest
from sar_data.builder.request import ConvertRequest
from sar_data.cli import main
from sar_data.errors import BuildError, SarDataError, SourceError
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.verify import verify
from sar_data.spec import Pipeline
from tests.golden import build_digest
from tests.mini import invented
from tests.mini.builds import CONTAINERS, contents, make, visible

KIND = invented.pipeline("segmentation")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("rebuild") / "raw", 40)


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("built")
    return {name: make(KIND, source, out, **packed(name)).path for name in CONTAINERS}


def packed(container: str) -> dict[str, str]:
    name, _, compression = container.partition("+")
    return {"format": name, "compression": compression or "none"}


def skeleton(build: Path, tmp_path: Path) -> Path:
    """Return a folder with manifest and index of a build alone."""
    bare = tmp_path / build.name
    bare.mkdir()
    for name in (NAME, "index.parquet"):
        shutil.copy(build / name, bare / name)
    return bare


def rebuild(bare: Path, source: Path, out: Path, dataset: Any = KIND) -> Build:
    return build(RebuildRequest(path=bare, source=source, out=out, dataset=dataset))


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_build_is_made_again_byte_for_byte(built: dict[str, Path], source: Path, tmp_path: Path, name: str) -> None:
    again = rebuild(skeleton(built[name], tmp_path), source, tmp_path / "out")
    assert again.path.name == built[name].name
    assert build_digest(again) == build_digest(Build.open(built[name]))
    assert verify(again.path, full=True) == []
    if name != "lmdb":
        assert contents(again.path) == contents(built[name])


@pytest.mark.parametrize("name", ["lmdb", "zarr"])
def test_another_container_is_a_source_too(built: dict[str, Path], tmp_path: Path, name: str) -> None:
    again = rebuild(skeleton(built[name], tmp_path), built["webdataset"], tmp_path / "out")
    assert build_digest(again) == build_digest(Build.open(built[name]))


CHAINS: dict[str, list[dict[str, Any]]] = {
    "container": [{"format": "lmdb"}],
    "zscore": [{"normalize": "zscore", "format": "webdataset"}],
    "int16": [{"dtype": "int16"}],
    "crop": [{"crop": 4, "unit": "power", "format": "lmdb"}],
    "resized": [{"resize": 8, "normalize": "zscore"}],
    "chain": [{"crop": 4}, {"format": "lmdb"}, {"speckle": "lee:window=3,looks=4"}, {"normalize": "minmax"}],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_baked_build_is_made_again_over_its_parent(source: Path, tmp_path: Path, name: str) -> None:
    kind = invented.pipeline("segmentation", shape=(6, 6) if name == "resized" else (6, 5))
    archive = source
    if name == "resized":
        archive = tmp_path / "square"
        shutil.copytree(source, archive)
        for path in archive.iterdir():
            path.write_text(json.dumps({**json.loads(path.read_text()), "width": 6}))
    made = make(kind, archive, tmp_path / "first")
    for changes in CHAINS[name]:
        made = convert(ConvertRequest(parent=made.path, **changes))
    again = rebuild(skeleton(made.path, tmp_path), archive, tmp_path / "out", kind)
    assert build_digest(again) == build_digest(made)
    assert again.manifest.model_dump() | {"sums": ""} == made.manifest.model_dump() | {"sums": ""} or name == "lmdb"
    assert verify(again.path, full=True) == []
    assert len(visible(tmp_path / "out")) == 2  # the parent, too


@pytest.mark.parametrize("container", ["zarr", "zarr+zstd", "webdataset"])
def test_records_in_quarantine_stay_there_and_keep_their_slots(source: Path, tmp_path: Path, container: str) -> None:
    kind = _with_bad_pixels()
    made = make(kind, source, tmp_path / "first", **packed(container), bad_records="quarantine")
    assert len(made.manifest.quarantine) == 8
    lacking = skeleton(made.path, tmp_path)
    for pixels in (source, made.path):
        again = rebuild(lacking, pixels, tmp_path / f"out of {pixels.name}", kind)
        assert again.manifest.content_digest == made.manifest.content_digest
        assert {entry.key for entry in again.manifest.quarantine} == {entry.key for entry in made.manifest.quarantine}
        assert again.index().equals(made.index())


def _with_bad_pixels() -> Pipeline:
    """Return a pipeline that cannot read every fifth sample."""
    from dataclasses import replace

    from sar_data.errors import BadRecord

    def read(tree: Any, record: Any) -> Any:
        if int(record.key[1:]) % 5 == 0:
            raise BadRecord(record.files[0].path, "expected pixels, found noise")
        return KIND.read(tree, record)

    return replace(KIND, read=read)


def test_another_source_seals_nothing(built: dict[str, Path], source: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(source, tmp_path / "other"))
    changed = other / "s0007.json"
    changed.write_text(changed.read_text().replace('"seed": 7', '"seed": 8'))
    bare = skeleton(built["zarr"], tmp_path)
    with pytest.raises(SarDataError, match=r"s0007.json: the file changed"):
        rebuild(bare, other, tmp_path / "out")
    changed.unlink()
    with pytest.raises(SarDataError, match=r"s0007.json"):
        rebuild(bare, other, tmp_path / "out")
    assert visible(tmp_path / "out") == []


def test_a_pipeline_that_reads_otherwise_seals_nothing(built: dict[str, Path], source: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    def read(tree: Any, record: Any) -> Any:
        sample = KIND.read(tree, record)
        return replace(sample, image=sample.image + 1)

    with pytest.raises(BuildError, match=r"expected the content digest .* Nothing was sealed"):
        rebuild(skeleton(built["lmdb"], tmp_path), source, tmp_path / "out", replace(KIND, read=read))
    assert visible(tmp_path / "out") == []


def test_a_source_that_lacks_records_is_refused(source: Path, tmp_path: Path) -> None:
    made = convert(ConvertRequest(parent=make(KIND, source, tmp_path / "first").path, normalize="zscore"))
    other = Path(shutil.copytree(source, tmp_path / "other"))
    (other / "s0003.json").unlink()
    with pytest.raises(SourceError, match="expected all records of the build, found none of the key s0003"):
        rebuild(skeleton(made.path, tmp_path), other, tmp_path / "out")


def test_a_second_call_finds_the_build(built: dict[str, Path], source: Path, tmp_path: Path) -> None:
    request = RebuildRequest(path=skeleton(built["zarr"], tmp_path), source=source, out=tmp_path / "out", dataset=KIND)
    assert [carry_out(request)[0].reused for _ in range(2)] == [False, True]
    assert (carry_out(request)[0].build.path / SUMS_NAME).is_file()


def test_the_command_makes_a_known_dataset_again_and_refuses_other_choices(
    sealed: dict[str, Build], bigearthnet_source: Path, tmp_path: Path
) -> None:
    bare = skeleton(sealed["webdataset"].path, tmp_path)
    shutil.rmtree(lists := Path(shutil.copytree(bigearthnet_source, tmp_path / "raw")) / "lists", ignore_errors=True)
    command = ["build", "--from", str(bare), "--source", str(lists.parent), "--out", str(tmp_path / "out")]
    made = CliRunner().invoke(main, [*command, "--workers", "1"])
    assert made.exit_code == 0, made.stderr
    path = Path(made.stdout.splitlines()[-1])
    assert contents(path) == contents(sealed["webdataset"].path)
    wrong = CliRunner().invoke(main, [*command, "--format", "zarr"])
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "sar-data: --format: expected no such choice with --from, which decides it\n",
    )
