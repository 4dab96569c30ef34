"""Classes of a build by the numbers that a model has for them: matched by name, in whatever order and case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sar_data.errors import UsageError
from sar_data.naming import few, fold
from sar_data.record import IGNORE
from sar_data.sealed.documents import TaskDocument
from sar_data.sealed.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor


def matched(known: Sequence[str], names: Sequence[str]) -> tuple[int | None, ...]:
    """Return the number among the `known` classes of each of some names, None for one that is not among them.

    Names that are equal match first. Others may differ in case, hyphens and spaces, where only one on each side is so.
    """
    if tuple(known) == tuple(names):
        return tuple(range(len(known)))
    exact = {name: number for number, name in enumerate(known)}
    left = Counter(_folded(name) for name in known if name not in names)
    asked = Counter(_folded(name) for name in names if name not in exact)
    loose = {_folded(name): number for name, number in exact.items() if name not in names}
    clear = {name: number for name, number in loose.items() if left[name] == asked[name] == 1}
    return tuple(exact.get(name, clear.get(_folded(name))) for name in names)


def _folded(name: str) -> str:
    return fold(name.replace(" ", "-"))


def joined(lists: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    """Return the classes of some lists as one, in the order in which they come, and each list's numbers among them."""
    classes, numbers = list[str](), []
    for names in lists:
        found = []
        for name, number in zip(names, matched(classes, names), strict=True):
            if number is None:
                number = len(classes)
                classes.append(name)
            found.append(number)
        numbers.append(tuple(found))
    return tuple(classes), numbers


def task_like(kind: str, classes: Sequence[str], manifest: Manifest, name: str | None, *, of: str) -> TaskDocument:
    """Return the task of a build that is of a kind and of a `name`, or has most of some classes.

    Raises UsageError where the build has none of the kind; `of` says what was expected.
    """
    alike = [task for task in manifest.tasks if task.kind == kind]
    if not alike:
        told = few([f"{task.name} ({task.kind})" for task in manifest.tasks])
        raise UsageError(f"{of}, found {told}")
    known = {_folded(one) for one in classes}
    return max(alike, key=lambda task: (task.name == name, len(known & {_folded(one) for one in task.classes})))


@dataclass(frozen=True)
class Matching:
    """The classes that a `model` knows and those of a `build`, for a task of one `kind`.

    Raises UsageError where they have none in common.
    """

    kind: str
    model: tuple[str, ...]
    build: tuple[str, ...]

    def __post_init__(self) -> None:
        if all(number is None for number in self.numbers):
            raise UsageError(
                f"classes: expected some of those that the model knows, {few(self.model)}, found {few(self.build)}"
            )

    @cached_property
    def numbers(self) -> tuple[int | None, ...]:
        """The model's number of each class of the build, None for one that it does not know (see `matched`)."""
        return matched(self.model, self.build)

    @property
    def strange(self) -> list[str]:
        """The classes of the build that the model does not know."""
        return [name for name, number in zip(self.build, self.numbers, strict=True) if number is None]

    @property
    def absent(self) -> list[str]:
        """The classes of the model that the build does not have."""
        return [name for number, name in enumerate(self.model) if number not in self.numbers]

    def sentences(self) -> list[str]:
        """Return what does not match, and what follows from it."""
        left = {
            "multiclass": "samples of these classes are left out",
            "multilabel": "these labels are not scored",
            "detection": "these objects do not count",
        }.get(self.kind, "their pixels are ignored")
        found = [f"classes that the model does not know: {few(self.strange)}; {left}"] if self.strange else []
        if self.absent:
            found.append(f"classes of the model that the build does not have: {few(self.absent)}; they have no figures")
        return found

    def labels(self, found: Sequence[int]) -> list[int | None]:
        """Return the model's numbers of some classes of the build."""
        return [self.numbers[label] for label in found]

    def targets(self, target: Any) -> Any:
        """Return a batch's targets by the model's numbers; boxes stay as they are.

        Class numbers int64 [B], all of them known; labels [B, classes] of 0 and 1; masks int64 [B, H, W].
        """
        if self.kind == "detection" or self.model == self.build:
            return target
        import torch  # here, for requests are checked without it

        target = torch.as_tensor(target)
        if self.kind == "multilabel":
            return self._columns(target)
        table = torch.full((IGNORE + 1,), IGNORE, dtype=torch.int64)
        for number, own in enumerate(self.numbers):
            table[number] = IGNORE if own is None else own
        return table.to(target.device)[target.long()]

    def _columns(self, target: Tensor) -> Tensor:
        found = target.new_zeros((*target.shape[:-1], len(self.model)))
        for number, own in enumerate(self.numbers):
            if own is not None:
                found[..., own] = target[..., number]
        return found
