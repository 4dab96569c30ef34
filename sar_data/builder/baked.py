"""Find what an earlier run baked from a lossless build that it then dropped."""

from __future__ import annotations

from pathlib import Path

from sar_data.builder.draft import Draft
from sar_data.builder.request import BuildRequest
from sar_data.errors import BuildError
from sar_data.sealed.documents import REQUIRED, Applied
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import find_damage
from sar_data.system.store import Place, Store, is_url


def baked_from(draft: Draft, request: BuildRequest) -> Build | None:
    """Return the sealed build that was baked as `request` asks from the build that `draft` would become, or None."""
    conversion = request.conversion(draft.target.place)
    container = conversion.format or draft.job.format
    changes = {name: [value, value] if REQUIRED[name] == "size" else value for name, value in conversion.baked.items()}
    for place in _siblings(draft.target.place, container):
        try:
            build = Build.open(place)
        except BuildError:
            continue  # of another version, say
        manifest = build.manifest
        if (
            manifest.parent is not None
            and manifest.parent.recipe_digest == draft.job.recipe
            and manifest.compression == request.packing
            and _parameters(manifest.applied) == changes
            and not find_damage(build.place)
        ):
            return build
    return None


def _siblings(place: Place, container: str) -> list[Place]:
    """Return the builds of a container beside the one at a place."""
    if not is_url(place):
        return [path.parent for path in sorted(Path(place).parent.glob(f"{container}-*/{NAME}"))]
    store = Store(place.rpartition("/")[0])
    parts = [name.split("/") for name in sorted(store.sizes()) if name.startswith(f"{container}-")]
    return [f"{store.url}/{folder}" for folder, *rest in parts if rest == [NAME]]


def _parameters(applied: list[Applied]) -> dict[str, object]:
    return {step.step: step.parameters.get(REQUIRED.get(step.step, "")) for step in applied if step.step != "scale"}
