"""Hephaestus, cropped: 216,312 interferogram patches of 224x224 pixels that show deformation or none.

The patches were cut by the authors of Hephaestus from its frames for classification; they come as 8-bit PNGs,
labeled/<class>/<uid>_<k>.png, and train_test_split.json says which file is where. What is odd about them:
- One patch in a hundred shows deformation: 183,803/1,662 in train, 6,051/118 in val and 24,205/473 in test.
- The pixels are the wrapped phase as grey: neither radians nor dB, so the unit is "8-bit". No coherence.
- Several patches are of one annotated frame, <uid>: the split "group" keeps those together, the official one is a list.
- Entries of the list are taken by their last part, since nothing says whether they carry folders.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines._steps_before import LICSAR
from sar_data.errors import BadRecord
from sar_data.labels.fields import read_fields
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import declared, group, stratified

LIST, SIDE = "train_test_split.json", 224
BY_HAND = "a Dropbox share: open it in a browser, save the zip and unpack it"


def units(tree: Tree) -> Iterator[str]:
    """Yield the list of all patches."""
    if (home := find_parent(tree, LIST)) is not None:
        yield home + LIST


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the records of the list: split, then class "0" or "1", then files."""
    home = unit.removesuffix(LIST)
    parts = read_fields(unit, read_with_digest(tree, unit)[1], {"train": dict, "val": dict, "test": dict})
    for split in ("train", "val", "test"):
        for label, names in parts[split].items():
            if label not in ("0", "1") or not isinstance(names, list):
                raise BadRecord(unit, f"expected lists of the classes 0 and 1 in {split}, found {label!r:.60}")
            for name in names:
                path = f"{home}labeled/{label}/{str(name).rpartition('/')[2]}"
                key = path.rpartition("/")[2].removesuffix(".png")
                yield Record(
                    key=key,
                    files=(SourceFile(path, tree.size(path)),),
                    labels={"deformation": (int(label),)},
                    official=split,
                    group=key.rpartition("_")[0],
                )


def read(tree: Tree, record: Record) -> Sample:
    """Return [InSAR], uint8 [1, 224, 224]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=(SIDE, SIDE)))


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="hephaestus-crops",
        version="1.0",
        revision=1,
        title="Hephaestus, cropped patches",
        evidence="documents-only",
        bands=(Band(name="InSAR", polarization="", unit="8-bit", description="wrapped phase as grey"),),
        shape=(SIDE, SIDE),
        dtype="uint8",
        pixel_size_m=None,
        samples=216_312,
        calibration="stretched phase",
        processing=LICSAR,
        tasks=(Task(name="deformation", kind="multiclass", classes=("Non_Deformation", "Deformation")),),
        sources=(
            Source(
                name="Hephaestus_Classification.zip",
                manual=BY_HAND,
                url="https://www.dropbox.com/s/2bkpj79jepk0vks/Hephaestus_Classification.zip",
            ),
        ),
        lists=(),
        symmetries=(),
        licence="unverified (repository: MIT)",
        citation="Bountos et al. 2022, Hephaestus, CVPR EarthVision, arXiv:2204.09435",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={"official": declared.Declared(), "group": group.Group(), "stratified": stratified.Stratified()},
)
