from __future__ import annotations

import re
import tomllib

import pytest

from tests.install.pages import extras, lines
from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    re.sub(r"[-_.]+", "-", name).lower()
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("line", lines())
def test_an_install_line_of_the_pages_is_pinned_and_of_this_checkout(line: str) -> None:
    assert re.fullmatch(r"-c constraints\.txt (\.|'\.\[[a-z,]+\]')", line), lines()[line]
    assert set(extras(line)) <= set(PROJECT["optional-dependencies"])


def test_every_extra_that_a_user_needs_has_an_install_line() -> None:
    named = {extra for line in lines() for extra in extras(line)}
    assert named == set(PROJECT["optional-dependencies"]) - {"bench", "dev", "docs", "webdataset"}


@pytest.mark.parametrize("extra", ["", *sorted(set(PROJECT["optional-dependencies"]) - {"bench"})])
def test_every_requirement_has_a_pin(extra: str) -> None:
    needs = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", need)[0]).lower() for need in needs}
    assert names <= PINS
