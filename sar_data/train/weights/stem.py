"""The first layer: from the bands that a checkpoint saw to those that a run has.

- Bands with names are matched by name, in whatever order they lie. A band that the checkpoint did not see is an error;
  what it saw more is left out, as if those pixels had their mean. A run that sees the same bands of several dates at
  once gives each date an equal share, so that equal dates give the response to one of them.
- "adapt" asks for timm's way in spite of the names: the bands are repeated in order and scaled by their numbers, old
  over new, so that the response keeps its scale; for one band they are summed. Red, green and blue always go this way.
- One polarization given three times is summed: with equal channels the network never saw three numbers, but the sum.
  A run with several bands gives each an equal share of that sum, so that equal bands give the very same response.
- Three channels that nobody names are taken for red, green and blue, unless the run has three bands of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.weights.known import OPTICAL, REPEATED

ADAPT = "adapt"


def seen_channels(stem: str | None, told: Sequence[str] | None, count: int, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return what the bands of a first layer with `count` channels are; raise UsageError where nobody knows.

    `stem` is what the user says ("rgb", "grey", or names by commas), `told` what the file or its family says.
    """
    said = {"rgb": OPTICAL, "grey": REPEATED, None: None, ADAPT: None}
    names = said[stem] if stem in said else tuple(part.strip() for part in str(stem).split(","))
    if names is not None and len(names) != count:
        raise UsageError(f"stem {stem}: expected the {count} channels of the checkpoint's first layer, in its order")
    if names is not None:
        return tuple(names)
    if told is not None and len(told) == count:
        return tuple(told)
    if stem == ADAPT:
        return tuple(f"?{i}" for i in range(count))
    if count == 3 and len(wanted) != 3:
        return OPTICAL
    raise UsageError(
        f"the checkpoint's first layer takes {count} channels, and neither its name nor the file says which: expected "
        "`stem=VV,VH` (their names in the checkpoint's order), rgb, grey (one polarization, repeated) or adapt"
    )


def fitted(weight: Tensor, seen: Sequence[str], wanted: Sequence[str], *, adapt: bool) -> tuple[Tensor, dict[str, str]]:
    """Return the first layer's weight float32 [out, wanted, h, w] and band → what it was made of.

    Raises UsageError for a band that the checkpoint did not see.
    """
    weight = weight.float()
    if tuple(seen) == REPEATED:
        shared = weight.sum(dim=1, keepdim=True) / len(wanted)
        return shared.repeat(1, len(wanted), 1, 1), dict.fromkeys(wanted, f"sum of grey / {len(wanted)}")
    if adapt or tuple(seen) == OPTICAL:
        made = "sum of all" if len(wanted) == 1 else f"repeated × {len(seen)}/{len(wanted)}"
        what = dict.fromkeys(wanted, f"{'rgb' if tuple(seen) == OPTICAL else 'all'}: {made}")
        if len(wanted) == 1:
            return weight.sum(dim=1, keepdim=True), what
        whole = weight.repeat(1, -(-len(wanted) // len(seen)), 1, 1)[:, : len(wanted)]
        return whole * (len(seen) / len(wanted)), what
    upper = [name.upper() for name in seen]
    missing = [name for name in wanted if name.upper() not in upper]
    if missing:
        raise UsageError(
            f"expected bands that the checkpoint saw ({', '.join(seen)}), found {', '.join(missing)} in the run: "
            "choose its bands, or `stem=adapt` to use what there is for any band"
        )
    if len(set(wanted)) < len(wanted) and [name.upper() for name in wanted] == upper:
        return weight, {name: f"{name} of each date" for name in wanted}
    places = [upper.index(name.upper()) for name in wanted]
    what = {name: f"{seen[place]} ({place})" for name, place in zip(wanted, places, strict=True)}
    times = weight.new_tensor([wanted.count(name) for name in wanted])  # a date of several has an equal share
    return (weight[:, places] / times[:, None, None]).contiguous(), what
