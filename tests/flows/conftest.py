from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from tests.mini.hang import HANG_S

# Prefect takes 2 s to import, so everything that needs it is imported inside fixtures and tests.

HERE = Path(__file__).parent
# Nothing is sent home, and a slow machine is waited for.
SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_API_REQUEST_TIMEOUT": str(HANG_S),
    "PREFECT_SERVER_DATABASE_TIMEOUT": str(HANG_S),
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": str(HANG_S),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.flows)


@dataclass(frozen=True)
class Archive:
    """A miniature archive, and the content digest that the library gives it."""

    source: Path
    digest: str
    train: str


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    home = tmp_path_factory.mktemp("archive")
    catalog.synthesise("bigearthnet-s1")(home / "raw", count=40, seed=3)
    options: dict[str, Any] = {"split": "official"}
    sealed = build(
        BuildRequest(dataset=catalog.pipeline("bigearthnet-s1"), source=home / "raw", out=home / "out", **options)
    )
    return Archive(home / "raw", sealed.manifest.content_digest, sealed.index()["key"][0].as_py())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server for the tests of this process; its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        from prefect.settings import get_current_settings
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=int(HANG_S)):
            yield str(get_current_settings().api.url)


@pytest.fixture(scope="session")
def deployments(server: str) -> None:
    """Two deployments with a name of their own, two that share one, and build-dataset on a pool without a worker."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from flows.build import build_dataset

    async def deploy() -> None:
        async with get_client() as client:
            for name, of in (("build-one", "a"), ("build-two", "b"), ("twin", "a"), ("twin", "b")):
                flow_id = await client.create_flow(flow(lambda: None, name=of))
                schema = {"type": "object", "properties": {"seed": {"type": "integer"}}}
                await client.create_deployment(
                    flow_id, name, parameter_openapi_schema=schema, enforce_parameter_schema=True
                )
            await client.create_work_pool(WorkPoolCreate(name="idle", type="process"))
            await client.create_deployment(
                await client.create_flow(build_dataset),
                "build-dataset",
                work_pool_name="idle",
                parameter_openapi_schema=build_dataset.parameters.model_dump_for_openapi(),
                enforce_parameter_schema=True,
            )

    asyncio.run(deploy())
