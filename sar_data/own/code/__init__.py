"""The beginning of a pipeline in Python: a package with a dataset, its generator and its test, from templates."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from sar_data.errors import UsageError

FILES = {
    "pyproject.toml": "pyproject.toml",
    "@PACKAGE@/__init__.py": "",
    "@PACKAGE@/@MODULE@.py": "pipeline.py",
    "@PACKAGE@/synth/__init__.py": "",
    "@PACKAGE@/synth/@MODULE@.py": "synth.py",
    "tests/test_@MODULE@.py": "test.py",
}
"""Path in the package → template, "" for a file that holds one line."""
PACKAGE = '"""Datasets of one\'s own: every module here that does not begin with _ is one."""\n'


def write(folder: Path, name: str, taken: Collection[str] = ()) -> list[Path]:
    """Write the package of a dataset called `name` into a folder and return its files; `taken` are names of datasets.

    Raises UsageError for a name that no dataset can have, and where a file is there already: none is overwritten.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise UsageError(f"`code={name}`: expected lower-case letters, digits and hyphens, such as kiel-harbour")
    if name in taken:
        raise UsageError(f"`code={name}`: there is a dataset of that name already: choose another")
    words = {"NAME": name, "MODULE": module, "PACKAGE": f"{module}_sar", "TITLE": name.replace("-", " ").capitalize()}
    texts = {folder / _fill(path, words): _template(template, words) for path, template in FILES.items()}
    if there := next((path for path in texts if path.exists()), None):
        raise UsageError(f"{there}: expected none, found one, which is never overwritten: name another folder")
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder that can be written, found: {error.strerror}") from None
    return list(texts)


def _template(name: str, words: dict[str, str]) -> str:
    if not name:
        return PACKAGE
    return _fill((files(__name__) / f"{name}.txt").read_text(encoding="utf-8"), words)


def _fill(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: words[match[1]], text)
