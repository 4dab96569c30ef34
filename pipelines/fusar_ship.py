"""FUSAR-Ship 1.0: more than 5,000 chips of ships in 126 Gaofen-3 scenes, 15 categories and 98 kinds of ship.

A sample is <Category>/<Subcategory>/Ship_C<category>S<subcategory>N<number>.tiff, said to be 512x512 pixels of 8 bits
with the ship in the middle, cut from level 1A. What is odd about the data:
- The codes C01, C03, C04, C08, C12 and C13 are Cargo, Dredger, Fishing, Passenger, Tanker and Tug by published lists;
  the others are inferred from the alphabet. A code in two folders, or another one than is known, stops the build.
- meta.csv has tabs or commas, and paths with backslashes; it is joined by the name of the chip. It may come as
  meta.xls, which is not read: save it as meta.csv. One ship (MMSI) has several chips, which is what "group" keeps
  together. There is neither date nor place, and the polarization is that of the scene (DH, DV), not of the chip.
- Chips without a ship (bridges, coast, islands, clutter) lie in folders whose names nobody documents: they are
  counted as unused. dtype and size are looked at; the build says what it found.
- There is no official split. "sarhub" is that of SAR-HUB, six classes, FSS_FuSAR_train6.txt and FSS_FuSAR_test6.txt.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterator
from functools import partial

from pipelines._fusar_ship import CLASSES, COLUMNS, FILE, LISTED, about, category, discover, folder_of_code, walk
from pipelines._steps_before import NOT_SENTINEL_1
from sar_data.errors import BadRecord
from sar_data.naming import few
from sar_data.raster import picture
from sar_data.record import Record, Sample, SourceFile
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree, Unit
from sar_data.split import group, path_lists, random, stratified

LISTS = ("FSS_FuSAR_train6.txt", "FSS_FuSAR_test6.txt")
HUB = "https://github.com/XAI4SAR/SAR-HUB"


def units(tree: Tree) -> Iterator[str]:
    """Yield the chips, those without a ship as well; nothing where no name is that of a chip with a ship."""
    chips = [path for path in walk(tree) if path.lower().endswith((".tif", ".tiff"))]
    yield from chips if any(FILE.fullmatch(posixpath.basename(path)) for path in chips) else ()


def scan(tree: Tree, unit: str, table: str = "", flat: bool = False) -> Iterator[Record]:
    """Yield the chip's record, from its name, its folders and its row of the table."""
    folder, name = posixpath.split(unit)
    files, named = (SourceFile(unit, tree.size(unit)),), FILE.fullmatch(name)
    if named is None:
        reason = f"no ship by its name, in the folder {posixpath.basename(folder) or '.'}"
        yield Record(key=re.sub(r"[^\w-]+", "_", unit), files=files, labels={"category": ()}, unused=reason)
        return
    row = about(tree, table).get(named[1], {}) if table else {}
    stated = row.get("path", "").replace("\\", "/").removesuffix(name).strip("./")
    code = int(named["code"])
    where = stated or folder_of_code(code) if flat else folder
    if (kind := category(f"{where}/")) is None:
        raise BadRecord(unit, f"expected a folder of one of the categories {few(CLASSES)}, found {folder or '.'}")
    if code in LISTED and CLASSES[code - 1] != kind:
        raise BadRecord(unit, f"expected C{code:02} in the folder {CLASSES[code - 1]}, found it in {kind}")
    if stated and not flat and not f"/{folder}/".endswith(f"/{stated}/"):
        raise BadRecord(unit, f"expected it in {stated}, as {table} says, found it in {folder}")
    known = {new: row[old] for old, new in COLUMNS.items() if row.get(old, "").lower() not in ("", "nan")}
    below = where.split("/")[where.split("/").index(kind) + 1 :]
    yield Record(
        key=named[1],
        files=files,
        labels={"category": (CLASSES.index(kind),)},
        group=known.get("mmsi", named[1]) if table else None,
        place=known.get("mmsi"),
        attrs={"code": named[1][5:11], **({"subcategory": below[-1]} if below else {}), **known},
    )


def read(tree: Tree, record: Record, shape: tuple[int, int] = (512, 512), dtype: str = "uint8") -> Sample:
    """Return the chip's one band as the file has it."""
    return picture.read(tree, record.files[0].path, shape=shape, dtypes=(dtype,))


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of the codes, dtype and size in `tree`; raise SourceError where they are not clear."""
    layout = discover(tree)
    first = {posixpath.dirname(path): path for path in reversed(layout.chips)}
    dtype, shape, _ = picture.single_kind(tree, sorted(first.values())[:24])
    unit: Unit = "8-bit" if dtype == "uint8" else "DN"
    spec = PIPELINE.spec
    bands = (dataclasses.replace(spec.bands[0], unit=unit),)
    calibration = "stretched" if unit == "8-bit" else "DN"
    return dataclasses.replace(
        PIPELINE,
        scan=partial(scan, table=layout.table, flat=layout.flat),
        read=partial(read, shape=shape, dtype=dtype),
        fit=None,
        spec=dataclasses.replace(spec, bands=bands, shape=shape, dtype=dtype, calibration=calibration),
    ), (*layout.sentences, f"{dtype}, {shape[0]}x{shape[1]}, taken for {unit}")


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="fusar-ship",
        aliases=("fusar", "fusarship"),
        version="1.0",
        revision=1,
        title="FUSAR-Ship 1.0",
        evidence="real-lists",
        bands=(Band(name="intensity", polarization="", unit="8-bit", description="of a scene in DH or DV mode"),),
        shape=(512, 512),
        dtype="uint8",
        pixel_size_m=None,
        lists=LISTS,
        tasks=(Task(name="category", kind="multiclass", classes=CLASSES),),
        sources=(
            Source(
                name="FUSAR_Ship1.0.zip",
                url="https://emwlab.fudan.edu.cn/resources/list.htm",
                manual="take it from the resources page of the laboratory, or from radars.ac.cn "
                "(getData?dataType=FUSAR), and unpack it",
            ),
            *(
                Source(name=name, url=HUB, note="for the split sarhub only", manual="take it from the repository")
                for name in LISTS
            ),
        ),
        licence="none stated; a citation is asked for",
        citation="Hou et al. 2020, doi:10.1007/s11432-019-2772-5",
        calibration="stretched",
        terrain_corrected=False,
        processing=NOT_SENTINEL_1,
        symmetries=(),
    ),
    units=units,
    scan=scan,
    read=read,
    fit=fit,
    layouts={"flat": ("Ship_*.tiff", "meta.csv"), "zipped": ("*.zip",)},
    splits={
        "group": group.Group(),
        "stratified": stratified.Stratified(),
        "random": random.Random(),
        "sarhub": path_lists.PathLists(train=LISTS[0], val=None, test=LISTS[1], pattern=r"(Ship_C\d{2}S\d{2}N\d{4})"),
    },
)
