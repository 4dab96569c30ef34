"""`sar-data scenes download`: tokens that end, hosts that get none, cuts, wrong bytes; and no secret anywhere."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sar_data.cli import main
from sar_data.download.credentials import Credentials
from sar_data.download.fetch import FetchResult, fetch
from sar_data.download.http import Web
from sar_data.download.retry import Patience
from sar_data.errors import SourceError, UsageError
from sar_data.record import Record
from sar_data.sources.scenes.archives import archive_sources
from sar_data.sources.scenes.catalogue import catalogue
from sar_data.sources.scenes.listing import COLUMNS, Listing, read, scene_of, write
from sar_data.sources.scenes.login import Login
from sar_data.sources.scenes.lookup import look_up
from sar_data.sources.scenes.product import Match, Product
from tests.mini.hang import HANG_S
from tests.sources.scenes.servers import Identity, OData
from tests.sources.scenes.shelf import Stored
from tests.sources.scenes.site import Reply

A = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
B = "S1A_IW_GRDH_1SDV_20170617T064724_20170617T064749_017070_01C70B_6A1F"
DATA = b"PK\x03\x04" + bytes(range(256)) * 12_000
QUICK = Patience(first_s=0.01, most_s=0.01, attempts=4, connect_s=HANG_S, read_s=HANG_S)
USER, PASSWORD = "reader@example.org", "canary-password"
NETRC = f"machine 127.0.0.1 login {USER} password {PASSWORD}\n"


@contextmanager
def hub(*names: str) -> Iterator[tuple[OData, Identity]]:
    """A catalogue with archives, and the identity service whose tokens they want."""
    shelf = [Stored(f"{name}.SAFE", DATA + name.encode()) for name in names]
    with OData(shelf) as site, Identity(USER, PASSWORD) as identity:
        site.admits = identity.admits
        yield site, identity


def listed(site: OData, folder: Path) -> Path:
    """The CSV and the JSON of everything on the shelf."""
    asked = catalogue("cdse", site.url)
    found = look_up([stored.stem for stored in site.shelf], asked, folder / "kept")
    listing = Listing(catalogue="cdse", url=site.url, scenes=tuple(found.values()))
    write(folder / "scenes.csv", {f"patch {scene}": scene for scene in found}, listing)
    return folder / "scenes.csv"


def download(path: Path, to: Path, identity: Identity) -> Result:
    args = ["scenes", "download", path, "--to", to, "--identity", identity.url]
    return CliRunner().invoke(main, list(map(str, args)))


def fetched(products: Sequence[Product], to: Path, identity: Identity) -> list[FetchResult]:
    login = Login(lambda host: (USER, PASSWORD), lambda host, refused: None, identity=identity.url, patience=QUICK)
    with Web(authorise=login, patience=QUICK) as web:
        return fetch(archive_sources(products), to, web=web, now=lambda: "2026-01-01T00:00:00+00:00")


def test_a_user_fetches_what_was_listed_with_one_login(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(NETRC)
    with hub(A, B) as (site, identity):
        path = listed(site, tmp_path)
        result = download(path, tmp_path / "to", identity)
        again = download(path, tmp_path / "to", identity)
    assert (result.exit_code, again.exit_code) == (0, 0)
    assert result.stdout.strip() == str(tmp_path / "to")
    assert "2 products, 0.0 GB, each with a published checksum" in result.stderr
    for name in (A, B):
        assert (tmp_path / "to" / f"{name}.zip").read_bytes() == DATA + name.encode()
    assert identity.grants == ["password"]
    assert {entry["kind"] for entry in json.loads((tmp_path / "to/sources.json").read_text())["files"].values()} == {
        "published"
    }


def test_a_token_that_ends_during_a_file_is_renewed_without_the_password(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        site.cuts = [1_000_000, 700_000]
        admits = site.admits
        site.admits = lambda header: admits(header) and (identity.access.clear() or True)  # good for one request
        [outcome] = fetched(products, tmp_path / "to", identity)
        asked = [(one.headers.get("Authorization"), one.headers.get("Range")) for one in site.requests[1:]]
    assert outcome.state == "fetched"
    assert (tmp_path / "to" / f"{A}.zip").read_bytes() == DATA + A.encode()
    assert identity.grants == ["password", "refresh_token", "refresh_token"]
    assert [(header or "")[-1] for header, _ in asked] == ["1", "1", "2", "2", "3"]
    assert [range_ for _, range_ in asked] == [None, *["bytes=1000000-"] * 2, *["bytes=1700000-"] * 2]


def test_a_token_is_renewed_before_it_ends(tmp_path: Path) -> None:
    with hub(A, B) as (site, identity):
        identity.lasts_s = 0
        outcomes = fetched(read(listed(site, tmp_path)), tmp_path / "to", identity)
        statuses = [identity.admits(one.headers.get("Authorization")) for one in site.requests[1:]]
    assert [outcome.state for outcome in outcomes] == ["fetched"] * 2
    assert statuses == [True, True]
    assert identity.grants == ["password", "refresh_token"]


def test_a_refused_refresh_token_is_replaced_by_a_login(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        site.cuts = [1_000_000]
        admits = site.admits

        def once(header: str | None) -> bool:
            admitted = admits(header)
            if admitted and len(identity.grants) == 1:
                identity.access.clear()
                identity.refresh.clear()
            return admitted

        site.admits = once
        [outcome] = fetched(products, tmp_path / "to", identity)
    assert outcome.state == "fetched"
    assert identity.grants == ["password", "password"]


def test_an_identity_service_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        identity.failing.extend([Reply(503), Reply(429, b"", {"Retry-After": "0"})])
        assert fetched(products, tmp_path / "to", identity)[0].state == "fetched"


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"<html>login</html>"), Reply(200, b"[]"), Reply(200, b'{"token": "canary"}'), Reply(404, b"canary")],
)
def test_an_invalid_identity_service_is_named_without_its_answer(tmp_path: Path, reply: Reply) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        identity.failing.append(reply)
        [outcome] = fetched(products, tmp_path / "to", identity)
    assert outcome.state == "failed"
    assert "127.0.0.1: expected" in outcome.message
    assert "canary" not in outcome.message


def test_a_server_that_knows_no_ranges_is_read_from_the_start(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        site.ranges, site.cuts = False, [1_000_000]
        assert fetched(products, tmp_path / "to", identity)[0].state == "fetched"
    assert (tmp_path / "to" / f"{A}.zip").read_bytes() == DATA + A.encode()


def test_the_next_process_resumes_a_download(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(NETRC)
    with hub(A) as (site, identity):
        path = listed(site, tmp_path)
        site.cuts = [1_000_000, *[0] * QUICK.attempts]
        assert fetched(read(path), tmp_path / "to", identity)[0].state == "failed"
        site.cuts.clear()
        before = len(site.requests)
        command = [sys.executable, "-c", "from sar_data.cli import main; main()"]
        command += ["scenes", "download", str(path), "--to", str(tmp_path / "to"), "--identity", identity.url]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert [one.headers.get("Range") for one in site.requests[before:]] == ["bytes=1000000-"]
    assert (tmp_path / "to" / f"{A}.zip").read_bytes() == DATA + A.encode()


def test_bytes_with_another_checksum_are_refused(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        products = read(listed(site, tmp_path))
        products = [replace(product, checksum=f"md5:{0:032}") for product in products]
        [outcome] = fetched(products, tmp_path / "to", identity)
    assert outcome.state == "failed"
    assert "expected the published md5" in outcome.message
    assert not (tmp_path / "to" / f"{A}.zip").exists()


def test_a_redirect_takes_no_token_to_another_host(tmp_path: Path) -> None:
    with hub(A) as (site, identity), OData(site.shelf) as other:
        products = read(listed(site, tmp_path))
        site.elsewhere = other.origin.replace("127.0.0.1", "localhost")
        assert fetched(products, tmp_path / "to", identity)[0].state == "fetched"
        assert identity.admits(site.requests[-1].headers["Authorization"])
        assert [one.headers.get("Authorization") for one in other.requests] == [None]


@pytest.mark.parametrize(
    ("host", "gets"),
    [
        ("download.dataspace.copernicus.eu", True),
        ("zipper.dataspace.copernicus.eu", True),
        ("copernicus.eu.example.org", False),
        ("notcopernicus.eu", False),
        ("datapool.asf.alaska.edu", False),
        ("localhost", False),
    ],
)
def test_hosts_of_copernicus_get_the_token_and_no_other_does(host: str, gets: bool) -> None:
    with Identity(USER, PASSWORD) as identity:
        login = Login(lambda host: (USER, PASSWORD), lambda host, refused: f"own of {host}", identity=identity.url)
        assert login(host, False) == ("Bearer canary-access-1" if gets else f"own of {host}")
        assert identity.grants == (["password"] if gets else [])


def test_an_unencrypted_identity_service_is_refused() -> None:
    with pytest.raises(UsageError, match="expected an https address"):
        Login(lambda host: None, lambda host, refused: None, identity="http://identity.example.org/token")


def test_the_error_without_an_account_says_how_to_get_one(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        result = download(listed(site, tmp_path), tmp_path / "to", identity)
    assert result.exit_code == 1
    assert "Register at dataspace.copernicus.eu" in result.stderr
    assert "machine 127.0.0.1 login" in result.stderr


def test_the_systems_keyring_is_asked_for_an_account_that_is_nowhere_else() -> None:
    keyring = pytest.importorskip("keyring", reason="the optional package keyring is not installed")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None: ...

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def get_credential(self, service: str, username: str | None) -> Any:
            return keyring.credentials.SimpleCredential(USER, PASSWORD) if service == "127.0.0.1" else None

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        with Identity(USER, PASSWORD) as identity:
            credentials = Credentials({}, None)
            assert Login(credentials.login, credentials, identity=identity.url)("127.0.0.1", False)
        assert identity.grants == ["password"]
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("right", [True, False])
def test_no_secret_is_found_in_any_output_or_file(tmp_path: Path, right: bool) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(NETRC if right else NETRC.replace(PASSWORD, "canary-wrong"))
    with hub(A, B) as (site, identity):
        path = listed(site, tmp_path)
        site.cuts = [1_000_000] * 3
        site.failing.extend([Reply(401, b"expired"), Reply(503), Reply(500)])
        command = [
            sys.executable,
            "-X",
            "dev",
            "-c",
            "import logging, warnings; warnings.simplefilter('default')\n"
            "logging.basicConfig(level=logging.DEBUG)\nfrom sar_data.cli import main; main()",
        ]
        command += ["scenes", "download", str(path), "--to", str(tmp_path / "to"), "--identity", identity.url]
        env = {**os.environ, "HOME": str(tmp_path / "nowhere"), "NETRC": str(netrc)}
        done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == (0 if right else 1), done.stderr
    assert "HTTP Request" in done.stderr  # the log is there to be searched
    assert "canary" not in done.stdout + done.stderr
    netrc.unlink()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"canary" not in file.read_bytes(), file
    if not right:
        assert "user or password were refused" in done.stderr


def rows(path: Path, *lines: Sequence[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def test_a_list_without_its_json_is_enough(tmp_path: Path) -> None:
    with hub(A) as (site, identity):
        path = listed(site, tmp_path)
        path.with_suffix(".json").unlink()
        [outcome] = fetched(read(path), tmp_path / "to", identity)
    assert (outcome.state, outcome.kind) == ("fetched", "observed")


def test_an_invalid_json_and_two_links_for_one_product_are_errors(tmp_path: Path) -> None:
    path = rows(tmp_path / "scenes.csv", COLUMNS, ("patch", A, "https://hub.example/1"))
    path.with_suffix(".json").write_text("{")
    with pytest.raises(SourceError, match=r"scenes\.json: expected the JSON"):
        read(path)
    two = rows(tmp_path / "two.csv", COLUMNS, ("one", A, "https://hub.example/1"), ("two", A, "https://hub.example/2"))
    with pytest.raises(SourceError, match="expected one link"):
        read(two)


def test_patches_without_a_product_keep_their_rows(tmp_path: Path) -> None:
    found = Match(scene=A, how="name", product=Product(name=f"{A}.SAFE", link="https://hub.example/1"))
    listing = Listing(catalogue="cdse", url="u", scenes=(found, Match(scene=B, reason="gone")), nameless=1)
    write(tmp_path / "scenes.csv", {"c": None, "b": B, "a": A, 'd,"': A}, listing)
    with (tmp_path / "scenes.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    link = "https://hub.example/1"
    assert lines == [list(COLUMNS), ["a", f"{A}.SAFE", link], ["b", B, ""], ["c", "", ""], ['d,"', f"{A}.SAFE", link]]
    assert read(tmp_path / "scenes.csv") == [found.product]


@pytest.mark.parametrize(
    ("attrs", "scene"), [({"product": A, "scene": A[:32]}, A), ({"scene": A[:32]}, A[:32]), ({"tile": "33UUP"}, None)]
)
def test_a_record_names_its_product_or_at_least_when_it_was_taken(attrs: dict[str, str], scene: str | None) -> None:
    assert scene_of(Record(key="patch", files=(), attrs=attrs)) == scene


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", f"{A}/../x", f"{A}\n", "", "S2A_MSIL2A.SAFE"])
def test_an_invalid_product_name_is_refused(tmp_path: Path, name: str) -> None:
    path = rows(tmp_path / "scenes.csv", COLUMNS, ("patch", name, "https://hub.example/x"))
    with pytest.raises(SourceError, match="expected the name of a Sentinel-1 product"):
        archive_sources(read(path))


def test_a_catalogues_entry_is_no_archive() -> None:
    entry = Product(name=A[:-5], link="https://stac.example/items/x", archive=False)
    with pytest.raises(SourceError, match="`catalogue=cdse`"):
        archive_sources([entry])


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0", 'patch,scene file,link\n"'])
def test_an_invalid_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scenes.csv").write_text(text)
    with pytest.raises(SourceError, match=r"scenes\.csv: expected"):
        read(tmp_path / "scenes.csv")
    with pytest.raises(SourceError, match=r"none\.csv: expected"):
        read(tmp_path / "none.csv")


def test_a_link_to_another_scheme_is_a_failure_that_names_it(tmp_path: Path) -> None:
    path = rows(tmp_path / "scenes.csv", COLUMNS, ("patch", A, "file:///etc/passwd"))
    with Web() as web:
        [outcome] = fetch(archive_sources(read(path)), tmp_path / "to", web=web, now=lambda: "")
    assert outcome.state == "failed"
    assert "expected https" in outcome.message
