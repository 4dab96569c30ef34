"""Data grow, and the split of a build is kept: in Python, at the command line and in flows by one word, `keep`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from sar_data.split.declared import Declared
from sar_data.split.random import Random
from sar_data.split.stratified import Stratified
from tests.mini import invented
from tests.mini.builds import make

PIPELINE = dataclasses.replace(
    invented.pipeline(), splits={"stratified": Stratified(), "random": Random(), "official": Declared()}
)
OLD, ALL = 60, 80


def splits(build: Build) -> dict[str, str]:
    table = read_index(build.path / INDEX_NAME, ["key", "split"])
    return dict(zip(table["key"].to_pylist(), table["split"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("grown") / "raw", ALL)


@pytest.fixture(scope="module")
def before(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    home = tmp_path_factory.mktemp("before")
    few = home / "raw"
    few.mkdir()
    for path in sorted(grown.iterdir())[:OLD]:
        (few / path.name).write_bytes(path.read_bytes())
    return make(PIPELINE, few, home / "out", split="stratified")


def test_a_build_of_more_data_keeps_the_split_of_the_build_that_is_named(
    before: Build, grown: Path, tmp_path: Path
) -> None:
    old = splits(before)
    anew = splits(make(PIPELINE, grown, tmp_path / "anew", split="stratified"))
    assert {key: anew[key] for key in old} != old
    made = make(PIPELINE, grown, tmp_path / "kept", split="stratified", keep=before.path)
    assert {key: splits(made)[key] for key in old} == old
    assert {splits(made)[key] for key in splits(made).keys() - old.keys()} == {"train", "val", "test"}
    noted = made.manifest.split_policy.notes["kept"]
    assert noted == {"records": OLD, "new": ALL - OLD, "gone": 0, "content_digest": before.manifest.content_digest}
    assert made.manifest.recipe_digest != before.manifest.recipe_digest


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("official", "expected a split that draws, found official"),
        ("random:folds=5", "`folds=5`: expected shares where the split of a build is kept"),
    ],
)
def test_a_split_that_cannot_be_kept_is_refused_before_the_scan(
    before: Build, grown: Path, tmp_path: Path, split: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make(PIPELINE, grown, tmp_path, split=split, keep=before.path)


def test_a_build_of_another_dataset_is_refused(before: Build, grown: Path, tmp_path: Path) -> None:
    other: Pipeline = dataclasses.replace(PIPELINE, spec=dataclasses.replace(PIPELINE.spec, name="other"))
    with pytest.raises(UsageError, match="expected a build of other, found one of invented"):
        make(other, grown, tmp_path, split="stratified", keep=before.path)


def test_the_command_line_keeps_a_split_and_says_the_cost(eurosat_source: Path, tmp_path: Path) -> None:
    def run(*more: str) -> tuple[str, str]:
        given = ("build", "eurosat-sar", "--source", str(eurosat_source), "--out", str(tmp_path), *more)
        result = CliRunner().invoke(main, given)
        assert result.exit_code == 0, result.output
        return result.stdout.strip(), result.stderr

    first, said = run("--split", "stratified", "--limit", "30")
    assert "cost         class shares are up to" in said
    second, said = run("--split", "stratified", "--keep", first)
    new = len(splits(Build.open(Path(second)))) - 30
    assert f"kept         30 records of a build, {new} new, 0 gone" in said
    assert splits(Build.open(Path(first))).items() <= splits(Build.open(Path(second))).items()
