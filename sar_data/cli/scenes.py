"""sar-data scenes"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import click

from sar_data.cli.choices import DatasetName, ExistingPath, OneOf
from sar_data.cli.crew import crew, workers_option
from sar_data.cli.stop import Note
from sar_data.cli.tree import Group
from sar_data.errors import SarDataError, SourceError

MOST_SHOWN = 20  # scenes without a product, on a terminal; the JSON has all


class Scenes(Group):
    """A group whose first word may be a dataset: `scenes NAME` is `scenes find NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["find", *args]
        return super().parse_args(ctx, args)


@click.group("scenes", cls=Scenes, short_help="Find the satellite products a dataset was cut from, and fetch them.")
def command() -> None:
    """Find the satellite products that a dataset was cut from, and fetch them.

    `sar-data scenes NAME --source PATH --out scenes.csv` is short for `sar-data scenes find NAME …`.
    """


def _catalogues() -> list[str]:
    from sar_data.sources.scenes.catalogue import CATALOGUES

    return list(CATALOGUES)


@command.command("find", short_help="Look up the distinct scenes of a dataset's records; write a CSV.")
@click.argument("name", type=DatasetName())
@click.option(
    "--source", type=ExistingPath(file=True), required=True, help="Folder of the raw files, or their archive."
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the work files of an archive; by default beside the archive.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE.csv",
    help="The CSV; a JSON with all facts of each scene is written beside it.",
)
@click.option(
    "--catalogue",
    type=OneOf("catalogue", _catalogues),
    default="cdse",
    show_default=True,
    help="cdse (Copernicus Data Space), asf (Alaska Satellite Facility), stac (Planetary Computer, or "
    "another by --url) or dhus (a hub by --url).",
)
@click.option("--url", envvar="SAR_DATA_SCENES_URL", show_envvar=True, help="Another address of such a catalogue.")
@workers_option
@click.pass_obj
def find(
    note: Note,
    name: str,
    source: Path,
    work: Path | None,
    out: Path,
    catalogue: str,
    url: str | None,
    workers: int | None,
) -> None:
    """Look up the distinct scenes of a dataset's records; write a row a patch: patch, scene file, link.

    Each scene is looked up once, and the answers are kept beside the CSV: the same command continues where it was
    stopped. Scenes without a product are listed with the reason; their patches have no link, and the exit code is 1.
    """
    from sar_data import catalog
    from sar_data.builder.scenes import find_scenes, kept
    from sar_data.cli.meter import Meter
    from sar_data.download.credentials import Credentials
    from sar_data.sources.scenes.catalogue import catalogue as open_catalogue
    from sar_data.sources.scenes.listing import beside, scenes_without_product
    from sar_data.sources.scenes.product import HOW

    searched = open_catalogue(catalogue, url, authorise=Credentials.of(os.environ))
    note.describe_kept = lambda: f"the answers are kept in {kept(out)}; the same command continues from there"
    with crew(workers) as runner, Meter() as meter:
        listing = find_scenes(
            catalog.pipeline(name),
            source=source,
            out=out,
            catalogue=searched,
            runner=runner,
            work=work,
            progress=meter,
            tell=meter.say,
        )
    ways = Counter(match.how for match in listing.scenes if match.how)
    twins = sum(bool(match.twins) for match in listing.scenes)
    click.echo(
        f"{len(listing.scenes)} scenes, {ways['name']} matched by their whole name, {twins} with twins", err=True
    )
    for how, count in sorted(ways.items()):
        if how != "name":
            click.echo(f"  {count} as {HOW[how]}", err=True)
    if listing.nameless:
        click.echo(f"{listing.nameless} patches name no scene: they have neither scene file nor link", err=True)
    missing = scenes_without_product(listing)
    for match in missing[:MOST_SHOWN]:
        click.echo(f"  {match.scene}: {match.reason}", err=True)
    if len(missing) > MOST_SHOWN:
        click.echo(f"  and {len(missing) - MOST_SHOWN} more in {beside(out)}", err=True)
    click.echo(str(out.absolute()))
    if missing:
        raise SourceError(f"{len(missing)} of {len(listing.scenes)} scenes have no product: {out} has no link for them")


@command.command("download", short_help="Fetch the products of a CSV that `scenes` wrote.")
@click.argument("csv", type=click.Path(dir_okay=False, path_type=Path), metavar="SCENES.csv")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the archives, about 1 GB each.",
)
@click.option(
    "--identity",
    envvar="SAR_DATA_IDENTITY_URL",
    show_envvar=True,
    metavar="URL",
    help="Address that issues tokens, for another hub than the Data Space.",
)
@click.pass_obj
def download(note: Note, csv: Path, folder: Path, identity: str | None) -> None:
    """Fetch the products of a CSV that `scenes` wrote, and verify them; print their folder.

    A download that was interrupted continues where it ended. Sizes and checksums are those of the JSON beside the CSV.

    The Data Space requires a free account: put `machine identity.dataspace.copernicus.eu login USER password PASSWORD`
    into ~/.netrc; its tokens are renewed when they expire. For other hosts see `sar-data fetch --help`.
    """
    from datetime import UTC, datetime

    from sar_data.cli.transfers import Transfers
    from sar_data.download.credentials import Credentials
    from sar_data.download.fetch import fetch
    from sar_data.download.http import Web
    from sar_data.sources.scenes.archives import archive_sources
    from sar_data.sources.scenes.listing import read
    from sar_data.sources.scenes.login import IDENTITY, Login

    products = read(csv)
    sources = archive_sources(products)
    credentials = Credentials.of(os.environ)
    login = Login(credentials.login, credentials, identity=identity or IDENTITY)
    size = sum(product.bytes or 0 for product in products)
    unknown = sum(product.checksum is None for product in products)
    checked = f"{unknown} without a published checksum" if unknown else "each with a published checksum"
    click.echo(f"{len(products)} products, {size / 1e9:,.1f} GB, {checked}, into {folder}", err=True)
    for product in products:
        if not product.online:
            click.echo(f"{product.name} is in its hub's archive: once requested, it is available after hours", err=True)
    note.describe_kept = lambda: f"the part that has arrived is kept in {folder}; the same command continues from there"
    with Web(authorise=login) as web, Transfers() as meter:
        outcomes = fetch(
            sources,
            folder,
            web=web,
            now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
            progress=meter,
            say=meter.say,
        )
    failed = [outcome for outcome in outcomes if outcome.file is None]
    for outcome in failed:
        click.echo(f"{outcome.source.name}: {outcome.message}", err=True)
    click.echo(str(folder.absolute()))
    if failed:
        raise SarDataError(f"{len(failed)} of {len(outcomes)} products failed; the same command continues with them")
