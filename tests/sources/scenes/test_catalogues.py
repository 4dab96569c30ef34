"""Every catalogue gives the same answers to the same shelf, however it pages, fails or names things."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sar_data.download.retry import Patience
from sar_data.errors import FetchError, MissingExtra, Unreachable, UsageError
from sar_data.sources.scenes.catalogue import Catalogue, catalogue
from sar_data.sources.scenes.lookup import look_up
from tests.mini.hang import HANG_S
from tests.sources.scenes.servers import Cmr, Dhus, OData, Stac
from tests.sources.scenes.shelf import Stored
from tests.sources.scenes.site import Reply, Site, as_json

A = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
B = "S1A_IW_GRDH_1SDV_20170617T064724_20170617T064749_017070_01C70B_6A1F"
C = "S1B_IW_GRDH_1SDV_20180204T043253_20180204T043318_009464_011054_12AB"
GONE = "S1A_IW_GRDH_1SDV_20160101T000000_20160101T000025_009305_00D6F0_0000"
QUICK = Patience(first_s=0.01, most_s=0.01, connect_s=HANG_S, read_s=HANG_S)
PACKAGES = {"asf": "asf_search", "stac": "pystac_client", "dhus": "sentinelsat"}
NAMES = ("cdse", "asf", "stac", "dhus")


def need(name: str) -> None:
    """Skip where a catalogue's package is not installed."""
    if package := PACKAGES.get(name):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'sar-data[scenes]'")


@pytest.fixture(params=NAMES)
def hub(
    request: pytest.FixtureRequest, tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Site, Catalogue]]]:
    """Puts products on the shelf of a hub of each kind."""
    need(request.param)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[1]))
    with ExitStack() as stack:

        def start(*names: str, **options: Any) -> tuple[Site, Catalogue]:
            shelf = [Stored(f"{name}.SAFE") for name in names]
            kinds: dict[str, Callable[[], Site]] = {
                "cdse": lambda: OData(shelf, **options),
                "asf": lambda: Cmr(shelf, tls[0], **options),
                "stac": lambda: Stac(shelf, **options),
                "dhus": lambda: Dhus(shelf),
            }
            site = stack.enter_context(kinds[request.param]())
            return site, catalogue(request.param, site.url, patience=QUICK)  # type: ignore[attr-defined]

        yield start


def test_whole_names_are_found_with_size_and_checksum_in_one_query(hub: Any, tmp_path: Path) -> None:
    site, asked = hub(A, B, C, GONE)
    found = look_up([C, A, B, A], asked, tmp_path)
    assert list(found) == [A, B, C]
    for scene, match in found.items():
        stored = Stored(f"{scene}.SAFE")
        assert (match.how, match.reason, match.twins) == ("name", None, ())
        assert match.product is not None
        assert match.product.name.removesuffix(".SAFE") == scene
        assert match.product.bytes == len(stored.data)
        assert match.product.checksum == f"md5:{stored.checksum}"
        assert match.product.link.startswith("http")
        assert match.product.archive
        assert match.product.online
    searches = [one for one in site.requests if "search" in one.path.lower() or "$filter" in one.query]
    assert len(searches) == 1


def test_a_start_alone_finds_the_product_that_begins_so(hub: Any, tmp_path: Path) -> None:
    _, asked = hub(A, B, C)
    found = look_up([A[:32], B[:48]], asked, tmp_path)
    assert [(match.how, match.product and match.product.name[:67]) for match in found.values()] == [
        ("start", A),
        ("start", B),
    ]


def test_a_missing_product_has_a_reason(hub: Any, tmp_path: Path) -> None:
    _, asked = hub(A)
    unsound = ["ROIs1158_spring", "../../etc/passwd", "S1A_IW_GRDH_1SDV_2017"]
    found = look_up([A, GONE, GONE[:32], *unsound], asked, tmp_path)
    reasons = {scene: match.reason for scene, match in found.items() if match.product is None}
    assert "processed again" in (reasons.pop(GONE) or "")
    assert "begins so" in (reasons.pop(GONE[:32]) or "")
    assert set(reasons) == set(unsound)
    assert all("expected the name of a Sentinel-1 product" in (reason or "") for reason in reasons.values())


def test_an_empty_catalogue_finds_nothing_and_does_not_fail(hub: Any, tmp_path: Path) -> None:
    _, asked = hub()
    assert [match.product for match in look_up([A, B], asked, tmp_path).values()] == [None, None]


def test_only_a_cloud_optimised_twin_is_better_than_nothing(hub: Any, tmp_path: Path) -> None:
    _, asked = hub(f"{A}_COG")
    if asked.name == "asf":
        pytest.skip("the Alaska Satellite Facility has no cloud-optimised twins")
    assert look_up([A], asked, tmp_path)[A].how == "cog"


def test_the_twin_of_another_processing_is_the_last_resort(hub: Any, tmp_path: Path) -> None:
    _, asked = hub(f"{A[:-4]}0BAD")
    found = look_up([A], asked, tmp_path)[A]
    assert found.how == "reprocessed"
    assert found.product is not None
    assert found.product.name.startswith(f"{A[:-4]}0BAD")


def test_pages_are_followed_to_the_last(hub: Any, tmp_path: Path) -> None:
    twins = [f"{A[:-4]}{number:04X}" for number in range(7)]
    site, asked = hub(*twins)
    if isinstance(site, (OData, Stac, Cmr)):
        site.page = 2
    found = look_up([A[:32]], asked, tmp_path)[A[:32]]
    assert found.product is not None
    assert [one.name[:67] for one in (found.product, *found.twins)] == twins


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_catalogue_is_asked_again_when_it_says(hub: Any, tmp_path: Path, status: int) -> None:
    site, asked = hub(A)
    site.failing.extend([Reply(status, b'{"errors": ["busy"]}', {"Retry-After": "0"})] * 3)
    assert look_up([A], asked, tmp_path)[A].how == "name"
    assert len(site.requests) >= 4


def test_a_very_long_requested_delay_is_an_error(hub: Any, tmp_path: Path) -> None:
    site, asked = hub(A)
    site.failing.append(Reply(429, b"", {"Retry-After": "86400"}))
    with pytest.raises(Unreachable, match="86400 s"):
        look_up([A], asked, tmp_path)
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        as_json({"value": None, "feed": None, "features": [{}], "items": [{}], "type": "Catalog"}),
        as_json([1, 2, 3]),
        as_json({"value": [{"Name": 7}], "feed": {"opensearch:totalResults": "x"}, "items": 3}),
        Reply(200, b"\xff\xfe{", {"Content-Type": "application/json"}),
        Reply(200, b"not gzip", {"Content-Encoding": "gzip"}),
        Reply(404, b'{"errors": ["none of yours"]}'),
        Reply(400, b"<html>bad</html>"),
    ],
)
def test_a_malformed_answer_is_an_error_with_the_catalogue(hub: Any, tmp_path: Path, reply: Reply) -> None:
    site, asked = hub(A)
    site.failing.extend([reply] * 20)
    with pytest.raises(FetchError, match=f"127.0.0.1:{site.port}") as refused:
        look_up([A], asked, tmp_path)
    if reply.status >= 400:
        assert not isinstance(refused.value, Unreachable)


@pytest.mark.parametrize("name", NAMES)
def test_an_unreachable_catalogue_is_named(name: str, tmp_path: Path) -> None:
    need(name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = catalogue(name, f"https://127.0.0.1:{port}", patience=QUICK)
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.*Run the same command again"):
        look_up([A], asked, tmp_path)


@pytest.mark.parametrize("url", ["ftp://hub/", "hub", "https://", "https://hub/?q=1", "https://[hub"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected an address"):
        catalogue("cdse", url)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match=r"netrc") as refused:
        catalogue("dhus", "https://me:canary@hub.example/dhus")
    assert "canary" not in str(refused.value)


def test_a_dhus_hub_needs_an_address_and_a_wrong_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="expected `url=https://HUB/`"):
        catalogue("dhus")
    with pytest.raises(UsageError, match="Did you mean 'cdse'"):
        catalogue("cdsee")


@pytest.mark.parametrize("name", ["asf", "stac", "dhus"])
def test_without_its_package_a_catalogue_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(MissingExtra, match=r"sar-data\[scenes\]"):
        look_up([A], catalogue(name, "https://127.0.0.1:9"), tmp_path)


def test_choosing_a_catalogue_loads_no_other_ones_package() -> None:
    code = (
        "import sys\nfrom sar_data.sources.scenes.catalogue import catalogue\n"
        "catalogue('cdse')\nprint(*sorted({'sentinelsat', 'html2text', 'asf_search', 'pystac_client', 'requests'}"
        " & set(sys.modules)), 'only')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["only"]


def test_a_hub_whose_pages_never_end_is_left(tmp_path: Path) -> None:
    with OData([Stored(f"{A}.SAFE")]) as site:
        more = "http://x/odata/v1/Products?$skip=1"
        page = [{"Id": "1", "Name": f"{A[:-4]}{n:04X}.SAFE", "ContentLength": 5} for n in range(100)]
        site.failing.extend([as_json({"value": page, "@odata.nextLink": more})] * 50)
        with pytest.raises(FetchError, match="expected at most 1000 products"):
            look_up([A], catalogue("cdse", site.url, patience=QUICK), tmp_path)
        assert len(site.requests) < 15


@pytest.mark.parametrize("name", NAMES)
def test_a_server_with_an_invalid_certificate_is_not_retried(
    name: str, tls: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    need(name)
    with Cmr([], tls[0]) as site, pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED") as refused:
        look_up([A], catalogue(name, site.url, patience=Patience(first_s=3600, most_s=3600)), tmp_path)
    assert not isinstance(refused.value, Unreachable)
    assert str(site.port) in str(refused.value)
