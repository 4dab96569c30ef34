"""The first layer: from the bands of a checkpoint to those of a run.

- Bands with names are matched by name, in any order. A band that the checkpoint does not have is an error; its other
  bands are left out, as if those pixels had their mean. A run with the same bands of several dates gives each date an
  equal share, so that equal dates give the response to one of them.
- "adapt" ignores the names, as timm does: the bands are repeated in order and scaled by their numbers, old over new, so
  that the response keeps its scale; for one band they are summed. Red, green and blue are always adapted so.
- One polarization given three times is summed, for the response to three equal channels depends on the sum alone.
  A run with several bands gives each an equal share of that sum, so that equal bands give the same response.
- Three channels without names are taken for red, green and blue, unless the run has three bands of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.weights.known import OPTICAL, REPEATED

ADAPT = "adapt"


def seen_channels(
    stem: str | None, declared: Sequence[str] | None, count: int, channels: Sequence[str]
) -> tuple[str, ...]:
    """Return the bands of a first layer with `count` channels; raise UsageError where they are not known.

    `stem` is the user's choice ("rgb", "grey", or names by commas), `declared` that of the file or its family.
    """
    named = {"rgb": OPTICAL, "grey": REPEATED, None: None, ADAPT: None}
    names = named[stem] if stem in named else tuple(part.strip() for part in str(stem).split(","))
    if names is not None and len(names) != count:
        raise UsageError(f"stem {stem}: expected the {count} channels of the checkpoint's first layer, in its order")
    if names is not None:
        return tuple(names)
    if declared is not None and len(declared) == count:
        return tuple(declared)
    if stem == ADAPT:
        return tuple(f"?{i}" for i in range(count))
    if count == 3 and len(channels) != 3:
        return OPTICAL
    raise UsageError(
        f"the checkpoint's first layer takes {count} channels, and neither its name nor the file says which: expected "
        "`stem=VV,VH` (their names in the checkpoint's order), rgb, grey (one polarization, repeated) or adapt"
    )


def fit(weight: Tensor, seen: Sequence[str], channels: Sequence[str], *, adapt: bool) -> tuple[Tensor, dict[str, str]]:
    """Return the first layer's weight float32 [out, channels, h, w], and band → what it was made of.

    Raises UsageError for a band that the checkpoint does not have.
    """
    weight = weight.float()
    if tuple(seen) == REPEATED:
        shared = weight.sum(dim=1, keepdim=True) / len(channels)
        return shared.repeat(1, len(channels), 1, 1), dict.fromkeys(channels, f"sum of grey / {len(channels)}")
    if adapt or tuple(seen) == OPTICAL:
        how = "sum of all" if len(channels) == 1 else f"repeated × {len(seen)}/{len(channels)}"
        what = dict.fromkeys(channels, f"{'rgb' if tuple(seen) == OPTICAL else 'all'}: {how}")
        if len(channels) == 1:
            return weight.sum(dim=1, keepdim=True), what
        whole = weight.repeat(1, -(-len(channels) // len(seen)), 1, 1)[:, : len(channels)]
        return whole * (len(seen) / len(channels)), what
    upper = [name.upper() for name in seen]
    missing = [name for name in channels if name.upper() not in upper]
    if missing:
        raise UsageError(
            f"expected bands that the checkpoint saw ({', '.join(seen)}), found {', '.join(missing)} in the run: "
            "choose its bands, or `stem=adapt` to use what there is for any band"
        )
    if len(set(channels)) < len(channels) and [name.upper() for name in channels] == upper:
        return weight, {name: f"{name} of each date" for name in channels}
    places = [upper.index(name.upper()) for name in channels]
    what = {name: f"{seen[place]} ({place})" for name, place in zip(channels, places, strict=True)}
    times = weight.new_tensor([channels.count(name) for name in channels])  # a date of several has an equal share
    return (weight[:, places] / times[:, None, None]).contiguous(), what
