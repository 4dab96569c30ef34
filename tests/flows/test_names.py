"""Runs have names that say what they do."""

from __future__ import annotations

from typing import Any

import pytest

BUILD = "/data/builds/ssdd/1.0/lmdb-3fa91c07"


@pytest.mark.parametrize(
    ("flow", "parameters", "name"),
    [
        ("build-ssdd", {"dataset": "ssdd", "format": "lmdb", "split": "official"}, "ssdd-lmdb-official"),
        ("build-dataset", {"dataset": "ssdd"}, "ssdd-webdataset-official"),  # as the dataset has it
        (
            "build-dataset",
            {"dataset": "hrsid", "format": ["lmdb", "webdataset"], "split": "group:by=place"},
            "hrsid-lmdb+webdataset-group",
        ),
        ("build-and-train", {"dataset": "ssdd", "format": "lmdb"}, "ssdd-lmdb-official-and-train"),
        ("build-dataset", {"dataset": "no such set"}, "no such set"),  # which the run itself refuses
        ("convert", {"parent": BUILD, "format": "zarr"}, "convert-ssdd-lmdb-3fa91c07-zarr"),
        ("verify", {"path": BUILD, "full": True}, "verify-ssdd-lmdb-3fa91c07"),
        ("train", {"job": "detect", "build": BUILD, "out": "/data/runs/a"}, "detect-ssdd-lmdb-3fa91c07-a"),
        ("evaluate", {"run": "/data/runs/a", "build": BUILD, "split": "val"}, "evaluate-a-ssdd-lmdb-3fa91c07-val"),
        ("train-report", {"runs": ["/data/runs/a", "/data/runs/b"]}, "train-report-a+b"),
    ],
)
def test_a_run_is_called_by_what_it_does(flow: str, parameters: dict[str, Any], name: str) -> None:
    from flows.names import name_of

    assert name_of(flow, parameters) == name


def test_every_flow_has_runs_with_names() -> None:
    from prefect import Flow

    from flows.names import SUBJECTS
    from flows.run import MODULES

    found = {one.name: one for module in MODULES for one in vars(module).values() if isinstance(one, Flow)}
    assert len(found) > 20
    for name, flow in found.items():
        assert name.startswith("build") or name in SUBJECTS
        assert callable(flow.flow_run_name), name
