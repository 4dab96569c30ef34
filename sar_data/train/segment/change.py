"""Changes between dates of a place, pixel by pixel: the job of `change`."""

from __future__ import annotations

from collections.abc import Sequence

from sar_data.errors import UsageError, unknown
from sar_data.train.data import Data
from sar_data.train.models.encoder import Backbone
from sar_data.train.segment import Segmentation
from sar_data.train.settings import Change


class ChangeDetection(Segmentation):
    """Train and evaluate a segmentation of all dates at once, some of whose classes are a change.

    Predictions have the column `changed`, which F1, IoU, precision and recall of change are computed from.
    """

    chosen_by = "f1_change"

    def __init__(self, encoder: Backbone, data: Data, settings: Change) -> None:
        if data.dates < 2:
            raise UsageError(f"{data.build}: expected two dates or more a sample, found {data.dates}")
        names = changes_of(settings.changed, data.classes)
        super().__init__(encoder, data, settings)
        self._changed = [name in names for name in data.classes]
        self.resolved["changed"] = list(names)


def changes_of(changed: Sequence[str] | None, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the classes that are a change, by default all but the first.

    Raises UsageError for an unknown name, and where no class is left.
    """
    for name in changed or ():
        if name not in classes:
            raise unknown("class of `changed`", name, classes)
    names = tuple(classes[1:] if changed is None else changed)
    if not names:
        raise UsageError(f"changed: expected some of the classes {', '.join(classes)}, found none")
    return names
