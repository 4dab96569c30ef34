from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.request import BuildRequest
from sar_data.download import ledger, retry
from sar_data.errors import FetchError, Unreachable
from sar_data.runners import Crew
from tests.download import site as web
from tests.download.site import good, status

CANARY = "canary-51d0c7e2aa"


def test_a_build_fetches_what_its_source_lacks(server: str, eurosat_source: Path, tmp_path: Path) -> None:
    from flows.build import build_eurosat_sar

    raw = tmp_path / "raw"
    shutil.copytree(eurosat_source, raw)
    packed = Path(shutil.make_archive(str(tmp_path / "EuroSAT-SAR"), "zip", raw)).read_bytes()
    with web.serving() as site:
        site.answers["/EuroSAT-SAR.zip"] = [good(packed)]
        places: dict[str, Any] = {"source": raw, "out": tmp_path / "out", "runner": "serial", "split": "random"}
        build_eurosat_sar(**places, fetch=True, mirror=site.url)
    assert (raw / "EuroSAT-SAR.zip").read_bytes() == packed
    assert ledger.read(raw).files["EuroSAT-SAR.zip"].bytes == len(packed)


def test_a_server_that_is_down_is_asked_again_and_a_wrong_file_is_not(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow
    from prefect.settings import get_current_settings

    from flows import tasks

    monkeypatch.setenv("SAR_DATA_TOKEN_127_0_0_1", CANARY)
    monkeypatch.setattr(retry.Patience, "delay", lambda *_: 0.0)
    verdicts: list[bool] = []

    def judge(task: Any, run: Any, state: Any) -> bool:
        verdicts.append(tasks.may_be_retried(task, run, state))
        return verdicts[-1] and len(verdicts) < 2

    monkeypatch.setattr(tasks, "OVER_WEB", tasks.OVER_WEB | {"retry_delay_seconds": 0, "retry_condition_fn": judge})

    @flow
    def attempt(folder: Path, mirror: str) -> None:
        request = BuildRequest(dataset="eurosat-sar", source=folder, out=folder, fetch=True, mirror=mirror)
        tasks.carry_out(request, Crew(runner="serial"))

    with web.serving() as site:
        site.answers["/EuroSAT-SAR.zip"] = [status(503)]
        with pytest.raises(Unreachable, match="status 503"):
            attempt(tmp_path, site.url)
        assert verdicts == [True, True]
        site.answers["/EuroSAT-SAR.zip"] = [status(404)]
        with pytest.raises(FetchError, match="status 404"):
            attempt(tmp_path, site.url)
        assert verdicts == [True, True, False]
        assert site.asked[-1].headers["authorization"] == f"Bearer {CANARY}"
    url = get_current_settings().server.database.connection_url
    assert url is not None
    database = Path(url.get_secret_value().partition("///")[2])
    written = b"".join(path.read_bytes() for path in database.parent.rglob("*") if path.is_file())
    assert site.url.encode() in written  # what was said is there
    assert CANARY.encode() not in written
