from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.draft import Draft
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.errors import (
    BadRecord,
    BuildError,
    FetchError,
    MissingList,
    SourceError,
    TargetError,
    Unreachable,
    WorkerDied,
)
from sar_data.runners import Crew, Serial
from sar_data.sealed.opened import Build
from tests.flows.conftest import Archive

PIXEL_BYTES = 120 * 120 * 4


def _packed(
    source: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Draft], None],
    failed: Callable[[bool], None],
) -> Build:
    """Build in a flow; `before` is called before pack begins and `failed` with each verdict on an attempt."""
    from prefect import flow

    from flows import tasks
    from sar_data.builder.itinerary import Itinerary

    def judge(task: Any, run: Any, state: Any) -> bool:
        verdict = tasks.may_be_retried(task, run, state)
        failed(verdict)
        return verdict

    def prepared(*args: Any) -> list[Draft]:
        draft = prepare(*args)
        before(draft)
        return [draft]

    monkeypatch.setattr(tasks, "OVER_DISK", tasks.OVER_DISK | {"retry_delay_seconds": 0, "retry_condition_fn": judge})
    monkeypatch.setattr(tasks, "Itinerary", partial(Itinerary, prepare=prepared))
    request = BuildRequest(dataset="bigearthnet-s1", source=source, out=out, split="official")

    @flow
    def attempt() -> Build:
        return tasks.carry_out(request, Crew(runner="serial"))[0].build

    return attempt()


def test_a_target_that_cannot_be_written_is_tried_again(
    server: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstacles: list[Path] = []
    verdicts: list[bool] = []

    def block(draft: Draft) -> None:
        draft.job.build.write_text("a file where a folder must be made")
        obstacles.append(draft.job.build)

    def clear(verdict: bool) -> None:
        verdicts.append(verdict)
        obstacles[0].unlink()

    assert _packed(archive.source, tmp_path, monkeypatch, block, clear).manifest.content_digest == archive.digest
    assert verdicts == [True]


def test_a_bad_record_is_not_tried_again(
    server: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(archive.source, tmp_path / "raw")
    (victim,) = (tmp_path / "raw").rglob(f"{archive.train}_VH.tif")
    empty = struct.pack("<f", float("nan")) * (PIXEL_BYTES // 4)
    victim.write_bytes(victim.read_bytes()[:-PIXEL_BYTES] + empty)
    verdicts: list[bool] = []
    with pytest.raises(BadRecord, match=f"{victim.name}: band VH: expected some valid pixels"):
        _packed(tmp_path / "raw", tmp_path / "out", monkeypatch, lambda draft: None, verdicts.append)
    assert verdicts == [False]


def test_a_held_target_ends_the_flow_and_names_who_holds_it(server: str, archive: Archive, tmp_path: Path) -> None:
    from flows.build import build_bigearthnet

    request = BuildRequest(dataset="bigearthnet-s1", source=archive.source, out=tmp_path, split="official")
    with prepare(request, Serial()), pytest.raises(TargetError, match=r"another build is making it .*pid"):
        build_bigearthnet(source=archive.source, out=tmp_path, split="official", runner="serial")
    # The lock went with the draft, and what it planned is taken up.
    found = build_bigearthnet(source=archive.source, out=tmp_path, split="official", runner="serial")
    assert found["content_digest"] == archive.digest


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (TargetError("disk full"), True),
        (WorkerDied("killed"), True),
        (Unreachable("503"), True),
        (FetchError("another checksum"), False),
        (OSError(5, "Input/output error"), True),
        (ConnectionResetError(), True),
        (BadRecord("a.tif", "torn"), False),
        (SourceError("no such folder"), False),
        (MissingList("train.csv"), False),
        (BuildError("no proof"), False),
        (ValueError("a mistake of ours"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_may_end_by_waiting_is_retried(error: Exception, verdict: bool) -> None:
    from prefect.states import Failed

    from flows.tasks import may_be_retried

    nothing: Any = None
    assert may_be_retried(nothing, nothing, Failed(data=error)) is verdict
