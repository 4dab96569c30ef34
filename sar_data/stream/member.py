"""What a build is among several: the name that its keys begin with, and its classes by the numbers of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sar_data.record import IGNORE
from sar_data.sealed.documents import TaskDocument
from sar_data.spec import MASKED


@dataclass(frozen=True, slots=True)
class Member:
    """One of several builds: its keys become NAME/KEY, class i of its `task` becomes class numbers[i] of the `joint`
    task, which has the classes of all. Where images alone are read there is no task.
    """

    name: str
    task: TaskDocument | None
    joint: TaskDocument | None
    numbers: tuple[int, ...]

    def key(self, own: str) -> str:
        """Return the key that a sample of the build has among all: keys hold no slash."""
        return f"{self.name}/{own}"

    @property
    def classes(self) -> dict[str, str]:
        """The joint name of every class of the build."""
        if self.task is None or self.joint is None:
            return {}
        pairs = zip(self.task.classes, self.numbers, strict=True)
        return {own: self.joint.classes[number] for own, number in pairs}

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """The joint number of every number of the build, for masks those that no class has, too."""
        masked = self.task is not None and self.task.kind in MASKED
        table = np.arange(IGNORE + 1 if masked else len(self.numbers))
        table[: len(self.numbers)] = self.numbers
        return table
