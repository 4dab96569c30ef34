"""The command tree: every command with its help in one line, grouped as `--help` shows it. A new leaf is one line.

The module `sar_data.cli.NAME` exposes `command`; a command with several leaves is a `Group` in it.
"""

from __future__ import annotations

from importlib import import_module

import click

from sar_data.cli.examples import with_examples
from sar_data.errors import unknown

GROUPS: dict[str, dict[str, str]] = {
    "Datasets": {
        "datasets": "List the datasets that can be built.",
        "info": "Show the facts of a dataset: sources, licence, layout, classes, splits.",
        "fetch": "Download a dataset's sources, verify them, list files to get by hand.",
        "synth": "Write a miniature archive of a dataset, to try the commands.",
        "init": "Survey a folder of your own images and write its dataset.toml.",
        "scenes": "Find the satellite products a dataset was cut from, and fetch them.",
    },
    "Builds": {
        "build": "Build a dataset from its raw files into a sealed folder.",
        "convert": "Bake a sealed build into another container, size, dtype or normalization.",
        "builds": "List builds and runs; remove the rest of stopped builds.",
        "export": "Write a build as files that other tools read: COCO, YOLO, LMDB, ….",
    },
    "Check": {
        "verify": "Check a sealed build against its manifest; list all problems.",
        "diff": "List what differs between two sealed builds.",
        "stats": "Show the band statistics of a build or of a raw folder.",
        "leakage": "Show what a split, or a set of samples, shares with another.",
    },
    "Look": {
        "report": "Write the contents and the history of a build as one HTML page.",
        "show": "Draw a contact sheet of a build.",
        "cite": "Print the paragraph of methods and the BibTeX for a build or a run.",
    },
    "Train": {"train": "Train on a build: probe, finetune, segment, change, detect, pretrain."},
    "Operate": {
        "flow": "Start a deployed Prefect flow by its bare name.",
        "doctor": "Check this machine; list what is missing and how to get it.",
        "bench": "Measure how fast a build streams on this machine.",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
FORMER = {"repack": ("convert",), "run": ("flow", "run"), "bench-loader": ("bench",)}
"""Names of earlier versions, which still work without a message."""


class Group(click.Group):
    """A command with several leaves; the error for a wrong one suggests the nearest one."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and not ctx.resilient_parsing:
            raise unknown("command", cmd_name, self.list_commands(ctx))
        return command and with_examples(command, ctx, cmd_name)


class Tree(Group):
    """The tree's root, which imports a command only when it is used, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f"sar_data.cli.{cmd_name}").command
        return with_examples(command, ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, [*FORMER.get(args[0], args[:1]), *args[1:]])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])
