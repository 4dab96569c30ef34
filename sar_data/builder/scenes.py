"""Scenes: from a source tree to the satellite products that its records were cut from."""

from __future__ import annotations

from pathlib import Path

from sar_data.builder.fit import fit_source
from sar_data.builder.scan import scan
from sar_data.errors import SourceError
from sar_data.progress import Progress, Say
from sar_data.runners import Runner
from sar_data.sources.archives.open import open_tree
from sar_data.sources.scenes import listing
from sar_data.sources.scenes.catalogue import Catalogue
from sar_data.sources.scenes.listing import Listing
from sar_data.sources.scenes.lookup import look_up
from sar_data.spec import Pipeline
from sar_data.system import durable


def find_scenes(
    pipeline: Pipeline,
    *,
    source: Path,
    out: Path,
    catalogue: Catalogue,
    runner: Runner,
    work: Path | None = None,
    progress: Progress | None = None,
    tell: Say | None = None,
) -> Listing:
    """Scan a source, look its distinct scenes up, write the CSV `out` and the JSON beside it; return the latter.

    Answers are kept in a hidden folder beside `out`, so that the same call goes on where one was interrupted; `work`
    is for archives, as in a build. Raises Unreachable, FetchError, SourceError for a dataset whose records name no
    scene, BadRecord.
    """
    listing.beside(out)  # a wrong name or place is said before anything is asked
    with durable.explain_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    named = [file.name for file in pipeline.spec.sources]
    tree = open_tree(source, work=work, named=named, progress=progress, tell=tell)
    fit = fit_source(pipeline, tree, source)
    records = scan(fit.pipeline, fit.tree, runner=runner, progress=progress).records
    scenes = {record.key: listing.scene_of(record) for record in records}
    known = [scene for scene in scenes.values() if scene]
    if not known:
        raise SourceError(
            f"{pipeline.spec.name}: expected records that name a satellite product, found none among {len(records)}: "
            "what they were cut from was not published with them"
        )
    matches = look_up(known, catalogue, kept(out), progress=progress)
    nameless = len(scenes) - len(known)
    result = Listing(catalogue=catalogue.name, url=catalogue.url, scenes=tuple(matches.values()), nameless=nameless)
    listing.write(out, scenes, result)
    return result


def kept(out: Path) -> Path:
    """Return the folder in which the answers of a search for `out` are kept."""
    return out.with_name(f".{out.name}.answers")
