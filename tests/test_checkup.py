"""The look at this machine: each thing has a state, what is not sound a remedy, and no secret is said."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sar_data import checkup
from sar_data.checkup import Finding, doctor
from sar_data.cli import main
from tests.mini.strangers import without_privileges

SECRET = "xyzzy-of-the-test"


def found(out: Path, what: str, **environment: str) -> list[Finding]:
    return [one for one in doctor(out, environment={"HOME": str(out), **environment}) if one.what == what]


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_every_finding_but_a_sound_one_has_a_remedy(tmp_path: Path) -> None:
    findings = doctor(tmp_path, environment={"HOME": str(tmp_path)})
    assert {"versions", "datasets", "disk", "open files", "memory", "threads", "GPU", "credentials", "numba cache"} <= {
        one.what for one in findings
    }
    assert all(one.text and bool(one.remedy) == (one.state != "ok") for one in findings)
    assert not [one for one in findings if one.state == "fault"]


def test_no_module_of_the_current_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("open('mark', 'w')")
    monkeypatch.chdir(tmp_path)
    checkup._asked_torch()
    assert not (tmp_path / "mark").exists()


def test_the_disk_of_a_closed_folder_is_a_fault() -> None:
    with tempfile.TemporaryDirectory() as home, without_privileges(Path(home)):
        (Path(home) / "closed").mkdir(mode=0)
        (one,) = checkup._disk(Path(home) / "closed" / "builds" / "mine")
        assert (one.state, one.text) == ("fault", f"{home}/closed is not yours to write to")


def test_credentials_are_named_and_never_said(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine data.example.org login me password {SECRET}\n")
    (one,) = found(tmp_path, "credentials", SAR_DATA_TOKEN_HUB_EXAMPLE_ORG=SECRET, AWS_SECRET_ACCESS_KEY=SECRET)
    assert (one.state, one.remedy) == ("ok", "")
    assert one.text == f"present: SAR_DATA_TOKEN_HUB_EXAMPLE_ORG, data.example.org in {tmp_path / '.netrc'}"


def test_a_netrc_file_that_cannot_be_read_is_a_fault_that_quotes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine data.example.org {SECRET} {SECRET}\n")
    (one,) = found(tmp_path, "credentials")
    assert (one.state, one.remedy) == ("fault", "correct it")
    assert SECRET not in one.text


def test_a_server_that_is_named_and_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    port = closed_port()
    (prefect,) = found(tmp_path, "Prefect", PREFECT_API_URL=f"http://me:{SECRET}@127.0.0.1:{port}/api")
    (dask,) = found(tmp_path, "Dask", SAR_DATA_DASK_ADDRESS=f"tcp://127.0.0.1:{port}")
    assert {prefect.state, dask.state} == {"fault"}
    assert prefect.text == f"expected a server at http://127.0.0.1:{port}/api, found none that answers"
    assert "prefect server start" in prefect.remedy
    assert not found(tmp_path, "Dask")


def test_a_server_that_answers_is_sound(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (one,) = found(tmp_path, "Dask", SAR_DATA_DASK_ADDRESS=f"tcp://127.0.0.1:{server.getsockname()[1]}")
    assert one.state == "ok"


def test_the_disk_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    (one,) = found(tmp_path / "not" / "yet", "disk")
    assert one.text.endswith(f" at {tmp_path}")


def test_the_command_prints_the_findings_in_80_columns_and_ends_with_1_on_a_fault(tmp_path: Path) -> None:
    sound = {"HOME": str(tmp_path), "PREFECT_API_URL": "", "SAR_DATA_DASK_ADDRESS": ""}
    done = CliRunner().invoke(main, ["doctor", "--out", str(tmp_path)], env=sound)
    assert done.exit_code == 0
    words = [word for word in done.stdout.split() if len(word) > 40]  # paths, which are not broken
    assert max(len(line) for line in done.stdout.splitlines() if not any(word in line for word in words)) <= 80
    assert click.unstyle(done.stdout) == done.stdout
    failing = sound | {"SAR_DATA_DASK_ADDRESS": f"tcp://127.0.0.1:{closed_port()}"}
    done = CliRunner().invoke(main, ["doctor", "--json"], env=failing)
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["sound"] is False
    assert [one["what"] for one in document["findings"] if one["state"] == "fault"] == ["Dask"]
