"""What was answered is kept and not asked for again, whatever ended the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from sar_data.errors import FetchError, TargetError
from sar_data.sources.scenes.catalogue import catalogue
from sar_data.sources.scenes.lookup import look_up
from tests.mini.strangers import given_away
from tests.sources.scenes.servers import OData
from tests.sources.scenes.shelf import Stored
from tests.sources.scenes.site import Reply

SCENES = [
    f"S1A_IW_GRDH_1SDV_20170613T1650{n:02d}_20170613T165108_017018_01C579_{n:04X}" for n in range(25)
]  # of one orbit, so that each differs from the next in its start alone


def shelf(*names: str) -> list[Stored]:
    return [Stored(f"{name}.SAFE") for name in names]


def test_names_are_queried_in_batches_and_once(tmp_path: Path) -> None:
    with OData(shelf(*SCENES)) as site:
        first = look_up(SCENES, catalogue("cdse", site.url), tmp_path)
        assert len(site.requests) == 3
        assert all(request.query["$filter"].count(" or ") < 20 for request in site.requests)
        assert look_up(reversed(SCENES), catalogue("cdse", site.url), tmp_path) == first
        assert len(site.requests) == 3
    assert list(first) == SCENES


def test_an_interrupted_search_resumes(tmp_path: Path) -> None:
    with OData(shelf(*SCENES)) as site:
        asked = catalogue("cdse", site.url)

        def cut(stage: str, done: int, total: int) -> None:
            if done == 13:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            look_up(SCENES, asked, tmp_path, progress=cut)
        told: list[tuple[str, int, int]] = []
        found = look_up(SCENES, asked, tmp_path, progress=lambda *step: told.append(step))
        assert told[0] == ("scenes", 13, 25)
        assert told[-1] == ("scenes", 25, 25)
        assert all(match.how == "name" for match in found.values())
        assert len(site.requests) == 2 + 2  # ten, then ten of which three were kept; the other twelve


def test_matches_before_a_failure_are_saved(tmp_path: Path) -> None:
    with OData(shelf(*SCENES)) as site:
        asked = catalogue("cdse", site.url)

        def break_down(stage: str, done: int, total: int) -> None:
            if done == 10:
                site.failing.append(Reply(403, b"no"))

        with pytest.raises(FetchError, match="status 403"):
            look_up(SCENES, asked, tmp_path, progress=break_down)
        assert len(list(tmp_path.rglob("*.json"))) == 10
        assert len(look_up(SCENES, asked, tmp_path)) == 25


def test_each_catalogue_and_address_has_its_own_cache(tmp_path: Path) -> None:
    with OData(shelf(*SCENES[:3])) as one, OData(shelf(*SCENES[1:3])) as other:
        assert look_up(SCENES[:1], catalogue("cdse", one.url), tmp_path)[SCENES[0]].product
        assert look_up(SCENES[:1], catalogue("cdse", other.url), tmp_path)[SCENES[0]].product is None


def test_a_missing_scene_is_looked_up_again(tmp_path: Path) -> None:
    with OData(shelf()) as site:
        assert look_up(SCENES[:1], catalogue("cdse", site.url), tmp_path)[SCENES[0]].product is None
        site.shelf = shelf(SCENES[0])
        assert look_up(SCENES[:1], catalogue("cdse", site.url), tmp_path)[SCENES[0]].product


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scene": "another"}', '{"scene": 1, "product": {"name": 2}}'])
def test_an_invalid_saved_match_is_looked_up_again(tmp_path: Path, text: str) -> None:
    with OData(shelf(*SCENES[:1])) as site:
        first = look_up(SCENES[:1], catalogue("cdse", site.url), tmp_path)
        next(tmp_path.rglob("*.json")).write_text(text)
        assert look_up(SCENES[:1], catalogue("cdse", site.url), tmp_path) == first
        assert len(site.requests) == 2


def test_a_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with OData(shelf()) as site:
        found = look_up(["../../../etc/passwd", "x' or 1 eq 1", "\0"], catalogue("cdse", site.url), tmp_path)
        assert not site.requests
    assert all(match.reason for match in found.values())


def test_saved_matches_of_another_user_are_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, precious = tmp_path / ".scenes.answers", tmp_path / "precious"
    precious.mkdir()
    with OData(shelf(*SCENES[:1])) as site:
        asked = catalogue("cdse", site.url)
        cache.symlink_to(precious)
        with pytest.raises(TargetError, match="answers: expected a folder of our own, found a link"):
            look_up(SCENES[:1], asked, cache)
        assert not list(precious.iterdir())
        cache.unlink()
        right = look_up(SCENES[:1], asked, cache)
        (answer,) = cache.rglob("*.json")
        answer.write_text(answer.read_text().replace(site.url, "http://evil.example"))
        assert look_up(SCENES[:1], asked, cache) != right
        cache.chmod(0o777)  # so that anyone may have written it
        assert look_up(SCENES[:1], asked, cache) == right
        given_away(cache, monkeypatch)
        with pytest.raises(TargetError, match=r"found one of user \d+"):
            look_up(SCENES[:1], asked, cache)
