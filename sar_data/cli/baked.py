"""Find what an earlier run baked from a lossless build that it then dropped."""

from __future__ import annotations

from sar_data.builder.draft import Draft
from sar_data.builder.repack import Changes
from sar_data.errors import BuildError
from sar_data.sealed.manifest import NAME, Applied
from sar_data.sealed.opened import Build

ASKED = {
    "crop": "size",
    "pad": "size",
    "resize": "size",
    "normalize": "method",
    "dtype": "dtype",
}  # the parameter of a step that the user names


def baked_from(draft: Draft, changes: Changes) -> Build | None:
    """Return the sealed build that `changes` made of the build that `draft` would become, or None."""
    sizes = {"crop": changes.crop, "pad": changes.pad, "resize": changes.resize}
    wanted = {
        **{step: side and [side, side] for step, side in sizes.items()},
        "normalize": changes.normalize,
        "dtype": changes.dtype,
    }
    for path in sorted(draft.target.parent.glob(f"{changes.format}-*/{NAME}")):
        try:
            build = Build.open(path.parent)
        except BuildError:
            continue  # of another version, say
        manifest = build.manifest
        if (
            manifest.parent is not None
            and manifest.parent.recipe_digest == draft.job.recipe
            and manifest.compression == changes.compression
            and _asked(manifest.applied) == {step: value for step, value in wanted.items() if value is not None}
        ):
            return build
    return None


def _asked(applied: list[Applied]) -> dict[str, object]:
    return {step.step: step.parameters[ASKED[step.step]] for step in applied}
