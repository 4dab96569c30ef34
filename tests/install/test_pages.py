from __future__ import annotations

import re
import tomllib

import pytest

from tests.install import pythons
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


def test_a_python_that_is_not_here_is_named_and_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert pythons.main() == 0
    found = [f"Python {version}: no python{version} on the path: skipped" for version in pythons.versions()]
    assert capsys.readouterr().out.splitlines() == found != []
