"""The terms of a loss by name, which are looked up before torch is imported, for that takes seconds."""

from __future__ import annotations

import re

from sar_data.errors import UsageError, unknown
from sar_data.spec import MASKED

FITTING = {
    "ce": ("multiclass", *MASKED),
    "focal": ("multiclass", *MASKED, "multilabel"),
    "mini-cbl": ("multiclass",),
    "mini-cbl-focal": ("multiclass",),
    "dice": MASKED,
    "dice-image": MASKED,
    "soft-margin": ("multilabel",),
    "bce": ("multilabel",),
}
"""Loss → the kinds of tasks that it fits."""
PART = re.compile(r"(?P<weight>\d+(?:\.\d+)?|\.\d+)?(?P<name>[a-z].*)")


def terms(name: str, task_kind: str) -> list[tuple[float, str]]:
    """Return weight and name of each loss of a sum such as "dice+0.4ce"; a loss alone has the weight 1.

    Raises UsageError for a name that does not exist or does not fit the kind of task, and for a weight of 0.
    """
    parts = []
    for text in name.split("+"):
        match = PART.fullmatch(text.strip())
        wanted = match["name"] if match else text
        fitting = [known for known, kinds in FITTING.items() if task_kind in kinds]
        if wanted not in FITTING:
            raise unknown("loss", wanted[:80], fitting)
        if task_kind not in FITTING[wanted]:
            raise UsageError(
                f"loss {wanted!r}: expected one for a {task_kind} task, found one for {', '.join(FITTING[wanted])}. "
                f"There are: {', '.join(sorted(fitting)) or 'none'}"
            )
        weight = float((match and match["weight"]) or 1)
        if not weight:
            raise UsageError(f"loss {name!r}: expected weights above 0, found {text!r}")
        parts.append((weight, wanted))
    return parts
