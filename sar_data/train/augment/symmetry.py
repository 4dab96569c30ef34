"""Flips and quarter turns: which of them a build declares, on which axis of the image, and what they do to targets.

Layover, shadow and brightness follow the look direction. Turning the flight around mirrors an image along azimuth and
gives another possible one; mirroring it along range, or a quarter turn, gives one that no radar can take. Geocoded
datasets with both passes allow both flips.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.torch.pinned import sent

FLIPS = ("azimuth-flip", "range-flip")
PUBLISHED = {"hflip": "x", "vflip": "y"}  # by image axis, as optical recipes name them
TURN = "quarter-turn"
EXCHANGE = "date-exchange"


def flipped_axes(names: Collection[str], manifest: Manifest) -> tuple[frozenset[str], list[str]]:
    """Return the image axes ("x", "y") to flip for some steps, and a sentence for each step that was not declared.

    UsageError where a flip is asked for by azimuth or range, and the build does not know on which axis they lie.
    """
    declared = set(manifest.symmetries)
    axes = _axes(manifest)
    chosen, notes = set[str](), []
    if "flips" in names:
        chosen |= {axes[flip] for flip in FLIPS if flip in declared and flip in axes}
        if not chosen:
            notes.append(f"flips: {_declaration(manifest)}: nothing is flipped")
    for name in FLIPS:
        if name in names:
            if name not in axes:
                raise UsageError(
                    f"{name}: expected a build that knows its range axis, found {manifest.range_axis!r}"
                    f" ({manifest.dataset}). Name hflip or vflip, if you know better"
                )
            chosen.add(axes[name])
            if name not in declared:
                notes.append(_undeclared_note(name, manifest))
    for name, axis in PUBLISHED.items():
        if name in names:
            chosen.add(axis)
            notes.append(f"{name}: as in published recipes, even where the build does not declare it")
            if axis not in {axes.get(flip) for flip in FLIPS if flip in declared}:
                notes.append(_undeclared_note(name, manifest))
    if TURN in names and TURN not in declared:
        notes.append(_undeclared_note(TURN, manifest))
    return frozenset(chosen), notes


def orientation(chance: Tensor, axes: Collection[str], turn: bool, size: tuple[int, int]) -> Tensor:
    """Return bool [B, 3]: transpose, then flip y, then flip x; of uniform numbers [B, 3] for y, x and the turn.

    UsageError where images of `size` (height, width) are to be turned and are not square.
    """
    if turn and size[0] != size[1]:
        raise UsageError(f"{TURN}: expected square images, found {size[0]} × {size[1]}")
    orientations = torch.stack(
        [torch.zeros(len(chance), dtype=torch.bool), chance[:, 0] < 0.5, chance[:, 1] < 0.5], dim=1
    )
    orientations &= torch.tensor([False, "y" in axes, "x" in axes])
    if turn:
        quarters = (chance[:, 2] * 4).long()
        orientations ^= torch.tensor([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=torch.bool)[quarters]
    return orientations


def orient(images: Tensor, how: Tensor) -> Tensor:
    """Return images or masks [B, …, H, W] turned as `orientation` says."""
    for number, column in enumerate(how.T):
        if bool(column.any()):
            chosen = sent(column, images.device).view(-1, *[1] * (images.ndim - 1))
            images = torch.where(chosen, images.flip(number - 3) if number else images.transpose(-1, -2), images)
    return images


def exchange_dates(images: Tensor, chosen: Tensor) -> Tensor:
    """Return images [B, 2 · C, H, W] of two dates; those that are `chosen` bool [B] have the second date first."""
    first, second = images.chunk(2, dim=1)
    return torch.where(sent(chosen, images.device).view(-1, 1, 1, 1), torch.cat([second, first], dim=1), images)


def check_exchange(manifest: Manifest, kind: str) -> None:
    """Raise UsageError where a sample has not two dates, or its dates may not be exchanged."""
    if kind != "change" or manifest.frames != 2:
        raise UsageError(
            f"{EXCHANGE}: expected a change between two dates, found {manifest.frames} of a {kind or 'missing'} task: "
            "leave it out"
        )
    if EXCHANGE not in manifest.symmetries:
        raise UsageError(
            f"{EXCHANGE}: {_declaration(manifest)}: its change has a direction, as a flood has, and exchanged dates "
            "show its opposite under the same mask: leave it out"
        )


def _axes(manifest: Manifest) -> dict[str, str]:
    """Return the image axis of each flip; where both flips are declared, either order will do."""
    if manifest.range_axis in ("x", "y"):
        across = "y" if manifest.range_axis == "x" else "x"
        return {"azimuth-flip": across, "range-flip": manifest.range_axis}
    return {"azimuth-flip": "y", "range-flip": "x"} if set(FLIPS) <= set(manifest.symmetries) else {}


def _declaration(manifest: Manifest) -> str:
    return (
        f"{manifest.dataset} declares {', '.join(manifest.symmetries) or 'no symmetry'}, range axis"
        f" {manifest.range_axis}"
    )


def _undeclared_note(name: str, manifest: Manifest) -> str:
    return f"{name}: {_declaration(manifest)}: this makes images that its radar cannot have taken"
