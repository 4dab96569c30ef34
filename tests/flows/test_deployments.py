"""Every deployment of prefect.yaml builds the miniature of its dataset, with no other parameter than its places."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from sar_data import catalog, runners
from sar_data.sealed.opened import Build
from tests.places import ROOT

DEPLOYMENTS: dict[str, dict[str, Any]] = {
    one["name"]: one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
}
DATASETS = {name: one["tags"][2] for name, one in DEPLOYMENTS.items() if len(one["tags"]) == 3}
COUNTS = {"eurosat-sar": 60}  # its default split draws from each of ten classes
FEW = 8


def _flow(name: str) -> Any:
    module, _, flow = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    return getattr(import_module(module), flow)


@pytest.mark.parametrize("name", DATASETS)
def test_a_deployment_builds_its_miniature_by_its_defaults(
    server: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        runners, "available_cores", lambda: 1
    )  # workers of their own would cost more than the miniature
    dataset = DATASETS[name]
    catalog.synthesise(dataset)(tmp_path / "raw", count=COUNTS.get(dataset, FEW), seed=0)
    built = _flow(name)(source=tmp_path / "raw", out=tmp_path / "out")
    manifest = Build.open(Path(built["path"])).manifest
    assert manifest.dataset == dataset
    assert manifest.splits["train"].count > 0


@pytest.mark.parametrize("name", DATASETS)
def test_the_name_of_a_deployment_with_or_without_build_is_one_of_its_dataset(name: str) -> None:
    assert catalog.resolve(name.removeprefix("build-")) == catalog.resolve(name) == DATASETS[name]


def test_a_deployment_has_the_name_of_its_flow_and_no_flow_has_none() -> None:
    from prefect import Flow

    for name in DEPLOYMENTS:
        assert _flow(name).name == name
    flows = {
        one.name
        for path in (ROOT / "flows").glob("*.py")
        for one in vars(import_module(f"flows.{path.stem}")).values()
        if isinstance(one, Flow)
    }
    assert flows == set(DEPLOYMENTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_defaults_of_a_deployment_fit_what_a_server_and_the_library_check(name: str) -> None:
    from flows.parameters import as_flow_values, parse
    from flows.run import CHECKS

    schema = _flow(name).parameters.model_dump_for_openapi()
    fields = schema["properties"]
    asked = {"dataset": "ssdd", "job": "probe", "to": "onnx", "target": "coco", "suite": "copernicus-bench-s1"}
    given = [f"{key}={asked.get(key, '/a/folder')}" for key in schema["required"]]
    values = parse(given, schema, name)
    defaults = {key: field.get("default") for key, field in fields.items()}
    CHECKS[name](as_flow_values({**defaults, **values}, fields))
