"""Copernicus-Bench: copies of other datasets with lists of train, val and test, a zip each, at one revision.

Addresses and checksums are those that torchgeo downloads by; no zip was at hand. Lists and tables lie in the zip.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from sar_data.spec import Pipeline, Source
from sar_data.split.policy import SplitPolicy

NAME = "copernicus-bench"
REVISION = "9d252acd3aa0e3da3128e05c6f028647f0e48e5f"
HOME = f"https://hf.co/datasets/wangyi111/Copernicus-Bench/resolve/{REVISION}/"


def copy(
    base: Pipeline, path: str, md5: str, *, policy: SplitPolicy, keeps: tuple[str, ...], **changes: Any
) -> Pipeline:
    """Return the variant of a dataset whose source is the zip at `path` of the benchmark.

    `policy` places records by the benchmark's lists; `keeps` names splits of the dataset that suit the copy, too.
    `changes` are of the spec.
    """
    source = Source(name=path.rpartition("/")[2], url=HOME + path, checksum=f"md5:{md5}")
    title = f"{base.spec.title} of Copernicus-Bench"
    return dataclasses.replace(
        base,
        spec=dataclasses.replace(base.spec, variant=NAME, title=title, sources=(source,), lists=(), **changes),
        splits={NAME: policy, **{name: base.splits[name] for name in keeps}},
        copies=None,
        copy_splits={},
        layouts={name: paths for name, paths in base.layouts.items() if name.startswith("Copernicus-Bench")},
        variants={},
    )
