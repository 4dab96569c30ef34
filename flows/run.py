"""Start a deployed flow by its bare name, and follow it to its end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, Log, StateType, WorkPoolStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.utilities.urls import url_for

from flows import build, convert, diff, export, leakage, mission, plan, rebuild, reports, scenes, stats, train, verify
from flows.parameters import as_flow_values, parse
from flows.tasks import PAGE
from flows.train import RUN_PAGE
from flows.verify import VERIFICATION_PAGE
from sar_data.errors import SarDataError, UsageError, unknown

Say = Callable[[str], None]

MODULES = (build, plan, rebuild, convert, export, verify, diff, stats, leakage, reports, train, mission, scenes)
CHECKS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    flow: check for module in MODULES for flow, check in module.CHECKS.items()
}
"""Flow → the check of its parameters, with defaults, before a run begins."""
POLL_S = 1.0
SETTLE_S = 5.0  # a run sends its logs every two seconds, the last ones after its final state
PAGE_LOGS = 200  # the most that a server returns at once
CHANGE = re.compile(r"`([a-z][a-z0-9_]*=[^`]*)`")  # a change, as errors write it
OVERLAP_LOGS = 50  # logs of two processes may arrive out of order, so the last ones are read again


def run(name: str, parameters: Sequence[str], *, watch: bool, say: Say) -> str:
    """Start the deployment `name` (or `flow/deployment`) with `KEY=VALUE` parameters.

    Return the path of the sealed build, or of the training run, once a watched run has ended, else the address of
    the run. Raises UsageError for a name or a parameter that does not fit, SarDataError for a server out of reach and
    for a run that failed.
    """
    with _server() as client:
        label, deployment = _resolve(client, name)
        values = parse(parameters, deployment.parameter_openapi_schema or {}, label, deployment.parameters or {})
        _check(label, deployment, values)
        try:
            started = client.create_flow_run_from_deployment(deployment.id, parameters=values)
        except PrefectHTTPStatusError as error:
            raise UsageError(f"{label}: {_detail(error)}") from error
        where = url_for("flow-run", obj_id=started.id) or str(started.id)
        say(f"started {label} as {started.name}: {where}")
        if idle := _idle(client, deployment):
            say(idle)
        if not watch:
            return where
        ended = _follow(client, started.id, say)
        if ended.state is None or ended.state.type != StateType.COMPLETED:
            state = f"{ended.state.name}: {ended.state.message}" if ended.state else "no state"
            raise SarDataError(f"{label}: run {started.name} ended as {state.rstrip('.')}. See {where}")
        return folder_of(client, started.id) or where


@contextmanager
def _server() -> Iterator[SyncPrefectClient]:
    """Connect to the configured server; never start a server, because it would end with this command."""
    url = get_current_settings().api.url
    remedy = "Start one (prefect server start) and name it (prefect config set PREFECT_API_URL=http://HOST:4200/api)"
    if not url:
        raise SarDataError(f"expected a Prefect server, found no PREFECT_API_URL. {remedy}.")
    try:
        with get_client(sync_client=True) as client:
            client.hello()
            yield client
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise SarDataError(f"expected a Prefect server at {url}, found none ({error}). {remedy}.") from error


def _resolve(client: SyncPrefectClient, name: str) -> tuple[str, DeploymentResponse]:
    """Return the one deployment of that name, labelled flow/deployment."""
    flow, slash, deployment = name.rpartition("/")
    matches = client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[flow])) if slash else None,
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[deployment])),
    )
    if len(matches) == 1:
        return _label(client, matches[0]), matches[0]
    if matches:
        choices = ", ".join(sorted(_label(client, match) for match in matches))
        raise UsageError(f"{name} names {len(matches)} deployments, expected one: say which of {choices}")
    existing = client.read_deployments()
    if not existing:
        raise UsageError(f"unknown deployment {name!r}: the server has none: prefect deploy --all makes them")
    raise unknown("deployment", name, [_label(client, known) if slash else known.name for known in existing])


def _label(client: SyncPrefectClient, deployment: DeploymentResponse) -> str:
    return f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"


def _check(label: str, deployment: DeploymentResponse, values: Mapping[str, Any]) -> None:
    """Raise UsageError for values of the right type that a flow of ours would refuse a minute later."""
    check = CHECKS.get(label.partition("/")[0])
    if check is None:
        return
    fields = (deployment.parameter_openapi_schema or {}).get("properties", {})
    defaults = {name: field.get("default") for name, field in fields.items()}
    try:
        check(as_flow_values({**defaults, **(deployment.parameters or {}), **values}, fields))
    except UsageError as error:
        raise UsageError(CHANGE.sub(r"-p \1", str(error))) from error


def _idle(client: SyncPrefectClient, deployment: DeploymentResponse) -> str | None:
    """Return a sentence where no worker can start the run."""
    name = deployment.work_pool_name
    if name is None:
        return None
    status = client.read_work_pool(name).status
    if status == WorkPoolStatus.PAUSED:
        return f"the work pool {name} is paused: the run waits for prefect work-pool resume {name}"
    if status == WorkPoolStatus.NOT_READY:
        return f"no worker polls the work pool {name}: the run waits for prefect worker start --pool {name}"
    return None


def _follow(client: SyncPrefectClient, run_id: UUID, say: Say) -> FlowRun:
    """Print a run's states and logs until it has ended."""
    seen: set[UUID] = set()
    state: str | None = None
    latest = time.monotonic()
    while True:
        current = client.read_flow_run(run_id)
        name = current.state.name if current.state else None
        if name and name != state:
            say(name)
            state = name
        for log in _new_logs(client, run_id, seen):
            say(f"{log.timestamp.astimezone():%H:%M:%S} {log.message}")
            latest = time.monotonic()
        if not (current.state and current.state.is_final()):
            latest = time.monotonic()
        elif time.monotonic() - latest >= SETTLE_S:
            return current
        time.sleep(POLL_S)


def _new_logs(client: SyncPrefectClient, run_id: UUID, seen: set[UUID]) -> Iterator[Log]:
    log_filter = filters.LogFilter(flow_run_id=filters.LogFilterFlowRunId(any_=[run_id]))
    while True:
        logs = client.read_logs(log_filter, limit=PAGE_LOGS, offset=max(0, len(seen) - OVERLAP_LOGS))
        fresh = [log for log in logs if log.id not in seen]
        if not fresh:
            return
        seen.update(log.id for log in fresh)
        yield from fresh


def folder_of(client: SyncPrefectClient, run_id: UUID) -> str | None:
    """Return the folder of the run or build of a finished flow, from the description of its page."""
    for page in (RUN_PAGE, PAGE, VERIFICATION_PAGE):
        artifact_filter = filters.ArtifactFilter(
            flow_run_id=filters.ArtifactFilterFlowRunId(any_=[run_id]), key=filters.ArtifactFilterKey(like_=page)
        )
        for artifact in client.read_artifacts(artifact_filter=artifact_filter):
            if artifact.key and artifact.key.endswith(page):  # the server matches it anywhere in the key
                return artifact.description
    return None


def _detail(error: PrefectHTTPStatusError) -> str:
    try:
        return str(error.response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error)
