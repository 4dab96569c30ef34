"""Samples by the names that the trainers of torchgeo and terratorch read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stream.test_tasks import built

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
from torch.utils.data import DataLoader  # noqa: E402

from sar_data.torch import GeoSamples, Samples  # noqa: E402


def pair(tmp_path: Path, kind: str, **options: Any) -> tuple[Samples, GeoSamples]:
    path = built(tmp_path, "zarr", kind=kind).path
    return Samples(path), GeoSamples(path, **options)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation"])
def test_labels_and_masks_have_the_names_and_types_of_torchgeo(tmp_path: Path, kind: str) -> None:
    ours, geo = pair(tmp_path, kind)
    name = "mask" if kind == "segmentation" else "label"
    assert len(geo.classes) > 1
    for expected, batch in zip(
        DataLoader(ours, batch_size=4, collate_fn=Samples.collate),
        DataLoader(geo, batch_size=4, collate_fn=GeoSamples.collate),
        strict=True,
    ):
        assert batch.keys() == {"image", "filename", name}
        assert batch["filename"] == expected["key"]
        assert torch.equal(batch["image"], expected["image"])
        assert batch[name].dtype == torch.int64
        assert torch.equal(batch[name], expected["target"].long())


def test_objects_are_a_list_a_sample_and_the_first_class_is_1(tmp_path: Path) -> None:
    ours, geo = pair(tmp_path, "detection")
    for dataset in (geo, GeoSamples(ours._collection._arguments[0], transforms=lambda sample: {**sample})):
        batch = next(iter(DataLoader(dataset, batch_size=8, collate_fn=GeoSamples.collate)))
        assert batch.keys() == {"image", "filename", "bbox_xyxy", "label"}
        assert batch["image"].shape[0] == len(batch["bbox_xyxy"]) == len(batch["label"]) == 8
        for number in range(8):
            target = ours[number]["target"]
            assert torch.equal(batch["bbox_xyxy"][number], target["boxes"])
            assert batch["bbox_xyxy"][number].dtype == torch.float32
            assert torch.equal(batch["label"][number], target["labels"] + 1)
    joined = Samples.collate([ours[0], ours[1]])
    assert (joined["image"].shape[0], [*map(type, joined["target"])]) == (2, [dict, dict])


def test_transforms_change_a_sample_and_not_the_batch_that_it_came_from(tmp_path: Path) -> None:
    _, geo = pair(tmp_path, "multiclass", transforms=lambda sample: {**sample, "image": sample["image"].flip(-1)})
    plain = GeoSamples(geo._collection._arguments[0])
    assert torch.equal(geo[3]["image"], plain[3]["image"].flip(-1))
