"""Open a draft: name the target after its recipe, take its lock, and write the plan beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.builder.draft import Draft, Job
from sar_data.builder.origin import Raw
from sar_data.builder.pack import missing_bytes
from sar_data.builder.plan import PLAN, Plan
from sar_data.builder.prefix import PrefixTarget
from sar_data.builder.sharding import shards_of
from sar_data.builder.target import FolderTarget, Target
from sar_data.errors import BuildError, OtherVersion, SplitError, UsageError
from sar_data.formats.container import Format, Shard
from sar_data.progress import Say
from sar_data.sealed.documents import PlannedSplit
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Identity
from sar_data.sealed.opened import SUMS_NAME, Build, layout_of
from sar_data.sealed.verify import find_damage
from sar_data.system import durable
from sar_data.system.store import Place, is_url

SCAN_NAME = "scan.parquet"


def open_draft(out: Place, plan: Plan, say: Say | None = None) -> Draft:
    """Return the draft of a build below `out`, its target locked and its plan written.

    A sealed build that stands there is looked at: one that is damaged is moved aside, and `say` is called with that.
    Raises SplitError for an empty train split, TargetError where the target is held, unwritable or too small.
    """
    if "train" not in plan.split:
        raise SplitError(
            f"split {plan.decisions.split_policy.policy}: expected some train records, found none among "
            f"{len(plan.split)}. Choose another `split=…` or `seed=…`, or a source that has them."
        )
    shards, rows = shards_of(plan.scanned, plan.split, plan.shard_length, plan.container.multiple)
    return begin(out, plan, plan.splits(), shards, rows, say)


def open_each(openings: Iterable[Callable[[], Draft]]) -> list[Draft]:
    """Open drafts that are packed together, and return them; where one cannot be opened, those before it are released.

    Raises TargetError where there is no room for all of them.
    """
    with ExitStack() as locks:
        drafts = [locks.enter_context(opening()) for opening in openings]
        todo = [draft for draft in drafts if not draft.sealed]
        if len(todo) > 1:  # of one alone its opening made sure
            todo[0].target.check_space(sum(map(missing_bytes, todo)))
        locks.pop_all()
    return drafts


def begin(
    out: Place,
    plan: Plan,
    splits: dict[str, PlannedSplit],
    shards: list[Shard],
    rows: Iterable[pa.Table],
    say: Say | None = None,
) -> Draft:
    """Return the draft of a plan as `open_draft` does, with shards and the `rows` of each as given."""
    target = _target(folder(out, plan.identity, plan.container, plan.decisions.recipe_digest), plan.container)
    job = job_of(target, plan)
    draft = Draft(target, job, plan, splits, shards)
    with durable.explain_errors(target.work):
        draft.sealed = _is_sealed(draft)
    try:
        if not draft.sealed:
            target.hold(job.recipe)
            draft.sealed = _is_sealed(draft)  # by another builder, between the first look and the lock
        if draft.sealed:
            target.discard()  # left by a builder that was killed after the rename
            return draft
        if target.exists():
            _set_aside(target, say)
        write_plan(draft, rows)
        draft.plan = plan.keep_unused()
        target.check_space(missing_bytes(draft))
    except BaseException:
        target.release()
        raise
    return draft


def folder(out: Place, identity: Identity, container: Format, recipe: str) -> Place:
    """Return the folder of a sealed build, named after its recipe."""
    name = f"{container.name}-{recipe[:8]}"
    if is_url(out):
        return "/".join((out.rstrip("/"), identity.dataset, identity.version, name))
    out = Path(out)
    out = out.resolve() if ".." in out.parts else out.absolute()  # a path that is printed reads well
    return out / identity.dataset / identity.version / name


def home_of(place: Place) -> Place:
    """Return the place below which the build at a place is kept: it lies in DATASET/VERSION/NAME."""
    return place.rsplit("/", 3)[0] if is_url(place) else Path(place).parents[2]


def _target(place: Place, container: Format) -> Target:
    """Return the target that a place is; raise UsageError for a container that a store cannot take."""
    if not is_url(place):
        return FolderTarget(Path(place))
    if container.spooled:
        raise UsageError(
            f"{place}: expected a container of several files, found {container.name}, whose splits are one file each: "
            "nothing streams it from a store. Choose `format=zarr` or `format=webdataset`, or build in a folder."
        )
    return PrefixTarget(place)


def job_of(target: Target, plan: Plan) -> Job:
    """Return what the workers of a plan need, who work in the folder of a target."""
    container = plan.container
    return Job(
        work=target.work,
        deposit=target.deposit,
        recipe=plan.decisions.recipe_digest,
        origin=plan.origin,
        format=container.name,
        compression=container.compression,
        layout=layout_of(plan.identity),
        bad_records=plan.bad_records,
        statistics=plan.statistics,
        # What a sealed build holds was judged when it was made.
        may_be_empty=not isinstance(plan.origin, Raw) or plan.origin.pipeline.spec.may_be_empty,
    )


def _is_sealed(draft: Draft) -> bool:
    """Say whether the target stands and is whole, as far as a quick look tells.

    Raises BuildError where it is another build, or one that `stop` does not accept.
    """
    place = draft.target.place
    if not draft.target.exists():
        return False
    if isinstance(place, Path) and not any((place / name).is_file() for name in (NAME, SUMS_NAME, INDEX_NAME)):
        raise BuildError(f"{place}: expected a build or nothing, found something without a {NAME}: move it away")
    try:
        manifest, digest = Build.open(place).manifest, draft.job.recipe
    except OtherVersion:
        raise
    except BuildError as error:
        if isinstance(error.__cause__, OSError):  # it may be whole, but cannot be read
            raise
        return False
    if manifest.recipe_digest != digest:
        raise BuildError(f"{place}/{NAME}: expected recipe {digest}, found {manifest.recipe_digest}: move it away")
    if find_damage(place):
        return False
    left_out = manifest.quarantine[len(draft.plan.quarantine) :]  # beyond what this run's scan or parent left out
    if left_out and draft.job.bad_records == "stop":
        raise BuildError(
            f"{place}: sealed without {len(left_out)} bad records, the first {left_out[0].path}: "
            f"{left_out[0].reason}. Take it with `bad_records=quarantine`, or repair the source, move the build away "
            "and build again."
        )
    return True


def _set_aside(target: Target, say: Say | None) -> None:
    """Give a damaged build another name, under which it stays until somebody removes it."""
    problems = find_damage(target.place)
    aside = target.set_aside()
    if say:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        say(f"{target.place} is damaged and is built again: {problems[0]}{more}. {aside}")


def write_plan(draft: Draft, rows: Iterable[pa.Table]) -> None:
    """Write scan.parquet for people, and plan.arrow with one batch a shard for the workers.

    Every run writes both again, before any shard.
    """
    work = draft.job.work
    with durable.publish_file(work / SCAN_NAME, sync=False) as sink:
        pq.write_table(draft.plan.scanned, sink, compression="zstd")
    rows = iter(rows)
    first = next(rows)
    with durable.publish_file(work / PLAN, sync=False) as sink, pa.ipc.new_file(sink, first.schema) as writer:
        for part in chain([first], rows):
            writer.write_batch(part.combine_chunks().to_batches()[0])
