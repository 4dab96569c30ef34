"""How long work says what it does: figures for a bar, sentences for a log."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, the items done and the items to do."""

Say = Callable[[str], None]
"""Called with a sentence that a user should read."""

WARNING = "warning: "
"""How a sentence begins that says what may be wrong."""
