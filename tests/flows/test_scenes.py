from __future__ import annotations

import json
from pathlib import Path

import pytest

from sar_data.errors import UsageError
from tests.flows.conftest import Archive
from tests.sources.scenes.servers import OData
from tests.sources.scenes.shelf import Stored
from tests.sources.scenes.site import Reply


def test_the_flow_lists_products_and_survives_a_catalogue_that_is_down(
    server: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.scenes import look_up, scenes

    known = {json.loads(path.read_text())["scene_source"] for path in archive.source.rglob("*.json")}
    gone, *stored = sorted(known)
    monkeypatch.setattr(look_up, "retry_delay_seconds", [0.0, 0.0])
    with OData([Stored(f"{name}.SAFE") for name in stored]) as site:
        site.failing.append(Reply(503, b"maintenance", {"Retry-After": "3600"}))
        out = tmp_path / "scenes.csv"
        found = scenes(dataset="bigearthnet-s1", source=archive.source, out=out, url=site.url, workers=1)
    assert found["scenes"] == len(known)
    assert list(found["missing"]) == [gone]
    assert json.loads(Path(found["details"]).read_text())["catalogue"] == "cdse"
    assert len(Path(found["path"]).read_text().splitlines()) == 41


def test_a_relative_list_is_refused(server: str, archive: Archive) -> None:
    from flows.scenes import scenes

    with pytest.raises(UsageError, match=r"`out=scenes\.csv`: expected an absolute path"):
        scenes(dataset="bigearthnet-s1", source=archive.source, out=Path("scenes.csv"))
