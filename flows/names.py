"""The name of a run: its action and its subject, such as `ssdd-lmdb-official` or `verify-ssdd-lmdb-3fa91c07`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from prefect.runtime import flow_run

from sar_data import catalog
from sar_data.errors import SarDataError

# Of a flow that builds nothing: the parameters that name its subject.
SUBJECTS = {
    "convert": ("parent", "format"),
    "export-build": ("target", "path"),
    "rebuild": ("path",),
    "verify": ("path",),
    "repair": ("path",),
    "diff": ("path", "other"),
    "leakage": ("path", "against"),
    "report": ("path",),
    "stats": ("path", "by"),
    "shift": ("path", "by"),
    "against": ("path", "other"),
    "looks": ("path", "split"),
    "plan": ("dataset",),
    "scenes": ("dataset", "catalogue"),
    "train": ("job", "build", "out"),
    "evaluate": ("run", "build", "split"),
    "predict": ("run", "source"),
    "embed": ("source", "build"),
    "explain": ("source", "build"),
    "export": ("run", "to"),
    "benchmark": ("suite", "weights"),
    "compare": ("runs", "split"),
    "train-report": ("runs",),
}
DEPTH = 3  # a build is DATASET/VERSION/FORMAT-RECIPE


def run_name(**fixed: str) -> str:
    """Return the name of the run that begins now; `fixed` has parameters that its flow lacks."""
    return name_of(str(flow_run.flow_name), {**flow_run.parameters, **fixed})


def name_of(flow: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a run of a flow with these parameters."""
    if flow not in SUBJECTS:
        return _build(parameters) + ("-and-train" if flow == "build-and-train" else "")
    words = [_word(value) for name in SUBJECTS[flow] if (value := parameters.get(name)) is not None]
    return "-".join(words if flow == "train" else [flow, *words])


def _build(parameters: Mapping[str, Any]) -> str:
    """Return dataset, variant, container and split of a build; the defaults of the dataset fill the gaps."""
    dataset, variant = str(parameters["dataset"]), parameters.get("variant")
    format, split = parameters.get("format"), parameters.get("split")
    try:
        pipeline = catalog.pipeline(dataset, variant)
        format, split = format or pipeline.spec.container, split or next(iter(pipeline.splits), None)
    except SarDataError:  # the run itself raises this error
        pass
    split = None if split is None else str(split).partition(":")[0]
    return "-".join(_word(value) for value in (dataset, variant, format, split) if value is not None)


def _word(value: Any) -> str:
    """Return a parameter in a name: a build by dataset, container and recipe, another path by its last part."""
    if isinstance(value, list | tuple):
        return "+".join(_word(item) for item in value[:3]) + ("+…" if len(value) > 3 else "")
    parts = PurePath(str(value)).parts
    build = len(parts) > DEPTH and parts[-1].partition("-")[0] in ("zarr", "webdataset", "lmdb")
    return f"{parts[-DEPTH]}-{parts[-1]}" if build else parts[-1] if parts else ""
