"""What README.md and docs/ tell about training can be typed as it stands there, and its snippets run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sar_data import cli
from sar_data.cli.train import command
from sar_data.train.preset import find, names, resolved
from sar_data.train.settings import JOBS
from tests.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TYPED = re.compile(r"(?:^|\s)(?:sar-data|-m sar_data) train(?=\s|$)")
BUILDS, RUNS = ("BUILD", "latest", "SSDD", "HRSID", "$B", "$SSDD", "$DFC2020"), re.compile(r"RUN|[AB]|runs/[\w-]+")
ELSEWHERE = {"--nproc-per-node", "--help"}  # of torchrun, and of all


def commands() -> list[tuple[str, str]]:
    """Return (page, what follows `sar-data train`) of every command in a block or within a line."""
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(block for language, block in FENCED.findall(text) if not language)
        lines = re.sub(r" +#.*", "", re.sub(r"\\\n\s*", "", blocks)).splitlines()
        inline = re.findall(r"`([^`]+)`", FENCED.sub("", text))
        typed = [" ".join(one.split()) for one in (*lines, *inline)]
        found += [(page.name, TYPED.split(one, maxsplit=1)[1].strip()) for one in typed if TYPED.search(one)]
    return [(page, words) for page, words in found if words]


def options(group: click.Group) -> set[str]:
    """Return the options of all commands of a group, and of those below them."""
    context, found = click.Context(group), set[str]()
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        assert one is not None
        found |= {word for param in one.params for word in (*param.opts, *param.secondary_opts)}
        found |= options(one) if isinstance(one, click.Group) else set()
    return found


def test_each_job_is_shown_and_the_pages_that_show_it_are_read() -> None:
    assert {words.split()[0] for _, words in commands()} >= {*JOBS, "compare", "presets"}
    assert {page for page, _ in commands()} >= {"README.md", "training.md", "from-the-diary.md", "metrics.md"}


@pytest.mark.parametrize(("page", "words"), commands())
def test_a_command_is_one_that_can_be_typed(
    page: str, words: str, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = click.Context(command)
    name, *rest = shlex.split(words)
    if name not in ("compare", "embed", "evaluate", *JOBS) or not rest:
        assert command.get_command(group, name) is not None
        return
    given = [classes if word in BUILDS else str(tmp_path) if RUNS.fullmatch(word) else word for word in rest]
    one = command.get_command(group, name)
    assert one is not None
    if "--help" in given:
        with pytest.raises(click.exceptions.Exit):
            one.make_context(name, given, help_option_names=["--help"])
        return
    told = one.make_context(name, [word for word in given if name != "compare" or word != "…"]).params
    if name in JOBS:
        assert (set(told.pop("build")), told.pop("out")) == ({classes}, str(tmp_path))
        preset = told.pop("preset")
        for name_of_several in ("mix", "statistics", "drop_duplicates"):
            told.pop(name_of_several)
        chosen = None if preset is None else find(preset)
        resolved(name, chosen, {key: value for key, value in told.items() if value is not None})


def test_every_option_that_the_pages_of_training_name_exists() -> None:
    known = options(cli.main) | ELSEWHERE
    for page in ("training.md", "metrics.md"):
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", (ROOT / "docs" / page).read_text()))
        assert named
        assert not named - known, page


def test_the_presets_that_the_pages_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"--preset ([a-z][\w-]+)", page.read_text()):
            find(name)


def test_each_preset_stands_in_the_table_of_recipes() -> None:
    text = (ROOT / "docs" / "training.md").read_text().split("## Recipes")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert sorted(re.findall(r"`(.+?)`", " ".join(cells))) == names()


def test_the_snippets_run_one_after_the_other(classes: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"build": classes, "out": str(tmp_path / "run"), "run": tmp_path / "run"}
    for page, count in (("training.md", 1), ("metrics.md", 1)):
        text = (ROOT / "docs" / page).read_text()
        snippets = [block for language, block in FENCED.findall(text) if language == "python"]
        assert len(snippets) == count
        for snippet in snippets:
            exec(compile(snippet, page, "exec"), given)
    assert given["test"]["oa"] == given["metrics"].figures(given["splits"]["test"], given["classes"])["oa"]


SMALLER = {
    "--count 600": "--count 200",
    "--model resnet18 --epochs 10": "--model test_resnet --epochs 1 --image-size 32 --threads 1",
}
"""What is typed in place of commands that cost time."""


def test_the_readme_is_walked_from_its_first_command_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAR_DATA_BUILDS", raising=False)
    text, names, typed = (ROOT / "README.md").read_text(), dict[str, Any](), list[str]()
    for line, smaller in SMALLER.items():
        assert line in text
        text = text.replace(line, smaller)
    for language, block in FENCED.findall(text):
        if language == "python":
            exec(compile(block, "README.md", "exec"), names)
        for line in re.findall(r"^sar-data (.*)", block, re.MULTILINE):
            typed.append(line.split()[0])
            result = CliRunner().invoke(cli.main, shlex.split(line, comments=True))
            assert result.exit_code == 0, (line, result.output)
    assert " ".join(typed) == "doctor datasets synth build show leakage report verify cite train train train"
    assert names["batch"]["image"].shape == (64, 2, 120, 120)
    assert {path.name for path in Path("runs").iterdir()} == {"resnet18", "seed1"}
