"""One spelling of options, and errors that read as options only at the command line."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from sar_data.cli import SETTINGS
from sar_data.cli.words import render, spell


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("normalise", "normalize"),
        ("normalize", "normalize"),
        ("cross-polarisation", "cross-polarization"),
        ("shard_length", "shard-length"),
        ("accept-license", "accept-licence"),
        ("catalog", "catalogue"),
        ("compress", "compression"),
        ("on-bad", "bad-records"),
        ("on_bad", "bad-records"),
        ("p", "p"),
    ],
)
def test_the_other_spelling_is_taken(typed: str, name: str) -> None:
    assert spell(typed) == name


def test_every_command_takes_the_other_spelling_and_shows_one() -> None:
    @click.group(context_settings=SETTINGS)
    def group() -> None: ...

    @group.command()
    @click.option("--bad-records")
    @click.option("--normalize/--no-normalize", default=None)
    def leaf(bad_records: str, normalize: bool | None) -> None:
        click.echo(f"{bad_records} {normalize}")

    def typed(*args: str) -> str:
        return CliRunner().invoke(group, ["leaf", *args]).stdout.strip()

    assert typed("--on-bad", "stop", "--normalise") == "stop True"
    assert typed("--bad_records=stop", "--no-normalise") == "stop False"
    assert not {"--on-bad", "--normalise"} & set(typed("--help").split())


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("`crop=512`: expected 256", "--crop 512: expected 256"),
        ("choose `split=random` or another `seed=…`", "choose --split random or another --seed"),
        ("with `rehash=True`, or `augment=False`", "with --rehash, or --no-augment"),
        ("take `shard_length=16`", "take --shard-length 16"),
        ("`out=/a b`: not found", "--out '/a b': not found"),
        ("`split=blocks:size=15,buffer=0`", "--split blocks:size=15,buffer=0"),
        ("`verify(full=True)` lists all", "sar-data verify --full lists all"),
        ("first `convert(crop=64, format=zarr)`", "first sar-data convert --crop 64 --format zarr"),
        ("name the folder `build` printed; a = b", "name the folder `build` printed; a = b"),
    ],
)
def test_what_is_to_change_is_rendered_as_its_option(message: str, read: str) -> None:
    assert render(message) == read
