"""The default build of every dataset trains by default: by the job of its first task, with nothing said but a size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sar_data import catalog, public
from sar_data.train.settings import JOBS
from sar_data.train.training import run

TRAINED = {
    **{"multiclass": "finetune", "multilabel": "finetune"},
    **{"segmentation": "segment", "change": "change", "detection": "detect"},
}
# One of each kind of task; without val, with it, and with images of several sizes. The others are for `make learn`.
ALWAYS = ("eurosat-sar", "bigearthnet-s1", "dfc2020", "ssdd")
MANY_CLASSES = {"eurosat-sar": 60}  # samples of a miniature, elsewhere
COUNT, LARGE = 24, 256
SMALL: dict[str, Any] = {"model": "test_resnet", "batch_size": 2, "epochs": 1, "device": "cpu"}


def named() -> list[Any]:
    names = [name for name in catalog.names() if catalog.pipeline(name).spec.tasks]
    assert set(ALWAYS) < set(names)
    return [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.learn) for name in names]


@pytest.mark.parametrize("name", named())
def test_the_default_build_of_a_dataset_trains_by_default(name: str, tmp_path: Path) -> None:
    catalog.synthesise(name)(tmp_path / "raw", count=MANY_CLASSES.get(name, COUNT), seed=0)
    lists = tmp_path / "raw" / "lists"
    build = public.build(
        name, source=tmp_path / "raw", out=tmp_path / "builds", lists=lists if lists.is_dir() else None, runner="serial"
    )
    manifest = build.manifest
    job = TRAINED[manifest.tasks[0].kind]
    chosen = {**SMALL, **({} if job == "finetune" else {"channels": 32})}
    if manifest.shape is not None and max(manifest.shape) > LARGE:
        chosen["crop"] = LARGE // 2  # so that a processor has done it soon
    lines: list[str] = []
    metrics = run(job, str(build.path), tmp_path / "run", JOBS[job](**chosen), say=lines.append)
    counts = {split: one.count for split, one in manifest.splits.items()}
    assert metrics["selection"]["on"] == ("val" if counts["val"] else "last")
    for split in ("val", "test"):
        assert metrics.get(split, {"count": 0})["count"] == counts[split]
    assert any(line.startswith("select auto") for line in lines)
