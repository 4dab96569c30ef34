"""What mkdocs adds to the pages: those of the root, a reference of commands, of Python, and of each dataset.

The pages themselves are plain Markdown that a repository's viewer shows as well.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from mkdocs.structure.files import File, Files

import sar_data
from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.cli import main
from sar_data.errors import SarDataError
from sar_data.views.contact_sheet import contact_sheet

LOG = logging.getLogger("mkdocs.hooks")
SAMPLES, SHOWN = 16, 4  # of a miniature; of its contact sheet
ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "README.zh.md": "index.zh.md"}
PAGES |= {name: name for name in ("FORMAT.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")}
"""Page of the root → what it is called in the site."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root and the generated ones."""
    made = {name: _moved((ROOT / page).read_text()) for page, name in PAGES.items()}
    made["reference/commands.md"] = "\n".join(_commands())
    made["reference/python.md"] = "\n".join(_python())
    made["reference/datasets.md"] = "\n".join(_datasets())
    for name in catalog.names():
        try:
            sheet = _sheet(name)
        except SarDataError as error:
            sheet = None
            LOG.info("%s: no contact sheet of a miniature: %s", name, error)
        if sheet is not None:
            files.append(File.generated(config, f"reference/datasets/{name}.png", content=sheet))
        made[f"reference/datasets/{name}.md"] = "\n".join([*_dataset(name), *([] if sheet is None else [_shown(name)])])
    linked = [*(ROOT / "examples").glob("[!_]*.py"), *(ROOT / "schemas").glob("*.json")]
    made |= {path.relative_to(ROOT).as_posix(): path.read_text() for path in linked}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def _sheet(name: str) -> bytes:
    """Return the contact sheet of a miniature of a dataset as PNG; raise SarDataError where it cannot be built."""
    with TemporaryDirectory() as folder:
        out = Path(folder)
        catalog.synthesise(name)(out / "raw", count=SAMPLES, seed=0)
        dataset = catalog.pipeline(name)
        split = "random" if "random" in dataset.splits else None  # others may need more samples
        request = BuildRequest(dataset=dataset, source=out / "raw", out=out, format="webdataset", split=split)
        made = build(request)
        split = next(split for split, part in made.manifest.splits.items() if part.count)
        contact_sheet(made, out / "sheet.png", split=split, count=SHOWN)
        return (out / "sheet.png").read_bytes()


def _shown(name: str) -> str:
    told = "Invented images in the published layout: none is of the dataset."
    return f"\n## A miniature\n\n{told}\n\n![Contact sheet]({name}.png)\n"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Set a blank line before lists and tables, which mkdocs needs, and let links out of docs/ lead into the site."""
    above = "../" * page.file.src_uri.count("/")
    parts = re.split(r"(^```.*?^```)", markdown.replace(f"]({above}../", f"]({above}"), flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _spaced(part) for part in parts)


def _spaced(text: str) -> str:
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        begins = re.match(r"(- |\d+\. |\|)", line)
        if begins and before.strip() and not re.match(r"(\s|- |\d+\. |\|)", before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def _moved(text: str) -> str:
    """Return a page of the root with links as they are in the site."""
    text = re.sub(r"\]\(docs/", "](", text)
    for page, name in PAGES.items():
        text = text.replace(f"]({page})", f"]({name})")
    return text


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    context = click.Context(main, info_name="sar-data")
    for name, command in _leaves(main, context):
        yield f"## {name}\n\n```\n{command.get_help(click.Context(command, info_name=f'sar-data {name}'))}\n```\n"


def _leaves(group: click.Group, context: click.Context, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _leaves(command, click.Context(command, parent=context, info_name=name), f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def _python() -> Iterator[str]:
    yield "# Python\n\nThese are public, with `sar_data.torch.loader`. Everything else may change in any version.\n"
    for name in sar_data.__all__:
        home = sar_data._HOMES.get(name, "sar_data.public")
        yield f"::: {home}.{name}\n"
    yield "::: sar_data.errors\n"


def _datasets() -> Iterator[str]:
    yield "# Datasets\n\n| name | title | tasks | evidence |\n|---|---|---|---|"
    for row in catalog.datasets():
        tasks = ", ".join(dict.fromkeys(row["tasks"]))
        yield f"| [{row['name']}](datasets/{row['name']}.md) | {row['title']} | {tasks} | {row['evidence']} |"


def _plain(text: str) -> str:
    """Return a text in which <name> is no tag, and * and _ are no emphasis."""
    return re.sub(r"([*_`])", r"\\\1", text).replace("<", "&lt;")


def _given(parameters: dict[str, Any]) -> str:
    """Return the parameters of a policy, as one types them."""
    return ", ".join(f"`{key}={value}`" for key, value in parameters.items() if isinstance(value, str | int | float))


def _leakage(name: str) -> Iterator[str]:
    """Yield the rows of the page of leakage that name the dataset, each as a table that fits a phone."""
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / "docs" / "leakage.md").read_text(), re.MULTILINE):
        head, _, *rows = (line.strip("|").split("|") for line in table.splitlines())
        for row in rows:
            if f"`{name}`" in row[0]:
                first, *others = (f"|{title}|{cell}|" for title, cell in zip(head, row, strict=True))
                yield "\n".join([first, "|---|---|", *others, ""])


def _dataset(name: str) -> Iterator[str]:
    """Yield the page of a dataset: what `info` says, its splits and its published tree."""
    facts = catalog.info(name)
    yield f"# {facts['title']}\n\n`{name}` {facts['version']}\n\n{_plain(facts['layout'])}\n"
    yield "| property | value |\n|---|---|"
    for field in ("licence", "citation", "evidence", "calibration", "range_axis"):
        yield f"| {field.replace('_', ' ')} | {str(facts[field]).replace('|', ' ')} |"
    yield "\n| band | unit | what it is |\n|---|---|---|"
    yield from (f"| {band['name']} | {band['unit']} | {band['description']} |" for band in facts["bands"])
    yield "\n## Splits\n\nThe first is the default.\n\n" + "\n".join(
        f"- `{split}` {_given(parameters)}" for split, parameters in facts["splits"].items()
    )
    yield "\n### What they leak\n"
    yield from _leakage(name)
    yield "\nShares are in %, of test against train; – is not known."
    yield "[Leakage](../../leakage.md) says what the figures mean, and has those of other splits."
    for task in facts["tasks"]:
        count = len(task["classes"])
        classes = f"{count} class{'es' if count > 1 else ''}"
        yield f"\n## {task['name']}: {task['kind']}, {classes}\n\n{', '.join(task['classes'])}\n"
    if facts["sources"]:
        tree = "\n".join(catalog.published_tree(name).lines())
        yield f"\n## Published tree, in a miniature\n\n```\n{tree}\n```\n"
