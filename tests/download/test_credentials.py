"""A credential goes to the host it was left for, over a line that nobody reads, and is never said."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sar_data.download.credentials import Credentials
from sar_data.download.http import Web, redact
from sar_data.download.retry import Patience
from sar_data.download.target import Target
from sar_data.download.transfer import download
from sar_data.errors import FetchError, SarDataError
from tests.download import site as web
from tests.download.site import Handler, Site, Turn, answer, cut, good, raw, redirect, status
from tests.download.third_party import register
from tests.mini.hang import HANG_S

DATA = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
CANARY = "canary-7f3a91c0d2"
HASTE = Patience(attempts=3, first_s=0.001, most_s=0.002, connect_s=HANG_S, read_s=HANG_S)


@pytest.fixture
def here() -> Iterator[Site]:
    with web.serving() as site:
        yield site


@pytest.fixture
def there() -> Iterator[Site]:
    """A server of another host, whose name is another one of this machine."""
    with web.serving(host="localhost") as site:
        yield site


def get(site: Site, folder: Path, authorise: Any, path: str = "/a", **options: Any) -> Path:
    wanted = Target(name="data.bin", urls=(site.url + path,), checksum=SHA256)
    with Web(authorise=authorise, patience=HASTE, **options) as client:
        return download(wanted, folder, web=client).path


def authorizations(site: Site) -> list[str | None]:
    return [asked.headers.get("authorization") for asked in site.asked]


def protected(turn: Turn, header: str) -> Turn:
    """Serve only who brings the header."""

    def guarded(self: Handler) -> None:
        (turn if self.asked.headers.get("authorization") == header else status(401))(self)

    return guarded


def test_a_credential_is_sent_to_its_own_host_only(here: Site, there: Site, tmp_path: Path) -> None:
    here.answers["/a"] = [redirect(f"{there.url}/a")]
    there.answers["/a"] = [good(DATA)]
    get(here, tmp_path, Credentials({"SAR_DATA_TOKEN_127_0_0_1": CANARY}, None))
    assert authorizations(here) == [f"Bearer {CANARY}"]
    assert authorizations(there) == [None]


def test_a_credential_is_not_sent_to_another_service_of_the_same_host(here: Site, tmp_path: Path) -> None:
    with web.serving() as neighbour:
        here.answers["/a"] = [redirect(f"{neighbour.url}/a")]
        neighbour.answers["/a"] = [good(DATA)]
        get(here, tmp_path, Credentials({"SAR_DATA_TOKEN_127_0_0_1": CANARY}, None))
    assert authorizations(here) == [f"Bearer {CANARY}"]
    assert authorizations(neighbour) == [None]


def test_each_host_of_a_redirect_chain_gets_its_own_credential(here: Site, there: Site, tmp_path: Path) -> None:
    here.answers["/a"] = [redirect(f"{there.url}/login"), protected(good(DATA), "Bearer one")]
    there.answers["/login"] = [protected(redirect(f"{here.url}/a"), "Bearer two")]
    environ = {"SAR_DATA_TOKEN_127_0_0_1": "one", "SAR_DATA_TOKEN_LOCALHOST": "two"}
    assert get(here, tmp_path, Credentials(environ, None)).read_bytes() == DATA


def test_credentials_go_unencrypted_to_this_machine_only() -> None:
    with Web(authorise=lambda host, refused: f"Bearer {CANARY}") as client:
        for url, sent in {"http://192.0.2.1/a": False, "https://192.0.2.1/a": True, "http://127.0.0.1/a": True}.items():
            request = httpx.Request("GET", url)
            client._sign(request, request.url, False)
            assert ("authorization" in request.headers) is sent


def test_a_token_that_expires_during_a_transfer_is_renewed(here: Site, tmp_path: Path) -> None:
    here.answers["/a"] = [
        protected(cut(DATA, 100_000), "Bearer first"),
        protected(cut(DATA, 100_000), "Bearer second"),
        protected(good(DATA), "Bearer second"),
    ]
    tokens = iter(["first", "second"])
    current: dict[str, str] = {}

    def authorise(host: str, refused: bool) -> str:
        if refused or host not in current:
            current[host] = f"Bearer {next(tokens)}"
        return current[host]

    assert get(here, tmp_path, authorise).read_bytes() == DATA
    assert [asked.start for asked in here.asked] == [0, 100_000, 100_000]
    assert authorizations(here) == ["Bearer first", "Bearer first", "Bearer second"]


def test_a_login_is_taken_from_a_netrc_file_by_name_alone(here: Site, there: Site, tmp_path: Path) -> None:
    netrc_file = tmp_path / "netrc"
    netrc_file.write_text(f"machine 127.0.0.1 login me password {CANARY}\ndefault login anyone password {CANARY}\n")
    credentials = Credentials({}, netrc_file)
    header = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()
    here.answers["/a"] = there.answers["/a"] = [protected(good(DATA), header)]
    assert get(here, tmp_path / "here", credentials).read_bytes() == DATA
    with pytest.raises(FetchError, match="it needs a login"):
        get(there, tmp_path / "there", credentials)
    assert authorizations(there) == [None, None]


def test_a_login_is_taken_from_the_environment_before_the_netrc_file(tmp_path: Path) -> None:
    netrc_file = tmp_path / "netrc"
    netrc_file.write_text("machine a-b.org login me password one\n")
    environ = {"SAR_DATA_USER_A_B_ORG": "you", "SAR_DATA_PASSWORD_A_B_ORG": "two"}
    assert Credentials({}, netrc_file).pair("a-b.org") == ("me", "one")
    assert Credentials(environ, netrc_file).pair("a-b.org") == ("you", "two")
    assert Credentials({}, tmp_path / "none").pair("a-b.org") is None


def test_a_keyring_is_asked_once_a_host_has_refused(here: Site, tmp_path: Path) -> None:
    keyring = pytest.importorskip("keyring", reason="the optional package keyring is not installed")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1
        asked: list[str] = []  # noqa: RUF012  a backend of one test

        def get_password(self, service: str, username: str) -> str | None:
            self.asked.append(service)
            return "open sesame" if service == "127.0.0.1" else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def get_credential(self, service: str, username: str | None) -> Any:
            password = self.get_password(service, "")
            return password and keyring.credentials.SimpleCredential("me", password)

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        header = "Basic " + base64.b64encode(b"me:open sesame").decode()
        here.answers = {"/a": [protected(good(DATA), header)], "/b": [good(DATA)]}
        get(here, tmp_path / "open", Credentials({}, None), path="/b")
        assert Memory.asked == []
        assert get(here, tmp_path, Credentials({}, None)).read_bytes() == DATA
        assert Memory.asked == ["127.0.0.1"]
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        (Credentials({"SAR_DATA_TOKEN_127_0_0_1": f"{CANARY}\nx-evil: 1"}, None), "expected a credential of printable"),
        (Credentials({"SAR_DATA_TOKEN_127_0_0_1": f"{CANARY}ü"}, None), "expected a credential of printable"),
    ],
)
def test_an_invalid_header_is_refused_and_not_shown(
    here: Site, tmp_path: Path, credentials: Credentials, says: str
) -> None:
    with pytest.raises(FetchError, match=says) as caught:
        get(here, tmp_path, credentials)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert here.asked == []


def test_the_error_of_a_netrc_file_does_not_show_its_contents(here: Site, tmp_path: Path) -> None:
    netrc_file = tmp_path / "netrc"
    netrc_file.write_text(f"machine 127.0.0.1 login me\n{CANARY}\n")
    with pytest.raises(FetchError, match=r"netrc, line 3: expected a netrc entry") as caught:
        get(here, tmp_path, Credentials({}, netrc_file))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_shown_address_has_no_secrets() -> None:
    assert redact("https://user:pass@a.org:8443/b/c.zip?X-Amz-Signature=1#d") == "https://a.org:8443/b/c.zip"


FAILING: dict[str, list[Turn]] = {
    "refused": [status(401)],
    "broken": [status(503)],
    "cut": [cut(DATA, 0)],
    "nonsense": [raw(b"\0\1\2")],
    "page": [answer(200, b"<html>" + b" " * 600, content_type="text/html")],
    "other": [good(DATA[::-1])],
    "loop": [redirect("/a")],
    "signed": [redirect(f"/b?signature={CANARY}")],
}


@pytest.mark.parametrize("turns", FAILING.values(), ids=FAILING)
def test_a_failing_download_shows_no_secret_in_logs_tracebacks_or_files(
    here: Site, tmp_path: Path, turns: list[Turn], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    netrc_file = tmp_path / "netrc"
    netrc_file.write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    encoded = base64.b64encode(f"me:{CANARY}".encode()).decode()
    here.answers = {"/a": turns, "/b": [status(404)]}
    said: list[str] = []
    wanted = Target(name="data.bin", urls=(f"{here.url}/a",), checksum=SHA256)
    # What a server answers with is httpcore's to log, and a signed address is part of it.
    level = logging.INFO if turns is FAILING["signed"] else logging.DEBUG
    with (
        caplog.at_level(level),
        pytest.raises(SarDataError) as caught,
        Web(authorise=Credentials({}, netrc_file), patience=HASTE) as client,
    ):
        download(wanted, tmp_path / "to", web=client, say=said.append)
    assert any(header and encoded in header for header in authorizations(here))
    files = b"".join(path.read_bytes() for path in (tmp_path / "to").rglob("*") if path.is_file())
    everything = [*said, *capfd.readouterr(), files.decode(errors="replace")]
    everything += ["".join(traceback.format_exception(caught.value)), repr(caught.value), caplog.text]
    for text in everything:
        assert CANARY not in text
        assert encoded not in text


def test_a_failing_command_shows_no_secret(here: Site, tmp_path: Path) -> None:
    lists: list[str] = []

    def look(self: Handler) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lists.append(process.read_bytes().decode(errors="replace"))
            except OSError:
                continue
        status(404)(self)

    here.answers = {"/sets/data.bin": [look], "/sets/other.bin": [status(401)]}
    sources = f'Source(name="data.bin", url="{here.url}/x", checksum="{SHA256}"), '
    sources += f'Source(name="other.bin", url="{here.url}/y")'
    env = register(tmp_path / "package", "seen-sets", sources)
    (tmp_path / "package" / "home").mkdir()
    (tmp_path / "package" / "home" / ".netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    run = [sys.executable, "-c", "from sar_data.cli import main; main()", "fetch", "seen-sets"]
    run += ["--to", str(tmp_path / "to"), "--mirror", f"{here.url}/sets", "--json"]
    done = subprocess.run(run, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    encoded = base64.b64encode(f"me:{CANARY}".encode()).decode()
    assert any(header and encoded in header for header in authorizations(here))
    assert any("seen-sets" in line for line in lists)
    files = [path.read_text(errors="replace") for path in (tmp_path / "to").rglob("*") if path.is_file()]
    for text in (done.stdout, done.stderr, *lists, *files):
        assert CANARY not in text
        assert encoded not in text
    assert os.environ.get("HOME") != env["HOME"]
