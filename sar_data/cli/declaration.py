"""The fields of a declaration as options, for a build without a dataset.toml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sar_data.own.fields import FIELDS, SEVERAL

F = TypeVar("F", bound=Callable[..., Any])
ELSEWHERE = frozenset({"split", "unit"})  # options of every build
GROUP = "Fields of dataset.toml, for data of your own"


class Field(click.Option):
    """An option that is a field of dataset.toml, with the same name."""


class DeclaringCommand(click.Command):
    """A command whose help lists the fields in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two sections of options."""
        shown = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        for title, of_fields in (("Options", False), (GROUP, True)):
            with formatter.section(title):
                formatter.write_dl([record for param, record in shown if isinstance(param, Field) is of_fields])


def declaration_options(function: F) -> F:
    """Give a command an option for each field; their values become `declare`, None without a value."""
    for name, text in reversed(FIELDS.items()):
        if name not in ELSEWHERE:
            several = name in SEVERAL
            option = click.option(
                f"--{name.replace('_', '-')}",
                cls=Field,
                metavar="A,B" if several else "TEXT",
                help=text,
                expose_value=False,
                callback=_add_list if several else _add_text,
            )
            function = option(function)
    return function


def _add_text(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    declared = {} if value is None else {str(param.name): value}
    ctx.params["declare"] = {**(ctx.params.get("declare") or {}), **declared} or None


def _add_list(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    declared = {} if value is None else {str(param.name): [word.strip() for word in value.split(",")]}
    ctx.params["declare"] = {**(ctx.params.get("declare") or {}), **declared} or None
