"""The itinerary, once: the named steps that carry out a request, from raw files or a sealed build to a sealed build."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from sar_data.builder import blank, suspects
from sar_data.builder.baked import baked_from
from sar_data.builder.draft import Draft
from sar_data.builder.open import open_each
from sar_data.builder.pack import pack
from sar_data.builder.plausible import implausible
from sar_data.builder.prepare import prepare_each
from sar_data.builder.rebuild import RebuildRequest, needs_parent, prepare_parent, prepare_rebuild
from sar_data.builder.repack import prepare_repack
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.builder.seal import seal
from sar_data.builder.target import DROPPED, discard
from sar_data.progress import Progress, Say
from sar_data.runners import Runner, Serial
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from sar_data.system import durable
from sar_data.system.store import Place, Store, is_url

T = TypeVar("T")
Request = BuildRequest | ConvertRequest | RebuildRequest
Prepare = Callable[[BuildRequest, Runner, Progress | None, Say | None], list[Draft]]
Name = Literal["fetch", "prepare", "pack", "seal", "drop parent"]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A build that stands: whether it stood before, and what it was baked from, where that is kept."""

    build: Build
    reused: bool
    parent: Place | None = None


@dataclass(slots=True)
class Step(Generic[T]):
    """A step of an itinerary: run it, then ask for the next one. A step that failed may be run again, and goes on.

    `reads` says what it goes through: nothing, the web, whole files or their names, or all pixels. `baking` says that
    it is a step of the baked build, not of the lossless one. `result` is what it gave, a container each: Drafts to
    prepare, to seal BuildResults.
    """

    name: Name
    reads: Literal["nothing", "web", "files", "pixels"]
    act: Callable[[Runner, Progress | None, Say | None], T]
    baking: bool = False
    _result: list[T] = field(default_factory=list)

    def run(self, runner: Runner, progress: Progress | None = None, say: Say | None = None) -> T:
        """Do it and return what it gives; raise SarDataError."""
        self._result[:] = [self.act(runner, progress, say)]
        return self.result

    @property
    def result(self) -> T:
        """What the step gave; it must have run."""
        return self._result[0]

    @property
    def title(self) -> str:
        """The step's name as people read it."""
        return f"bake: {self.name}" if self.baking else self.name


Steps = Generator[Step[Any], None, T]


class Itinerary:
    """Carries out a request: run each of `steps()`, in order, and close it; `results` has a build a container.

    `prepare` opens the drafts of the lossless builds of raw files.
    A target's lock is held from the end of its prepare to the end of its seal.
    """

    def __init__(self, request: Request, prepare: Prepare = prepare_each) -> None:
        self.request, self.prepare = request, prepare
        self.results: list[BuildResult] = []

    def steps(self) -> Steps[None]:
        """Yield the steps, each after the one before it has run."""
        if isinstance(self.request, ConvertRequest):
            self.results += yield from _convert([self.request])
            return
        if isinstance(self.request, RebuildRequest):
            self.results += yield from _rebuild(self.request)
            return
        request = self.request
        if request.fetch:
            yield Step("fetch", "web", lambda runner, progress, say: _fetch(request, progress, say))
        self.results += yield from _build(request, self.prepare)


def _fetch(request: BuildRequest, progress: Progress | None, say: Say | None) -> None:
    """Bring into the source what it lacks; raise SourceError where a person has to get it."""
    from sar_data.download.fetch import check_results, fetch_as_user
    from sar_data.download.plan import plan_sources

    def tell(name: str, have: int, total: int | None) -> None:
        if progress:
            progress(name, have, total or have)

    sources = request.pipeline.spec.sources
    folder = Path(request.source)
    if say:
        say(plan_sources(sources, folder).sentence())
    outcomes = fetch_as_user(sources, folder, mirror=request.mirror, progress=tell, say=say)
    for outcome in outcomes:
        if say:
            came = outcome.file.checksum if outcome.file else outcome.message or outcome.state
            say(f"{outcome.source.file}: {came}")
    check_results(outcomes)


def _build(request: BuildRequest, prepare: Prepare) -> Steps[list[BuildResult]]:
    preparing = Step("prepare", "files", lambda runner, progress, say: prepare(request, runner, progress, say))
    yield preparing
    drafts = preparing.result
    with _locks(drafts):
        request = request.settle([band.unit for band in drafts[0].plan.identity.bands])
        asked = [request.of(format) for format in request.formats]
        earlier = [
            baked_from(draft, single) if single.drop_parent and not draft.sealed else None
            for draft, single in zip(drafts, asked, strict=True)
        ]
        needed = {draft.job.recipe: draft for draft, baked in zip(drafts, earlier, strict=True) if baked is None}
        for draft in drafts:
            if draft.job.recipe not in needed:
                draft.target.discard()  # the plan of a build that is not needed
        finished = dict(zip(needed, (yield from _seal([*needed.values()])), strict=True))
    if not request.baked:
        return [finished[draft.job.recipe] for draft in drafts]
    todo = [
        single.conversion(finished[draft.job.recipe].build.place)
        for single, draft, baked in zip(asked, drafts, earlier, strict=True)
        if baked is None
    ]
    results = iter((yield from _convert(todo, baking=True)))
    return [BuildResult(baked, reused=True) if baked else next(results) for baked in earlier]


def _convert(requests: Sequence[ConvertRequest], *, baking: bool = False) -> Steps[list[BuildResult]]:
    """Bake sealed builds of the same content, each into a container of its own."""
    if not requests:
        return []
    parents = {request.parent: Build.open(request.parent) for request in requests}

    def act(runner: Runner, progress: Progress | None, say: Say | None) -> list[Draft]:
        return open_each(
            partial(prepare_repack, parents[request.parent], request, runner, progress, say) for request in requests
        )

    preparing = Step("prepare", "pixels" if requests[0].counts else "nothing", act, baking)
    yield preparing
    dropped = {request.parent for request in requests if request.drop_parent}
    with _locks(preparing.result) as drafts:
        kept = [None if request.parent in dropped else request.parent for request in requests]
        results = yield from _seal(drafts, baking, kept)
    for path in parents:
        if path in dropped:
            yield Step("drop parent", "nothing", partial(_drop, parents[path]), baking)
    return results


def _drop(parent: Build, *_: object) -> Place:
    return drop(parent)


def _rebuild(request: RebuildRequest) -> Steps[list[BuildResult]]:
    parent: Build | None = None
    if needs_parent(request):
        preparing = Step(
            "prepare", "files", lambda runner, progress, say: [prepare_parent(request, runner, progress, say)]
        )
        yield preparing
        with _locks(preparing.result) as drafts:
            (result,) = yield from _seal(drafts)
        parent = result.build
    baking = parent is not None
    last = Step("prepare", "files", lambda _, progress, say: [prepare_rebuild(request, parent, progress, say)], baking)
    yield last
    with _locks(last.result) as drafts:
        return (yield from _seal(drafts, baking, [parent.place if parent else None]))


@contextmanager
def _locks(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    """Hold the locks of several drafts."""
    with ExitStack() as locks:
        for draft in drafts:
            locks.enter_context(draft)
        yield drafts


def _seal(
    drafts: Sequence[Draft], baking: bool = False, parents: Sequence[Place | None] = ()
) -> Steps[list[BuildResult]]:
    """Pack drafts of the same samples together and seal each; `parents` are what they are baked from."""
    if not drafts:
        return []
    reused = [draft.sealed for draft in drafts]
    if not all(reused):
        yield Step("pack", "pixels", lambda runner, progress, say: pack(drafts, runner, progress), baking)

    def act(runner: Runner, progress: Progress | None, say: Say | None) -> list[BuildResult]:
        builds = [seal(draft, runner, progress) for draft in drafts]
        if say and not baking and not all(reused):
            manifest = builds[reused.index(False)].manifest  # all have the same pixels
            warnings = suspects.describe(manifest.suspect_pixels), blank.describe(manifest), implausible(manifest)
            for warning in filter(None, warnings):
                say(warning)
        return [*map(BuildResult, builds, reused, parents or [None] * len(drafts))]

    sealing = Step("seal", "nothing" if all(reused) else "files", act, baking)
    yield sealing
    return sealing.result


def carry_out(
    request: Request, *, runner: Runner | None = None, progress: Progress | None = None, say: Say | None = None
) -> list[BuildResult]:
    """Run all steps of a request; return what became of each container that it asks for. Raises SarDataError."""
    itinerary = Itinerary(request)
    with closing(itinerary.steps()) as steps:
        for step in steps:
            step.run(runner or Serial(), progress, say)
    return itinerary.results


def build(
    request: BuildRequest | RebuildRequest,
    *,
    runner: Runner | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Build:
    """Build a dataset; return the sealed build, of several containers the first. Raises SarDataError.

    A sealed build of the same recipe is returned as it is; an interrupted one goes on.
    """
    return carry_out(request, runner=runner, progress=progress, say=say)[0].build


def convert(request: ConvertRequest, *, runner: Runner | None = None, progress: Progress | None = None) -> Build:
    """Bake a sealed build into another one and return that; the parent stays as it is. Raises SarDataError."""
    return carry_out(request, runner=runner, progress=progress)[0].build


def drop(build: Build) -> Place:
    """Remove a sealed build and return where it was; no half of it ever looks like a build.

    A folder is renamed first; in a store the manifest goes before all else.
    """
    if is_url(build.place):
        store = Store(build.place)
        store.remove([NAME])
        store.remove(store.sizes())
        return build.place
    gone = build.path.with_name(f".{build.path.name}{DROPPED}")
    discard(gone)
    with durable.explain_errors(gone):
        os.rename(build.path, gone)
        shutil.rmtree(gone)
    return build.path
