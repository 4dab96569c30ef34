"""MSTAR: chips of ten military vehicles seen by an X-band radar at 15 to 45 degrees of depression, HH, 0.3 m.

The discs hold Phoenix files HB<number>.<code> (sar_data/raster/phoenix.py): magnitude and phase, both kept. Class,
serial number and depression are those of the folders, and the header must agree with them. What is odd:
- Chips are not all 128x128: each class has its size, from 128x128 to 193x192. Crop them at the centre.
- A file's name is not unique: 2S1 and BMP2 share HB numbers and code. Keys carry class, serial and depression.
- "soc" trains on one BMP2 (9563) and one T72 (132), 2,747 chips at 17 degrees, and tests on the same vehicles,
  2,425 chips at 15; "soc-variants" tests on their other serials too, which training has never seen. "eoc-1" changes
  the depression to 30, "eoc-2-…" configuration and version of the T72. "sarhub" is the lists of SAR-HUB.
- SLICY is a calibration target, of no class. Clutter scenes are uint16 with a factor, without labels: a variant.
- `variant=jpeg` reads the tree of SAR-ATR-HDANet: 8-bit pictures, a folder for each protocol, chips repeated in
  several. There the classes' folders alone tell the serial. The radar looks up the image: shadows lie above targets.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import partial

from pipelines._mstar import CHIP, CLASSES, LISTED, SLICY, agree, by_folders, key_of, vehicle, walk
from pipelines._mstar_pictures import copied_files, read_picture, scan_copied, scan_pictures
from pipelines._mstar_pictures import units as pictures
from pipelines._mstar_protocols import LISTS, folder_protocols, protocols
from pipelines._steps_before import NOT_SENTINEL_1
from sar_data.labels.splits import split_of
from sar_data.raster import phoenix
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split.folders import Folders
from sar_data.split.policy import SplitPolicy
from sar_data.split.random import Random
from sar_data.split.stratified import Stratified

SDMS = "https://www.sdms.afrl.af.mil/index.php?collection=mstar"


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a chip, from its folders and its header; scenes of clutter are unused."""
    header = phoenix.header(tree.head(unit, phoenix.HEAD_BYTES), size := tree.size(unit), unit)
    files = (SourceFile(unit, size),)
    if header.dtype != ">f4":
        yield Record(
            key=key_of(unit),
            files=files,
            labels={"target": ()},
            shape=header.shape,
            unused="a scene of clutter: take `variant=clutter`",
        )
        return
    chip, file = agree(unit, header), unit.rpartition("/")[2]
    attrs = {"class": chip.name or "", "serial": chip.serial, "depression": chip.depression}
    if header.fields.get("TargetAz"):
        attrs["azimuth_degrees"] = header.fields["TargetAz"]
    label = () if chip.name == SLICY else (CLASSES.index(attrs["class"]),)
    if label and chip.depression in ("15", "17"):
        attrs["list_name"] = f"{'train' if chip.depression == '17' else 'test'}/{LISTED[label[0]]}/{file}"
    collected = re.findall(r"\b(?:COL|SCENE)\d", unit)  # of the mixed targets, which were imaged more than once
    yield Record(
        key=key_of(chip.name, chip.serial, chip.depression, *collected, file),
        files=files,
        labels={"target": label},
        shape=header.shape,
        group=key_of(chip.name, chip.serial, chip.depression),
        place=vehicle(chip),
        attrs=attrs,
        unused=None if label else "SLICY, a calibration target of none of the classes",
    )


def scan_scenes(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a scene of clutter; chips are unused."""
    header = phoenix.header(tree.head(unit, phoenix.HEAD_BYTES), size := tree.size(unit), unit)
    unused = "a chip of a target: take no `variant=…`" if header.dtype == ">f4" else None
    yield Record(key=key_of(unit), files=(SourceFile(unit, size),), shape=header.shape, unused=unused)


def read(tree: Tree, record: Record) -> Sample:
    """Return magnitude and phase of a chip, or the calibrated magnitude of a scene, float32."""
    return Sample(image=phoenix.read(tree.read(path := record.files[0].path), path)[1])


COPY_SPLITS: dict[str, SplitPolicy] = {"folders": Folders(), "stratified": Stratified(), "random": Random()}
LAYOUTS = {
    "JPEG, SOC with train and test": ("SOC/train/2S1/HB*.jpeg", "SOC/test/2S1/HB*.jpeg"),
    "JPEG, ten classes": ("BMP2/HB*.jpg", "T72/HB*.jpg"),
    "JPEG, padded, eight classes": ("Padded_imgs/2S1/HB*.JPG", "Padded_imgs/SLICY/HB*.JPG"),
    "Phoenix, class folders": ("train/BMP2/HB*.000", "test/BMP2/HB*.000"),
}


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of pictures in folders of classes, or of the protocols of the variant jpeg."""
    jpeg = PIPELINE.variants["jpeg"]
    if next(iter(jpeg.units(tree)), None) is not None:
        return jpeg, "JPEG in folders of protocols, read as `variant=jpeg`: there is no Phoenix file"
    if not (files := copied_files(tree)):
        return None
    chips = [by_folders(path).name for path in files]
    parted = any(split_of(path.rpartition("/")[0]) == "train" for path in files)
    splits = {name: policy for name, policy in COPY_SPLITS.items() if parted or name != "folders"}
    note = "; its own split is `split=folders`" if parted else ", without a split of their own"
    counts = f"{len(files):,} pictures of {len({*chips})} targets"
    spec = dataclasses.replace(jpeg.spec, licence=SPEC.licence, sources=(DISCS,), evidence="documents-only")
    pictures = Pipeline(spec=spec, units=copied_files, scan=scan_copied, read=read_picture, splits=splits)
    return pictures, f"JPEG or PNG in folders of classes, {counts}{note}; serial and depression are not known of all"


HH = Band(name="HH", polarization="HH", unit="amplitude", description="magnitude")
PHASE = Band(name="HH_phase", polarization="HH", unit="phase", description="phase in radians")
DISCS = Source(
    name="MSTAR public discs",
    url=SDMS,
    note="targets, mixed targets 1 and 2, T-72 variants 1 and 2, clutter 1 and 2",
    manual="register at the Sensor Data Management System, take the discs and copy them into one folder",
)
HUB = "https://github.com/XAI4SAR/SAR-HUB"
LISTED_BY_HUB = tuple(
    Source(name=name, url=HUB, note="for the split sarhub only", manual="take it from the repository") for name in LISTS
)
JPEGS = Source(
    name="MSTAR_JPEG_E",
    url="https://github.com/waterdisappear/SAR-ATR-HDANet",
    note="CC BY-NC 4.0",
    manual="clone the repository and name its folder Data/MSTAR_JPEG_E",
)
SPEC = DatasetSpec(
    name="mstar",
    version="1.0",
    revision=1,
    title="MSTAR",
    evidence="real-lists",
    bands=(HH, PHASE),
    shape=None,
    dtype="float32",
    pixel_size_m=None,
    tasks=(Task(name="target", kind="multiclass", classes=CLASSES),),
    lists=LISTS,
    sources=(DISCS, *LISTED_BY_HUB),
    licence="public release of the Air Force Research Laboratory, after registration",
    citation="Ross et al. 1998, doi:10.1117/12.321859",
    calibration="calibrated amplitude",
    terrain_corrected=False,
    processing=dataclasses.replace(
        NOT_SENTINEL_1, speckle_filter="none", source="an airborne radar; chips are complex and of one look"
    ),
    range_axis="y",
)
CLUTTER = dataclasses.replace(
    SPEC,
    variant="clutter",
    title="MSTAR, scenes of clutter",
    bands=(HH,),
    tasks=(),
    sources=(DISCS,),
    lists=(),
    evidence="documents-only",
)
JPEG = dataclasses.replace(
    SPEC,
    variant="jpeg",
    title="MSTAR as JPEG",
    bands=(dataclasses.replace(HH, unit="8-bit"),),
    dtype="uint8",
    sources=(JPEGS,),
    lists=(),
    evidence="real-files",
    calibration="stretched",
    processing=NOT_SENTINEL_1,
    licence="CC BY-NC 4.0",
)
PIPELINE = Pipeline(
    spec=SPEC,
    units=partial(walk, pattern=CHIP),
    scan=scan,
    read=read,
    splits=protocols(),
    copies=copies,
    copy_splits=COPY_SPLITS,
    layouts=LAYOUTS,
    variants={
        "clutter": Pipeline(
            spec=CLUTTER, units=partial(walk, pattern=CHIP), scan=scan_scenes, read=read, splits={"random": Random()}
        ),
        "jpeg": Pipeline(
            spec=JPEG,
            units=pictures,
            copies=copies,
            copy_splits=COPY_SPLITS,
            layouts=LAYOUTS,
            scan=scan_pictures,
            read=read_picture,
            splits=folder_protocols(),
        ),
    },
)
