"""What a run shows in the UI."""

from __future__ import annotations


def bars(name: str) -> dict[str, float]:
    """Return stage → percent of the progress artifacts of the one run of a name."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterName

    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name])))
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        found = [one for one in client.read_artifacts(artifact_filter=of_run) if one.type == "progress"]
    return {str(one.description).partition(":")[0]: float(str(one.data)) for one in found}
