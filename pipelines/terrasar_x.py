"""TerraSAR-X chips of 32 land cover classes, as SAR-HUB trains on them: pictures, and lists of `path label` lines.

The set is not public. SAR-HUB's loaders show its form: TSXdatasetOctavian/<path>.jpg, or TSXdataset_npy_new/<path>.npy,
and train.txt and test.txt with a path and a number from 0 to 31 a line. Whoever has it builds it from these lists. What
is odd about it:
- No document names the 32 classes: they are called "0" to "31".
- Pictures are one channel in HH, tone-mapped (Reinhard), so that no backscatter can be recovered: 8-bit, or the arrays
  that were made of them, whose unit is unknown ("DN").
- Sizes are not told; chips of several sizes need `crop=…`, or a container that takes them as they are.
- SAR-HUB's figures (mean 0.1772, std 0.0237) are of its tone-mapped values, not of radar amplitudes.
It is the entry of a reproduction that stops at the data: `path-label` reads lists of any other set.
"""

from __future__ import annotations

import dataclasses

from pipelines._steps_before import NOT_SENTINEL_1
from sar_data.own.pipeline import by_lists, pipeline_of
from sar_data.own.survey import lists_of
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree

FOLDER = "TSX"  # with which the names of the folders of pictures begin
CLASSES = tuple(map(str, range(32)))
FIELDS = {"split": "lists", "labels": "lists", "bands": ["HH"], "classes": list(CLASSES)}


def units(tree: Tree) -> list[str]:
    """Return the lists beside a folder whose name begins as those of SAR-HUB do."""
    return list(lists_of(tree).values()) if any(name.startswith(FOLDER) for name in tree.folders()) else []


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Return the pipeline of the lists in a tree; raise SourceError where they do not tell the set."""
    pipeline, sentences = by_lists(tree, PIPELINE, FIELDS)
    spec = dataclasses.replace(SPEC, bands=pipeline.spec.bands, shape=pipeline.spec.shape, dtype=pipeline.spec.dtype)
    return dataclasses.replace(pipeline, spec=spec), sentences


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of lists beside pictures in folders of other names."""
    if not lists_of(tree):
        return None
    pipeline, sentences = fit(tree)
    return pipeline, f"lists beside folders of other names; {'; '.join(sentences)}"


SPEC = DatasetSpec(
    name="terrasar-x",
    aliases=("terrasar", "tsx"),
    version="1.0",
    revision=1,
    title="TerraSAR-X, 32 classes",
    evidence="documents-only",
    bands=(Band(name="HH", polarization="HH", unit="8-bit", description="tone-mapped amplitude"),),
    shape=None,
    dtype="uint8",
    pixel_size_m=None,
    calibration="stretched",
    processing=NOT_SENTINEL_1,
    range_axis="unknown",
    symmetries=(),
    tasks=(Task(name="class", kind="multiclass", classes=CLASSES),),
    sources=(
        Source(
            name="TSXdatasetOctavian",
            url="https://github.com/XAI4SAR/SAR-HUB",
            manual="it is not public: ask the authors of SAR-HUB for the pictures and the lists",
        ),
    ),
    lists=(),
    licence="not released",
    citation="Yang et al. 2023, SAR-HUB: Pre-Training, Fine-Tuning, and Explaining, Remote Sensing 15(23):5534",
)
PIPELINE = dataclasses.replace(
    pipeline_of(SPEC, units),
    fit=fit,
    declare=None,
    copies=copies,
    layouts={"lists beside other folders": ("train.txt", "test.txt", "*/*.jpg")},
)
