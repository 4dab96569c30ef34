"""Find pipelines: every module of a package named in the entry-point group is a dataset.

The mechanism knows no dataset; a third party registers a package of its own under `sar_data.pipelines`.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from sar_data.errors import UsageError, unknown
from sar_data.spec import Pipeline

GROUP = "sar_data.pipelines"


class Synthesise(Protocol):
    def __call__(self, out: Path, *, count: int, seed: int) -> None: ...


@cache
def modules() -> dict[str, str]:
    """Return dataset file name → module, without importing any of them."""
    found: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        for module in pkgutil.iter_modules(import_module(point.value).__path__):
            if not module.ispkg and not module.name.startswith("_"):
                found.setdefault(module.name, f"{point.value}.{module.name}")
    return found


def names() -> list[str]:
    """Return the datasets' names as they are typed, sorted."""
    return sorted(name.replace("_", "-") for name in modules())


def pipeline(name: str, variant: str | None = None) -> Pipeline:
    """Return a dataset's pipeline or a variant of it; `name` may be written with hyphens or underscores."""
    module = modules().get(name.replace("-", "_"))
    if module is None:
        raise unknown("dataset", name.replace("_", "-"), names())
    found = cast(Pipeline, import_module(module).PIPELINE)
    if variant is None:
        return found
    if variant not in found.variants:
        raise unknown(f"variant of {found.spec.name}", variant, found.variants)
    return found.variants[variant]


def synthesise(name: str) -> Synthesise:
    """Return the generator of a dataset's miniature archive, found under the same name in the package's synth."""
    module = modules().get(name.replace("-", "_"))
    if module is None:
        raise unknown("dataset", name.replace("_", "-"), names())
    package, stem = module.rsplit(".", 1)
    try:
        return cast(Synthesise, import_module(f"{package}.synth.{stem}").synthesise)
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} has no generator: expected the module {package}.synth.{stem}") from error
