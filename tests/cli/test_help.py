"""What helps while one types: completion, examples, and output that fits a terminal and a pipe."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from sar_data import catalog
from sar_data.cli import main
from sar_data.cli.console import paragraph
from sar_data.cli.examples import EXAMPLES
from sar_data.sealed.opened import Build
from tests.places import ROOT

PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if ".zh" not in page.name)]


def completed(line: str) -> list[str]:
    """Return the words that a shell offers at the end of a line."""
    *words, last = line.split(" ")
    shell = ShellComplete(main, {}, "sar-data", "_SAR_DATA_COMPLETE")
    return [item.value for item in shell.get_completions(words, last) if item.type == "plain"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ver", ["verify"]),
        ("info bige", ["bigearthnet-s1", "bigearthnet-s1-v2"]),
        ("build ssdd --format ", ["lmdb", "webdataset", "zarr"]),
        ("build eurosat-sar --split bl", ["blocks"]),
        ("build ssdd --split ", list(catalog.pipeline("ssdd").splits)),
        ("build dfc2020 --normalize z", ["zscore"]),
        ("show x --split ", ["train", "val", "test"]),
        ("train finetune x --optimiser ", ["sgd", "adamw"]),
        ("stats --dataset ssl", ["ssl4eo-s12", "ssl4eo-s12-v1-1"]),
    ],
)
def test_a_shell_completes_commands_datasets_formats_and_splits(line: str, words: list[str]) -> None:
    assert completed(line) == words


def test_a_shell_completes_the_builds_that_are_here(sealed: dict[str, Build], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAR_DATA_BUILDS", str(sealed["lmdb"].path.parents[2]))
    names = sorted(build.path.name for build in sealed.values())
    assert completed("verify ") == ["latest", *names]
    assert completed("train finetune z") == [name for name in names if name.startswith("zarr")]


def test_the_line_of_the_readme_switches_completion_on() -> None:
    environment = os.environ | {"_SAR_DATA_COMPLETE": "zsh_source"}
    command = [sys.executable, "-c", "from sar_data.cli import main; main(prog_name='sar-data')"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "compdef _sar_data_completion sar-data" in done.stdout


def leaves(group: click.Group, context: click.Context, above: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Return every command by its words."""
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[" ".join((*above, name))] = command
        if isinstance(command, click.Group):
            found |= leaves(command, click.Context(command, parent=context, info_name=name), (*above, name))
    return found


def test_every_command_has_examples_and_their_options_exist() -> None:
    found = leaves(main, click.Context(main, info_name="sar-data"))
    assert found.keys() == EXAMPLES.keys(), "a command has its lines in sar_data/cli/examples.py"
    for words, lines in EXAMPLES.items():
        command = found[words]
        assert command.epilog is not None
        for line in lines:
            assert line in command.epilog
            assert len(line) <= 76  # two columns each for help and its examples
            assert not strange_options(line, found), line


def strange_options(line: str, found: dict[str, click.Command]) -> set[str]:
    """Return the options of a line that its command does not have."""
    typed = shlex.split(line.partition("sar_data ")[2] or line.removeprefix("sar-data "), comments=True)
    leaf = found.get(" ".join(typed[:2])) or found[typed[0]]
    if isinstance(leaf, click.Group) and typed[0] == "scenes":  # short for `scenes find`
        leaf = found["scenes find"]
    options = {name for param in leaf.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    return {word for word in typed if re.match("--?[a-z]", word)} - options


def test_each_command_is_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    found = leaves(main, click.Context(main, info_name="sar-data"))
    plain = [words for words, command in found.items() if not isinstance(command, click.Group)]
    assert not [words for words in plain if not re.search(rf"\bsar-data {words}\b", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_options_of_a_line_in_a_page_exist(page: Path) -> None:
    found = leaves(main, click.Context(main, info_name="sar-data"))
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    lines = re.findall(r"^(?:torchrun .* -m sar_data|sar-data) (?=[a-z]).*", text, re.MULTILINE)
    assert not [line for line in lines if strange_options(line, found)]


def test_datasets_are_filtered_and_their_table_fits_a_terminal() -> None:
    def rows(*args: str) -> list[str]:
        result = CliRunner().invoke(main, ["datasets", *args])
        assert result.exit_code == 0, result.output
        return [line.split()[0] for line in result.stdout.splitlines()[1:]]

    kinds = {name: {task.kind for task in catalog.pipeline(name).spec.tasks} for name in catalog.names()}
    assert rows("--task", "detection") == [name for name in kinds if "detection" in kinds[name]]
    assert rows("--task", "Detection", "--band", "vh") == ["spacenet6", "xview3"]
    wrong = CliRunner().invoke(main, ["datasets", "--unit", "decibel"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "unknown unit 'decibel'. Did you mean 'dB'?" in wrong.stderr


def at_terminal(*args: str, **environment: str) -> str:
    """Return what a command prints on a terminal of 80 columns."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "sar_data", *args]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    given = plain | {"TERM": "xterm", "COLUMNS": "80"} | environment
    with subprocess.Popen(command, stdout=child, stderr=child, stdin=child, env=given) as process:
        os.close(child)
        text = b""
        try:
            while block := os.read(parent, 65536):
                text += block
        except OSError:  # the other end is closed
            pass
        os.close(parent)
        assert process.wait() == 0
    return text.decode()


def test_a_terminal_gets_80_columns_and_no_colour_where_none_is_asked_for() -> None:
    text = at_terminal("datasets", NO_COLOR="1")
    assert all(len(click.unstyle(line)) <= 80 for line in text.splitlines())
    assert "\x1b[3" not in text
    assert "\x1b" not in CliRunner().invoke(main, ["datasets"]).stdout


@pytest.mark.parametrize("words", [("info", "bigearthnet-s1"), ("datasets", "--long")])
def test_only_a_word_without_a_space_is_wider_than_a_terminal(words: tuple[str, ...]) -> None:
    lines = at_terminal(*words, NO_COLOR="1").splitlines()
    assert len(lines) > 100
    wide = [line for line in lines if len(line) > 80 and len(line.split()) > 1]
    assert not wide


def test_a_paragraph_stands_behind_its_head() -> None:
    assert paragraph("head ", "word " * 20) == "head " + " ".join(["word"] * 15) + "\n     " + " ".join(["word"] * 5)
    assert paragraph("  ", "/" + "x" * 100) == "  /" + "x" * 100  # a path is not broken
