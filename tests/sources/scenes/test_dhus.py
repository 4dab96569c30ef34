"""sentinelsat against a DHuS hub: the hub is what sentinelsat expects, and what we make of it is right."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sar_data.download.credentials import Credentials
from sar_data.download.fetch import fetch
from sar_data.download.http import Web
from sar_data.download.retry import Patience
from sar_data.errors import FetchError
from sar_data.sources.scenes.archives import archive_sources
from sar_data.sources.scenes.catalogue import catalogue
from sar_data.sources.scenes.lookup import look_up
from tests.mini.hang import HANG_S
from tests.sources.scenes.servers import Dhus
from tests.sources.scenes.shelf import Stored

sentinelsat = pytest.importorskip("sentinelsat", reason="pip install 'sar-data[scenes]'")
A = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
DATA = b"PK\x03\x04" + bytes(range(256)) * 12_000
QUICK = Patience(first_s=0.01, most_s=0.01, attempts=4, connect_s=HANG_S, read_s=HANG_S)
BASIC = base64.b64encode(b"reader:canary-password").decode()
ACCOUNT = {"SAR_DATA_USER_127_0_0_1": "reader", "SAR_DATA_PASSWORD_127_0_0_1": "canary-password"}


def test_the_stub_is_a_hub_to_sentinelsats_own_downloader_with_range_and_md5(tmp_path: Path) -> None:
    stored = Stored(f"{A}.SAFE", DATA)
    with Dhus([stored], credential=BASIC) as site:
        api = sentinelsat.SentinelAPI("reader", "canary-password", site.url, show_progressbars=False)
        found = api.query(filename=f"{A}*")
        assert [facts["filename"] for facts in found.values()] == [f"{A}.SAFE"]
        (tmp_path / f"{A}.zip.incomplete").write_bytes(DATA[:1_000_000])
        info = api.download(next(iter(found)), tmp_path)
        api.session.close()
    assert info["downloaded_bytes"] == len(DATA) - 1_000_000
    assert (tmp_path / f"{A}.zip").read_bytes() == DATA


def test_more_products_than_a_page_are_read_to_the_last(tmp_path: Path) -> None:
    names = [f"{A[:-4]}{number:04X}" for number in range(230)]
    with Dhus([Stored(f"{name}.SAFE") for name in names]) as site:
        found = look_up([A[:32]], catalogue("dhus", site.url, patience=QUICK), tmp_path)[A[:32]]
        starts = [request.query["start"] for request in site.requests if request.path.endswith("/search")]
    assert starts == ["0", "100", "200"]
    assert found.product is not None
    assert [one.name for one in (found.product, *found.twins)] == [f"{name}.SAFE" for name in names]


def test_a_hub_with_a_login_uses_the_credentials_of_its_host(tmp_path: Path) -> None:
    stored = Stored(f"{A}.SAFE", DATA)
    signed = Credentials(ACCOUNT, None)
    with Dhus([stored], credential=BASIC) as site:
        asked = catalogue("dhus", site.url, authorise=signed, patience=QUICK)
        product = look_up([A], asked, tmp_path / "kept")[A].product
        assert product is not None
        site.cuts = [1_000_000, 500_000]
        with Web(authorise=signed, patience=QUICK) as web:
            [outcome] = fetch(
                archive_sources([product]), tmp_path / "to", web=web, now=lambda: "2026-01-01T00:00:00+00:00"
            )
        ranges = [request.headers.get("Range") for request in site.requests[-3:]]
    assert outcome.state == "fetched"
    assert outcome.kind == "published"
    assert (tmp_path / "to" / f"{A}.zip").read_bytes() == DATA
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_wrong_login_is_an_error_without_the_password(tmp_path: Path) -> None:
    signed = Credentials({**ACCOUNT, "SAR_DATA_PASSWORD_127_0_0_1": "canary-wrong"}, None)
    with (
        Dhus([], credential=BASIC) as site,
        pytest.raises(FetchError, match="Invalid user name or password") as refused,
    ):
        look_up([A], catalogue("dhus", site.url, authorise=signed, patience=QUICK), tmp_path)
    assert "canary" not in str(refused.value)


def test_a_product_in_the_hubs_archive_is_no_file_yet(tmp_path: Path) -> None:
    with Dhus([Stored(f"{A}.SAFE", DATA, online=False)]) as site:
        product = look_up([A], catalogue("dhus", site.url, patience=QUICK), tmp_path)[A].product
        assert product is not None
        assert not product.online
        with Web(patience=QUICK) as web:
            [outcome] = fetch(archive_sources([product]), tmp_path, web=web, now=lambda: "")
    assert outcome.state == "failed"
    assert "202" in outcome.message
