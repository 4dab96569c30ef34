"""A pipeline finds nothing in the archive of another dataset, so that a raw folder can be recognised."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sar_data import catalog
from sar_data.builder.fit import fit_source
from sar_data.errors import SourceError
from sar_data.sources.archives.open import open_tree
from sar_data.sources.tree import Folder
from tests.mini.detections import put

# Archives that hold what another pipeline reads, too.
SHARED = {
    "terrasar-x": {"path-label"},  # lists of paths and labels are both
    "hephaestus": {"hephaestus-crops"},  # one generator writes both
    "hephaestus-crops": {"hephaestus"},
    "opensarship-1": {"opensarship-2"},  # told apart by their scenes alone
    "opensarship-2": {"opensarship-1"},
}


@pytest.fixture(scope="module")
def archive_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @functools.cache
    def made(name: str) -> Path:
        root = tmp_path_factory.mktemp(name) / "raw"
        catalog.synthesise(name)(root, count=4, seed=0)
        return root

    return made


@pytest.mark.parametrize("name", catalog.names())
def test_no_other_pipeline_finds_anything_in_it(name: str, archive_of: Callable[[str], Path]) -> None:
    tree = Folder.at(archive_of(name))
    found = {other for other in catalog.names() if next(iter(catalog.pipeline(other).units(tree)), None) is not None}
    assert name in found
    assert found - {name} <= SHARED.get(name, set())


@pytest.mark.parametrize("name", catalog.names())
def test_a_source_one_folder_too_high_or_too_low_is_taken(name: str, archive_of: Callable[[str], Path]) -> None:
    root, pipeline = archive_of(name), catalog.pipeline(name)
    published = fit_source(pipeline, open_tree(root), root)
    assert published.layout == ""
    units = sorted(published.pipeline.units(published.tree))
    record = next(record for unit in units for record in published.pipeline.scan(published.tree, unit))
    for source in (root.parent, root / record.files[0].path.partition("/")[0]):
        fit = fit_source(pipeline, open_tree(source), source)
        found = {unit.rpartition("/")[2] for unit in fit.pipeline.units(fit.tree)}
        assert found <= {unit.rpartition("/")[2] for unit in units}
        assert found


@pytest.mark.parametrize(
    ("archive", "dataset", "reasons"),
    [
        ("hrsid", "ssdd", ["Found 1 folder (HRSID_JPG) and ", "It looks like hrsid."]),
        ("eurosat-sar", "hrsid", ["4 .tif, such as EuroSAT-SAR/", "It looks like eurosat-sar."]),
    ],
)
def test_what_does_not_fit_is_answered_with_what_would(
    archive: str, dataset: str, reasons: list[str], archive_of: Callable[[str], Path]
) -> None:
    root = archive_of(archive)
    with pytest.raises(SourceError, match=f"no record of {dataset} found") as caught:
        fit_source(catalog.pipeline(dataset), Folder.at(root), root)
    assert all(reason in str(caught.value) for reason in reasons)
    assert "Expected, as published:\n" in str(caught.value)


def test_the_nearest_layout_is_named_with_what_it_lacks(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    for path in archive_of("ssdd").glob("*/BBox_SSDD/voc_style/JPEGImages/*.jpg"):
        put(tmp_path / "raw/images/train" / path.name, path.read_bytes())
    put(tmp_path / "raw/data.yaml", "names: [ship]")
    with pytest.raises(
        SourceError, match=r"nearest known layout is 'YOLO': expected labels/\{train,val\}/\*\.txt there"
    ):
        fit_source(catalog.pipeline("ssdd"), Folder.at(tmp_path / "raw"), tmp_path / "raw")


def test_two_roots_are_asked_which(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(archive_of("hrsid"), tmp_path / "raw" / name)
    with pytest.raises(SourceError, match="in the folders first, second: name one of them"):
        fit_source(catalog.pipeline("hrsid"), Folder.at(tmp_path / "raw"), tmp_path / "raw")


def test_the_tree_of_every_dataset_is_printed() -> None:
    for name in ("hrsid", "eurosat-sar"):
        lines = catalog.info(name, tree=True)["tree"]
        assert any(line.strip().endswith(("JPEGImages/", "AnnualCrop/")) for line in lines)
