"""Find pipelines: every module of a package named in the entry-point group is a dataset.

The mechanism knows no dataset; a third party registers a package of its own under `sar_data.pipelines`.
"""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from sar_data.errors import UsageError, unknown
from sar_data.naming import fold
from sar_data.spec import DatasetSpec, Pipeline, sample_shape

if TYPE_CHECKING:
    from sar_data.sources.outline import Branch

GROUP, OWN = "sar_data.pipelines", "pipelines"
MINIATURE = 12  # samples in which every kind of folder of a published tree occurs


class Synthesise(Protocol):
    def __call__(self, out: Path, *, count: int, seed: int) -> None: ...


@cache
def _find_modules() -> tuple[dict[str, str], list[str]]:
    """Return dataset file name → module, without importing any of them, and what is wrong with entry points."""
    modules: dict[str, str] = {}
    wrong: list[str] = []
    # Our own come first: a third party cannot take a name that is there.
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.value != OWN, point.name)):
        try:
            folders = import_module(point.value).__path__
        except (ImportError, AttributeError, ValueError) as error:
            wrong.append(f"entry point {point.name} = {point.value!r}: expected a package of pipelines ({error})")
            continue
        for module in pkgutil.iter_modules(folders):
            if module.ispkg or module.name.startswith("_"):
                continue
            name = f"{point.value}.{module.name}"
            if modules.setdefault(module.name, name) != name:
                wrong.append(f"{name}: there is a dataset of that name already, {modules[module.name]}")
    return modules, wrong


def modules() -> dict[str, str]:
    """Return dataset file name → module, without importing any of them."""
    return _find_modules()[0]


def wrong() -> list[str]:
    """Return what is wrong with the entry points of the environment, in sentences."""
    return _find_modules()[1]


def names() -> list[str]:
    """Return the datasets' names as they are typed, sorted."""
    return sorted(name.replace("_", "-") for name in modules())


@cache
def aliases() -> dict[str, list[str]]:
    """Return alias → the datasets that declare it; more than one is ambiguous. Imports every pipeline."""
    names_by_alias: dict[str, list[str]] = {}
    for name in names():
        with suppress(UsageError):  # a module that is no pipeline: `datasets` says so
            for alias in _pipeline(modules()[name.replace("-", "_")]).spec.aliases:
                names_by_alias.setdefault(fold(alias), []).append(name)
    return names_by_alias


def resolve(name: str) -> str:
    """Return a dataset's own name; `name` may be an alias, in any case, with hyphens or underscores.

    It may also be that of the flow that builds it, such as build-ssdd. Raises UsageError for a name that is not there,
    and for an alias of several datasets.
    """
    own = {fold(known): known for known in names()}
    short = fold(name).removeprefix("build-")
    if short in own:
        return own[short]
    datasets = aliases().get(short, [])
    if not datasets:
        raise unknown("dataset", name, own.values(), aliases())
    if len(datasets) > 1:
        raise UsageError(f"{name} may be {' or '.join(datasets)}: say which")
    return datasets[0]


def module_of(name: str) -> str:
    """Return the module of a dataset, by any of its names. Raises UsageError."""
    return modules()[resolve(name).replace("-", "_")]


def pipeline(name: str, variant: str | None = None) -> Pipeline:
    """Return a dataset's pipeline or a variant of it, by any of its names.

    Raise UsageError for a name that is not there, and for a module that is no pipeline of its name.
    """
    return variant_of(_pipeline(module_of(name)), variant)


def variant_of(original: Pipeline, variant: str | None) -> Pipeline:
    """Return a pipeline's variant, the pipeline itself for None; raise UsageError for one that it has not."""
    if variant is None:
        return original
    if variant not in original.variants:
        raise unknown(f"variant of {original.spec.name}", variant, original.variants)
    return original.variants[variant]


def _pipeline(module: str) -> Pipeline:
    try:
        loaded = import_module(module).PIPELINE
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{module}: expected a module with PIPELINE, found none ({error}). Helpers begin with _"
        ) from error
    if not isinstance(loaded, Pipeline) or loaded.spec.name.replace("-", "_") != module.rpartition(".")[2]:
        kind = loaded.spec.name if isinstance(loaded, Pipeline) else type(loaded).__name__
        raise UsageError(f"{module}: expected the pipeline of a dataset of that name, found {kind}")
    return loaded


def sound() -> tuple[dict[str, Pipeline], list[str]]:
    """Return every dataset's pipeline by name, and in sentences what is left out and why."""
    pipelines: dict[str, Pipeline] = {}
    out = list(wrong())
    for name in names():
        try:
            pipelines[name] = pipeline(name)
        except UsageError as error:
            out.append(str(error))
    return pipelines, out


def datasets() -> list[dict[str, Any]]:
    """Return a row of plain values for every dataset that can be built: tasks, bands, size, licence, splits."""
    return [
        {
            "name": name,
            "aliases": list(p.spec.aliases),
            "title": p.spec.title,
            "tasks": [task.kind for task in p.spec.tasks] or ["none"],
            "bands": [band.name for band in p.spec.bands],
            "units": list(dict.fromkeys(p.spec.units)),
            "sample": f"{sample_shape(p.spec.frames, len(p.spec.bands), p.spec.shape)} {p.spec.dtype}",
            "samples": p.spec.samples,
            "licence": p.spec.licence,
            "source": _by_hand(p.spec),
            "evidence": p.spec.evidence,
            "variants": list(p.variants),
            "splits": list(p.splits),
        }
        for name, p in sound()[0].items()
    ]


def info(name: str, *, tree: bool = False) -> dict[str, Any]:
    """Return all that is known of a dataset, by any of its names, as plain values.

    These are the fields of its DatasetSpec, `splits` (policy → parameters), `variants` (name → title), `layouts` (of
    copies: name → paths) and `layout`, which says what is odd about its files; with `tree`, the lines of the published
    tree as well. Raises UsageError for a name that is not there.
    """
    dataset = pipeline(name)
    return {
        **({"tree": list(published_tree(name).lines())} if tree else {}),
        **dataclasses.asdict(dataset.spec),
        "splits": {
            split: dataclasses.asdict(policy)
            if dataclasses.is_dataclass(policy) and not isinstance(policy, type)
            else {}
            for split, policy in dataset.splits.items()
        },
        "variants": {variant: other.spec.title for variant, other in dataset.variants.items()},
        "layouts": {layout: list(paths) for layout, paths in dataset.layouts.items()},
        "layout": inspect.cleandoc(import_module(module_of(name)).__doc__ or ""),
    }


def _by_hand(spec: DatasetSpec) -> str:
    """Say whether the data come by themselves or by a person's hand; lists do not count."""
    manual = [bool(source.manual) for source in spec.sources if source.name not in spec.lists]
    if not manual:
        return "your own"
    return "manual" if all(manual) else "both" if any(manual) else "automatic"


def published_tree(name: str) -> Branch:
    """Return the outline of the published tree, as the dataset's generator writes it; raise UsageError without one."""
    from sar_data.sources.outline import outline
    from sar_data.sources.tree import Folder

    make = synthesise(name)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), count=MINIATURE, seed=0)
        return outline(Folder.at(Path(folder)))


def synthesise(name: str, variant: str | None = None) -> Synthesise:
    """Return the generator of a dataset's miniature archive, found under the same name in the package's synth.

    That module's GENERATORS has the generators of variants that lie in files of their own; the others read the same
    archive. Raises UsageError for a variant that is not there, and without a generator.
    """
    pipeline(name, variant)
    package, stem = module_of(name).rsplit(".", 1)
    try:
        module = import_module(f"{package}.synth.{stem}")
        return cast(Synthesise, getattr(module, "GENERATORS", {}).get(variant, module.synthesise))
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} has no generator: expected the module {package}.synth.{stem}") from error
