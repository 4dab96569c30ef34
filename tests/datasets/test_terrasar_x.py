"""TerraSAR-X builds from lists of paths and labels, and its classes are the 32 numbers whatever occurs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.synth import terrasar_x as synthetic
from pipelines.terrasar_x import PIPELINE
from sar_data.builder.fit import fit_source
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract


@pytest.fixture(scope="module")
def terrasar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("terrasar")
    synthetic.synthesise(out, count=18, seed=0)
    return out


class TestTerraSarX(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, terrasar: Path) -> Path:
        return terrasar


def test_a_label_is_its_number_whichever_classes_occur(terrasar: Path) -> None:
    fit = fit_source(PIPELINE, Folder.at(terrasar), terrasar)
    records = [record for unit in fit.pipeline.units(fit.tree) for record in fit.pipeline.scan(fit.tree, unit)]
    assert {record.labels["class"] for record in records} == {(label,) for label in synthetic.SHOWN}
    assert {record.official for record in records} == {"train", "test"}


def test_lists_beside_folders_of_other_names_are_a_copy(terrasar: Path, tmp_path: Path) -> None:
    for path in terrasar.rglob("*.jpg"):
        target = tmp_path / "raw/chips" / path.relative_to(terrasar / "TSXdatasetOctavian")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for split in ("train", "test"):
        text = (terrasar / f"{split}.txt").read_text().replace("TSXdatasetOctavian", "chips")
        (tmp_path / "raw" / f"{split}.txt").write_text(text)
    fit = fit_source(PIPELINE, Folder.at(tmp_path / "raw"), tmp_path / "raw")
    assert fit.layout.startswith("lists beside folders of other names")
    assert len(list(fit.pipeline.units(fit.tree))) > 0
    assert len(fit.pipeline.spec.tasks[0].classes) == 32
