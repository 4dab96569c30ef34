"""OMBRIA: 844 places before and after a flood, Sentinel-1 and masks of the water that came, in 8-bit pictures.

A place is three PNGs of 256x256 pixels of 10 m, VV before (pre) and after (post) and a mask: 694 of the floods of 2017
to 2020 below OmbriaS1, and 150 of four floods below 2021. The optical pairs (OmbriaS2) have the same masks and are not
read. What is odd about them:
- Every picture was stretched to its own least and largest value: two dates cannot be compared by their brightness, no
  dB can be recovered, and the unit says so. Date, platform and orbit are not told.
- A mask holds 0 and 255, which is flood here, not "ignored".
- Tiles are numbered along their scenes, and the official test numbers lie among the train numbers: of 61 of 70 test
  tiles the edges fit a train tile within 12 numbers best. So "footprints" here are numbers: a tile lies at 256 times
  its own, and "blocks" leaves a buffer of 12 numbers. The numbers of 2021 count for each flood anew.
- The floods of 2021 are held out, each by a split of its name. The authors' notebook keeps the tiles that their model
  did best on, and the numbers of Guyana, Albania and Timor have gaps: attribute "selection" says so. France 2021, the
  split "france", is the honest hold-out. A flood covers 33 % of the tiles of train and test, and 11 % of those of 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.record import Date, Record, Sample, SourceFile, window_of
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import attribute_rules, blocks, declared
from sar_data.split.policy import SplitPolicy

NUMBER = re.compile(r"_(\d+)\.png")
EVENTS = ("FRANCE", "ALBANIA", "GUYANA", "TIMOR")
LIKELY, WHOLE = "by model score (likely)", "none: all tiles"
OF_BEFORE = ("BEFORE/S1_before", "AFTER/S1_after", "MASK/S1_mask")  # the floods before 2021
OF_2021 = ("BEFORE/imbefore", "AFTER/imafter", "MASK/gt")
SIDE, BUFFER, RUN = 256, 12, 60  # pixels of a tile; numbers between two splits, and of a block
SCENES = "OMBRIA, by number"


def units(tree: Tree) -> Iterator[str]:
    """Yield a place by any of its three pictures: what lacks of the others, `scan` names."""
    tops = tree.folders()
    homes = [f"OmbriaS1/{part}" for part in tree.folders("OmbriaS1")] if "OmbriaS1" in tops else []
    homes += [f"2021/{name}/Sentinel1" for name in tree.folders("2021") if name in EVENTS] if "2021" in tops else []
    for home in homes:
        names = (name for part in tree.folders(home) for name in tree.files(f"{home}/{part}"))
        yield from {f"{home}/{found[1]}" for name in names if (found := NUMBER.search(name))}


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of a place, from the names and heads of its pictures."""
    folder, _, number = unit.rpartition("/")
    top, part = folder.split("/")[:2]
    files = [f"{folder}/{name}_{number}.png" for name in (OF_2021 if top == "2021" else OF_BEFORE)]
    for path in files:
        if (found := image.dimensions(tree, path)) != (SIDE, SIDE):
            raise BadRecord(path, f"expected 256x256 pixels, as both dates and their mask, found {found[0]}x{found[1]}")
    sources = tuple(SourceFile(path, tree.size(path)) for path in files)
    dates, labels = (Date(role="pre"), Date(role="post")), {"flood": ()}
    place = partial(window_of, row=0, column=SIDE * int(number), height=SIDE, width=SIDE)
    if top == "2021":
        key, selection = f"2021_{part}_{number}", WHOLE if part == "FRANCE" else LIKELY
        attrs = {"event": part, "selection": selection, "number": number}
        yield Record(key=key, files=sources, labels=labels, dates=dates, attrs=attrs, **place(f"{SCENES}, {part} 2021"))
    else:
        key, attrs = f"S1_{number}", {"part": part, "number": number}
        yield Record(key=key, files=sources, labels=labels, dates=dates, official=part, attrs=attrs, **place(SCENES))


def read(tree: Tree, record: Record) -> Sample:
    """Return VV of both dates, uint8 [2, 1, 256, 256], and the mask: 1 where water came."""
    *dates, mask = (image.grey(tree.read(file.path), file.path, shape=(SIDE, SIDE)) for file in record.files)
    if len(strange := np.setdiff1d(mask, (0, 255))):
        raise BadRecord(record.files[-1].path, f"expected a mask of 0 and 255, found {strange[0]}")
    return Sample(image=np.stack(dates), mask=(mask[0] == 255).astype(np.uint8))


def held_out(event: str) -> SplitPolicy:
    """Return the split that trains on official train, chooses on official test, and tests on one flood of 2021."""
    others = "another flood of 2021"
    return attribute_rules.AttributeRules(
        train=("part=train",), val=("part=test",), test=(f"event={event}",), otherwise=others
    )


HOW = "git clone https://github.com/geodrak/OMBRIA, commit 38a4903 (188 MB); neither size nor checksum is known"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="ombria",
        version="1.0",
        revision=1,
        title="OMBRIA, Sentinel-1 before and after floods",
        evidence="real-files",
        samples=844,
        published={"train": 624, "test": 70},
        bands=(Band(name="VV", polarization="VV", unit="8-bit", description="VV, each picture stretched by its own"),),
        shape=(SIDE, SIDE),
        frames=2,
        dtype="uint8",
        pixel_size_m=10.0,
        tasks=(Task(name="flood", kind="change", classes=("unchanged", "flood")),),
        lists=(),
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        sources=(Source(name="OMBRIA", url="https://github.com/geodrak/OMBRIA", about=188_000_000, manual=HOW),),
        licence="none stated: ask the authors before you share it",
        citation="Drakonakis et al. 2022, OmbriaNet, doi:10.1109/JSTARS.2022.3155559",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={
        "official": declared.Declared(otherwise="a flood of 2021"),
        "blocks": blocks.Blocks(size=RUN, buffer=BUFFER, frame=f"pixels of {SCENES}"),
        **{event.lower(): held_out(event) for event in EVENTS},
    },
)
