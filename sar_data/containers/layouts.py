"""How other programs lay out the samples of their containers: names of keys and columns, order of tuples and axes.

Import reads by this module and export writes by it, so that both mean the same. Sources: the loaders of FG-MAE and
SSL4EO-S12 (`bigearthnet_dataset_{official,seco}_lmdb_s1_float32.py`, `ssl4eo_dataset_lmdb.py`), ConfigILM 0.7
(`BENv2_utils.py`), rico-hdl, the readers of webdataset and datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleLayout:
    """One value of an LMDB of pickled tuples: what its parts are, in order.

    Keys are decimal numbers from 0 without leading zeros, in ASCII. An `image` is the bytes of an array in C order,
    little-endian, and `shape` its shape as a tuple of ints; `optical` and `optical_shape` are those of the Sentinel-2
    partner, which a SAR loader does not look at. A `target` is the bytes of float32 [class], 1 for each class that
    the sample has. `axes` are those of the image: y, x, band, or frame, band, y, x. `bands` are in the order in which
    the layout's own writer stores them; other people's files of the same layout may differ.
    """

    name: str
    parts: tuple[str, ...]
    axes: str
    bands: tuple[str, ...]
    file: str
    """Name of the environment's folder, with {split}."""


OFFICIAL = PickleLayout(
    name="fgmae",
    parts=("optical", "optical_shape", "image", "shape", "target"),
    axes="yxb",
    bands=("VV", "VH"),
    file="{split}_B12_B2.lmdb",
)
SECO = PickleLayout(
    name="seco", parts=("image", "shape", "target"), axes="yxb", bands=("VH", "VV"), file="{split}_B12.lmdb"
)
SSL4EO = PickleLayout(name="ssl4eo", parts=("image", "shape"), axes="fbyx", bands=("VV", "VH"), file="{split}.lmdb")
PICKLES: Mapping[int, PickleLayout] = {len(layout.parts): layout for layout in (OFFICIAL, SECO, SSL4EO)}
"""Number of parts of a tuple → its layout."""
KEYS_FILE = "{split}.keys.txt"  # beside the environments that our export writes: line n is the name of key n
PICKLE_DTYPE, TARGET_DTYPE = "<f4", "<f4"

# ConfigILM 0.7 and rico-hdl: one LMDB over all splits, key = the name of the Sentinel-1 patch, value = safetensors of
# one tensor [y, x] a band, called by the band. What a patch is stands in a Parquet table beside it.
CONFIGILM_COLUMNS = (
    "patch_id",
    "labels",  # list of names, in alphabetical order
    "split",
    "country",
    "s1_name",
    "s2v1_name",
    "contains_seasonal_snow",
    "contains_cloud_or_shadow",
)
CONFIGILM_SPLITS: Mapping[str, str] = {"train": "train", "val": "validation", "test": "test"}
CONFIGILM_TABLE = "metadata.parquet"

# WebDataset: SHARD.tar with KEY.EXTENSION; all members of one key are one sample and lie side by side.
IMAGE_EXTENSIONS = ("npy", "npz", "tif", "tiff", "png", "jpg", "jpeg")  # the first that a key has is its image
CLASS_EXTENSION = "cls"  # one whole number in ASCII, or the name of a class
DOCUMENT_EXTENSION = "json"  # an object; a label stands under one of LABEL_FIELDS
SHARD = "{split}-{number:06d}.tar"

# Fields of JSON members, columns of Arrow and Parquet tables: the usual names, the most likely first.
KEY_FIELDS = ("key", "__key__", "id", "image_id", "name", "filename", "patch_id")
IMAGE_FIELDS = ("image", "img", "array", "pixels", "data")
LABEL_FIELDS = ("labels", "label", "cls", "class", "target", "category")
SPLIT_FIELDS = ("split", "subset", "partition")
BANDS_FIELD = "bands"  # names of the bands in the order of the image

DATES_FIELD = "dates"  # of a sample of several dates, in our own exports: role, time, platform, relative_orbit of each
EXPORT_FILE = "sar-data.json"  # beside the files of each of our exports: what the build was, and what was lost

# Folders of arrays: SPLIT.txt has a line `path label` for each; several labels are parted by commas.
LIST_FILE = "{split}.txt"
