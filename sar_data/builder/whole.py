"""A whole build made again where its manifest or its index is damaged, so that its recipe proves what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sar_data import formats
from sar_data.builder.draft import Draft
from sar_data.builder.open import begin
from sar_data.builder.pack import pack
from sar_data.builder.prepare import prepare
from sar_data.builder.rebuild import RebuildRequest, lossless_request, open_build, sources_of
from sar_data.builder.recorded import planned_slots, recorded_plan
from sar_data.builder.repack import prepare_repack
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.builder.seal import seal
from sar_data.errors import BuildError, SarDataError, TargetError
from sar_data.progress import Progress, Say
from sar_data.runners import Runner
from sar_data.sealed.documents import REQUIRED, Applied, SplitPolicyDocument
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import RECIPE


def build_whole(
    request: RebuildRequest, manifest: Manifest | None, runner: Runner, progress: Progress | None, say: Say | None
) -> Build:
    """Return the build at `request.path`, made again below `request.out`; `manifest` is its own, None if it is damaged.

    Raises BuildError where no build of the source has its recipe, SourceError where the source is another one.
    """
    other = open_build(request.source)
    if manifest is not None and other is not None and other.manifest.content_digest == manifest.content_digest:
        origin, index, counts = sources_of(request, manifest, other.index(), None, progress, say)
        slots = planned_slots(manifest, index)
        plan = recorded_plan(manifest, index, origin, before=counts)
        return _complete(begin(request.out, plan, slots.splits, slots.shards, slots.parts()), runner, progress)
    container, _, recipe = request.path.resolve().name.partition("-")
    expected = manifest.recipe_digest if manifest is not None else recipe
    for candidate in _candidates(request, manifest, other, container) if RECIPE.match(expected) else ():
        try:
            if isinstance(candidate, ConvertRequest):
                draft = prepare_repack(Build.open(candidate.parent), candidate, runner, progress)
            else:
                draft = prepare(candidate, runner, progress)
        except TargetError:
            raise
        except SarDataError:
            continue  # it does not fit the source
        if draft.job.recipe.startswith(expected):
            return _complete(draft, runner, progress)
        draft.target.release()
    name = NAME if manifest is None else INDEX_NAME
    raise BuildError(
        f"{request.path}: {name} is damaged, and no build of {request.source} has the recipe {expected[:8]}: take a "
        "build of the same content as the source, or run the same `build` again, which sets the damaged one aside"
    )


def _complete(draft: Draft, runner: Runner, progress: Progress | None) -> Build:
    with draft:
        pack([draft], runner, progress)
        return seal(draft, runner, progress)


def _candidates(
    request: RebuildRequest, manifest: Manifest | None, other: Build | None, container: str
) -> Iterator[BuildRequest | ConvertRequest]:
    """Yield the requests that may have made the build: as its manifest says, or with the defaults of its dataset."""
    if manifest is not None:
        packing: dict[str, Any] = {"format": manifest.format, "compression": manifest.compression or "none"}
        if other is not None:
            changes = _changes(manifest.applied[len(other.manifest.applied) :])
            yield ConvertRequest(parent=other.path, out=request.out, **packing, **changes)
        elif manifest.parent is None:
            asked = lossless_request(request, manifest)
            known = {name: manifest.recipe[name] for name in ("shard_length", "limit", "statistics")}
            split = {"split": _split(manifest.split_policy), "seed": manifest.split_policy.seed}
            bad = "quarantine" if manifest.quarantine else "stop"
            for rehash in (False, True):
                yield replace(asked, **packing, **known, **split, rehash=rehash, bad_records=bad)  # type: ignore[arg-type]
        return
    for compression in formats.get(container).compressions if container in formats.names() else ():
        packing = {"format": container, "compression": compression or "none"}
        if other is not None:
            yield ConvertRequest(parent=other.path, out=request.out, **packing)
        else:
            dataset = request.dataset or request.path.resolve().parents[1].name  # OUT/DATASET/VERSION/NAME
            yield BuildRequest(dataset=dataset, source=request.source, out=request.out, work=request.work, **packing)


def _split(policy: SplitPolicyDocument) -> str:
    """Return a split policy as it is asked for."""
    plain = {name: value for name, value in policy.parameters.items() if isinstance(value, int | float | str)}
    words = (f"{name}={'yes' if value is True else 'no' if value is False else value}" for name, value in plain.items())
    return f"{policy.policy}:{','.join(words)}" if plain else policy.policy


def _changes(steps: list[Applied]) -> dict[str, Any]:
    """Return the changes of one conversion as they are asked for."""
    changes: dict[str, Any] = {}
    for step in steps:
        values = step.parameters
        if step.step == "speckle-filter":
            changes["speckle"] = f"{values['filter']}:window={values['window']},looks={values['looks']}"
            continue
        value = values[REQUIRED[step.step]]
        changes[step.step] = value[0] if isinstance(value, list) else value
        if step.step == "resize":
            changes["resample"] = values["domain"]
    return changes
