"""The bytes of a target: which numbers they are, and which classes these mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sar_data.errors import BadRecord, SourceError

Form = Literal["bits", "number"]
BITS = ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "u1")
NUMBERS = {1: ("u1",), 2: ("<i2",), 4: ("<i4", "<f4"), 8: ("<i8", "<f8")}  # bytes → types of one number
MOST_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class TargetForm:
    """A `number` is one class; `bits` are 1 for each class that a sample has and 0 for the others."""

    form: Form
    dtype: str
    count: int

    def labels(self, data: bytes) -> tuple[str, ...] | None:
        """Return the numbers of the classes, as text; None where the bytes are of another form."""
        if len(data) != self.count * np.dtype(self.dtype).itemsize:
            return None
        values = np.frombuffer(data, self.dtype)
        if self.form == "number":
            value = float(values[0])
            return (str(int(value)),) if value.is_integer() and 0 <= value < MOST_CLASSES else None
        if not np.isin(values, (0, 1)).all():
            return None
        return tuple(map(str, np.flatnonzero(values).tolist()))


def target_form(targets: Sequence[bytes], counts: Sequence[int], several: bool | None) -> TargetForm:
    """Return the form in which most of some targets make sense; raise SourceError where half of them have none.

    `counts` are the numbers of classes of the tasks that are known, empty where none is; `several` says whether a
    sample may have more than one class, None where that is not known.
    """
    size = Counter(map(len, targets)).most_common(1)[0][0]
    forms = [TargetForm("number", dtype, 1) for dtype in NUMBERS.get(size, ()) if not several]
    for dtype in BITS:
        count, rest = divmod(size, np.dtype(dtype).itemsize)
        if count and not rest and (not counts or count in counts):
            forms.append(TargetForm("bits", dtype, count))
    fits = {form: sum(_is_possible(form, target, counts) for target in targets) for form in forms}
    best = max(fits, key=fits.__getitem__, default=None)
    if best is None or 2 * fits[best] < len(targets):
        classes = f"{' or '.join(map(str, counts))} classes" if counts else "classes"
        raise SourceError(
            f"expected targets of {classes}, as 0 and 1 for each or as a number, found {size} bytes such as "
            f"{targets[0][:16].hex(' ')}: give `classes=…` in the order of the bits"
        )
    return best


def _is_possible(form: TargetForm, target: bytes, counts: Sequence[int]) -> bool:
    labels = form.labels(target)
    return labels is not None and (not counts or all(int(label) < max(counts) for label in labels))


def labels_of(form: TargetForm | None, target: bytes, where: str) -> tuple[str, ...]:
    """Return the labels of one target; raise BadRecord where it is of another form than the others."""
    if form is None or (labels := form.labels(target)) is None:
        what = "none" if form is None else f"{form.count} numbers as {form.form} ({np.dtype(form.dtype)})"
        raise BadRecord(where, f"expected a target of {what}, as in other samples, found {target[:16].hex(' ')}")
    return labels
