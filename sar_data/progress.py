"""How long work reports its progress: numbers for a bar, sentences for a log."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, the items done and the items to do."""

Say = Callable[[str], None]
"""Called with a sentence that a user should read."""

WARNING = "warning: "
"""The prefix of a sentence about a possible error."""
