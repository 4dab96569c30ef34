"""Any image set that comes as lists: train.txt, val.txt and test.txt with a line `path label` each.

TerraSAR-X chips, few-shot lists of SAR-HUB and most sets on a lab's own disk look like this; none of it is published
under one name. It is the list form of `custom`: the source folder holds the lists (train.txt, train.csv, train_list.txt
and their like, with a heading or without) and, below it, the images: GeoTIFF, PNG, JPEG or .npy. What is odd:
- Paths may lack their ending, begin with "/" or carry the folders of another machine: the longest end that exists wins.
- Labels are numbers, or names; names need classes.txt, one a line in canonical order, for their order is a fact. Lists
  of paths alone make a set without labels.
- Nothing tells bands, unit and licence. dataset.toml may (`sar-data init DIR` begins it). Without it bands are
  numbered, 8-bit pictures have the unit "8-bit" and all else "DN": numbers of unknown meaning.
The build says what it found. The lists are the split "official"; leakage is known where the images are georeferenced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from sar_data.errors import BadRecord, SourceError
from sar_data.labels.lists import list_names, locate
from sar_data.own.classes import NAMES
from sar_data.own.declaration import NAME, read_declaration
from sar_data.own.pipeline import by_lists, pipeline_of, undeclared_spec
from sar_data.own.survey import lists_of
from sar_data.raster import any_format
from sar_data.spec import Pipeline, Tree
from sar_data.text import decode

HEAD, MOST_HEADINGS = 4096, 3  # bytes and lines of a list, in which a path stands if it is one


def units(tree: Tree) -> list[str]:
    """Return the lists at the root, where no declaration says otherwise; tables of other things are none."""
    lists = {} if NAME in tree.files() else lists_of(tree, ())
    return [path for path in lists.values() if path.endswith(".txt") or _names_an_image(tree, path)]


def _names_an_image(tree: Tree, path: str) -> bool:
    """Say whether one of the first lines of a list has the path of an image in it."""
    lines = decode(tree.head(path, HEAD)).splitlines()[:MOST_HEADINGS]
    words = [word.strip("\"'") for line in lines for word in re.split(r"[\s,;|]+", line)]
    return any(locate(word, any_format.ENDINGS, partial(_exists, tree)) for word in words if word)


def _exists(tree: Tree, path: str) -> bool:
    try:
        return tree.size(path) >= 0
    except BadRecord:
        return False


def fit(
    tree: Tree, base: Pipeline, fields: Mapping[str, object] | None = None, unit: str | None = None
) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of the lists in `tree`; raise SourceError where they do not tell one dataset."""
    list_names(tree.files(), "the source")
    stated, _ = read_declaration(tree, fields)
    pipeline, sentences = by_lists(tree, base, fields, unit)
    named = any(not label.isdecimal() for task in pipeline.spec.tasks for label in task.classes)
    if named and not stated.classes and NAMES not in tree.files():
        raise SourceError(f"expected labels that are numbers, or {NAMES} with their names in canonical order")
    return pipeline, sentences


PIPELINE = pipeline_of(undeclared_spec("path-label", "Images by list"), units, fit)
