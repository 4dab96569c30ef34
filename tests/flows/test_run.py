from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from sar_data.cli.flow import command
from sar_data.cli.stop import Note
from sar_data.errors import MissingExtra, SarDataError, UsageError


def _silent(line: str) -> None:
    raise AssertionError(f"expected silence, found {line}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("build-on", r"unknown deployment 'build-on'. Did you mean 'build-one'\? There are: .*build-two, twin"),
        ("b/build-one", r"unknown deployment 'b/build-one'.*There are: a/build-one, a/twin, b/build-two, b/twin"),
        ("twin", "twin names 2 deployments, expected one: say which of a/twin, b/twin"),
    ],
)
def test_a_name_that_is_not_one_deployment_is_refused(deployments: None, name: str, message: str) -> None:
    from flows.run import run

    with pytest.raises(UsageError, match=message):
        run(name, [], watch=False, say=_silent)


@pytest.mark.parametrize("name", ["build-one", "a/twin"])
def test_a_run_that_is_not_watched_says_where_to_look(deployments: None, name: str) -> None:
    from flows.run import run

    said: list[str] = []
    where = run(name, ["seed=3"], watch=False, say=said.append)
    assert where.startswith("http://127.0.0.1")
    assert len(said) == 1
    assert said[0].endswith(where)


PLACES = ("source=/raw", "out=/out")
WRONG = {
    "dataset": ("dataset=ssd", r"unknown dataset 'ssd'. Did you mean 'ssdd'\?"),
    "variant": ("variant=calibratd", "unknown variant of eurosat-sar 'calibratd'"),
    "format": ("format=lmbd", r"unknown format 'lmbd'. Did you mean 'lmdb'\?"),
    "compression": ("compression=zst", r"unknown compression 'zst'. Did you mean 'zstd'\?"),
    "container": (("format=lmdb", "compression=zstd"), "-p compression=zstd: expected none with -p format=lmdb"),
    "split": ("split=offical", r"unknown split 'offical'"),
    "share": ("split=random:train=2", "train=2"),
    "normalize": ("normalize=zscroe", r"unknown normalize 'zscroe'. Did you mean 'zscore'\?"),
    "dtype": ("dtype=int8", "unknown dtype 'int8'"),
    "changes": (("dtype=int16", "normalize=zscore"), "-p dtype=int16 stores dB and -p normalize=zscore leaves no dB"),
    "sizes": (("crop=8", "pad=8"), "-p crop=8 and -p pad=8: both make one size"),
    "parent": ("drop_parent=true", "-p drop_parent=True: expected -p speckle=…, -p unit=…"),
    "limit": ("limit=0", "-p limit=0: expected a whole number of at least 1"),
    "records": ("bad_records=skp", "unknown bad_records 'skp'"),
    "runner": ("runner=dusk", r"unknown runner 'dusk'. Did you mean 'dask'\?"),
    "address": (("runner=serial", "dask_address=tcp://x:1"), "expected -p runner=dask, found -p runner=serial"),
}


def _runs() -> int:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs())


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_parameter_is_refused_in_a_sentence_and_nothing_is_started(
    deployments: None, wrong: str | tuple[str, ...], message: str
) -> None:
    from flows.run import run

    given = [wrong] if isinstance(wrong, str) else list(wrong)
    before = _runs()
    with pytest.raises(UsageError, match=message) as caught:
        run("build-dataset", ["dataset=eurosat-sar", *PLACES, *given], watch=False, say=_silent)
    assert "\n" not in str(caught.value)
    assert _runs() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("source", "raw"), ("format", "lmbd"), ("normalize", "z"), ("limit", 0), ("workers", -1), ("dataset", "ssd")],
)
def test_the_server_itself_refuses_what_does_not_fit_its_type(deployments: None, name: str, value: object) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    given = {"dataset": "ssdd", "source": "/raw", "out": "/out", name: value}
    with get_client(sync_client=True) as client:
        (deployment,) = [one for one in client.read_deployments() if one.name == "build-dataset"]
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            client.create_flow_run_from_deployment(deployment.id, parameters=given)


def test_that_no_worker_polls_is_said_at_once(deployments: None) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate

    from flows.run import run

    said: list[str] = []
    run("build-dataset", ["dataset=SSDD", *PLACES], watch=False, say=said.append)
    waits = "no worker polls the work pool idle: the run waits for prefect worker start --pool idle"
    assert said[1:] == [waits]
    with get_client(sync_client=True) as client:
        client.update_work_pool("idle", WorkPoolUpdate(is_paused=True))
        run("build-dataset", ["dataset=ssdd", *PLACES], watch=False, say=said.append)
        client.update_work_pool("idle", WorkPoolUpdate(is_paused=False))
    assert said[3] == "the work pool idle is paused: the run waits for prefect work-pool resume idle"


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9/api"])
def test_without_a_server_the_remedy_is_named_and_none_is_started(server: str, address: str | None) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.run import run

    changes = {"updates": {PREFECT_API_URL: address}} if address else {"restore_defaults": {PREFECT_API_URL}}
    remedy = r"expected a Prefect server.*prefect server start"
    with temporary_settings(**changes), pytest.raises(SarDataError, match=remedy):
        run("build-one", [], watch=True, say=_silent)


def test_without_prefect_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("prefect", "flows")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_NoPrefect(), *sys.meta_path])
    result = CliRunner().invoke(command, ["run", "build-one"], obj=Note())
    assert isinstance(result.exception, MissingExtra)
    assert "pip install 'sar-data[flows]'" in str(result.exception)


class _NoPrefect:
    """Finds no prefect, as where it is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "prefect":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
