"""Several runs as one table: what they were asked for where that differs, and what came out.

A number whose epoch or head was chosen on the test split itself is marked wherever it is shown.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sar_data.errors import RunError, UsageError
from sar_data.text import csv_lines, tex
from sar_data.train import documents
from sar_data.train.documents import CONFIG, METRICS
from sar_data.train.metrics import title_of
from sar_data.train.request import CompareRequest

if TYPE_CHECKING:
    from sar_data.train.metrics.paired import Paired

SHOWN = (
    *("oa", "aa", "map_micro", "map_macro", "f1_change", "iou_change", "precision_change", "recall_change"),
    *("f1_macro", "miou", "image_miou", "pixel_accuracy", "ap", "ap50", "ap75"),
)
BATCHED = "fgmae_batched"  # figures that are means over batches, beside those of the whole split
MARK, NOTE = "†", "† chosen on test (as published): biased upwards"
FIXED = ("run", "job", "preset", "model", "weights", "build", "chosen on")
NAMING = ("path", "dataset", "variant", "version", "recipe_digest", "content_digest")  # of a build, which FIXED has
HIDDEN = (
    "job",
    "preset",
    "departures",
    "input",
    "builds",
)  # of config.json: FIXED has them, or they follow from the build
DIGITS = 8  # of a digest


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its name in the table, its config.json and its metrics.json."""

    name: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    path: Path | None = None

    @property
    def marked(self) -> bool:
        """Say whether the test split chose."""
        return bool(self.setting("select") == "test")

    def setting(self, name: str) -> Any:
        """Return an option, None where the job has none of that name."""
        return self.config["settings"].get(name)

    def about(self) -> dict[str, str]:
        """Return what the run is, a text for each of FIXED."""
        build = self.config["build"]
        digests = "+".join(digest[:DIGITS] for digest in build["content_digest"].split("+"))  # of each build
        facts = (build["dataset"], build.get("variant"), build["version"], digests)
        chosen = "test (as published)" if self.marked else self.setting("select")
        texts = (
            self.name,
            self.config["job"],
            self.config.get("preset"),
            self.setting("model"),
            self.setting("weights"),
            " ".join(fact for fact in facts if fact),
            chosen,
        )
        return {name: "–" if text is None else str(text) for name, text in zip(FIXED, texts, strict=True)}


def compared(request: CompareRequest) -> str:
    """Return the table that is asked for; raise RunError for a folder that is no finished run."""
    table = over_seeds if request.over else as_csv if request.csv else latex if request.latex else markdown
    return table(opened(request.folders), request.split)


def opened(paths: Iterable[Path]) -> list[Run]:
    """Return the runs in some folders; raise RunError for a folder that is none or is not finished."""
    folders = list(paths)
    if not folders:
        raise UsageError("compare: expected the folders of runs, found none")
    alike = len({path.name for path in folders}) < len(folders)
    return _beside([_run(path, str(path) if alike else path.name) for path in folders])


def markdown(runs: Sequence[Run], split: str = "test") -> str:
    """Return a Markdown table of the runs with the figures of a split, then one of the options that differ."""
    lines = markdown_table(*columns(runs, split))
    if alike := _alike(runs):
        lines += ["", f"The same in all: {'; '.join(f'{name} {text}' for name, text in alike.items())}"]
    notes = _marked(runs, split)
    notes += [f"{run.name}: {text}" for run in runs for text in run.metrics.get("departures", ())]
    notes += sorted({f"Intervals: {method}" for run in runs if (method := _method(run, split))})
    found = tested(runs, split)
    if found.rows:
        lines += ["", f"Differences to {runs[0].name}", "", *markdown_table(found.head, found.rows)]
    lines += ["", *found.notes]
    differing = differences(runs)
    if differing:
        lines += ["", "What differs", ""]
        lines += markdown_table(
            ["option", *(run.name for run in runs)], [[name, *values] for name, values in differing.items()]
        )
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def latex(runs: Sequence[Run], split: str = "test") -> str:
    """Return the table of figures for LaTeX with the package booktabs, its notes as comments."""
    head, rows = columns(runs, split)
    lines = [" & ".join(map(tex, row)) + r" \\" for row in (head, *rows)]
    notes = [*_marked(runs, split), *(f"{name}: {value}" for name, value in _alike(runs).items())]
    notes += sorted({f"Intervals: {method}" for run in runs if (method := _method(run, split))})
    begin = rf"\begin{{tabular}}{{{'l' * len(head)}}}"
    whole = [begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*(f"% {tex(note)}" for note in notes), *whole]) + "\n"


def columns(runs: Sequence[Run], split: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the runs: what differs of FIXED, then the figures of a split."""
    figures, alike = _figures(runs, split), _alike(runs)
    about = [name for name in FIXED if name not in alike]
    rows = [[*(run.about()[name] for name in about), *(_cell(run, split, name) for name in figures)] for run in runs]
    return [*about, *(f"{split} {_titled(name)}" for name in figures)], rows


def _alike(runs: Sequence[Run]) -> dict[str, str]:
    """Return what several runs have in common of FIXED, by name; of one run alone nothing."""
    first, *others = (run.about() for run in runs)
    same = (name for name in FIXED[1:] if others and all(one[name] == first[name] for one in others))
    return {name: first[name] for name in same}


def _marked(runs: Sequence[Run], split: str) -> list[str]:
    return [NOTE] if split == "test" and any(run.marked for run in runs) and _figures(runs, split) else []


class Tested(NamedTuple):
    """A table of differences of runs to the first one, how they were tested, and which were not, and why."""

    head: list[str]
    rows: list[list[str]]
    notes: list[str]


def tested(runs: Sequence[Run], split: str) -> Tested:
    """Return the differences of all runs to the first, on the samples that both were tested on."""
    from sar_data.train.metrics.paired import holm

    first, *others = runs
    told = {run.name: _paired(first, run, split) for run in others}
    notes = [f"{run}: not tested against {first.name}: {why}" for run, why in told.items() if isinstance(why, str)]
    found = {run: one for run, one in told.items() if not isinstance(one, str)}
    rows = []
    for name in dict.fromkeys(name for one in found.values() for name in one.differences):
        known = {run: one for run, one in found.items() if name in one.differences}
        corrected = holm([one.differences[name].p for one in known.values()])
        mcnemar = dict.fromkeys(known, "–")
        if name == "oa":
            exact = {run: one.mcnemar for run, one in known.items() if one.mcnemar is not None}
            mcnemar |= zip(exact, map(_probability, holm(list(exact.values()))), strict=True)
        for (run, one), p in zip(known.items(), corrected, strict=True):
            value, low, high, _ = one.differences[name]
            shown = f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
            rows.append([run, f"{split} {_titled(name)}", f"{one.samples:,}", shown, _probability(p), mcnemar[run]])
    if rows:
        notes.append(f"Differences: paired, {'; '.join(sorted({one.method for one in found.values()}))}")
    return Tested(["run", "figure", "samples", "difference", "p (Holm)", "McNemar's p (Holm)"], rows, notes)


def _paired(first: Run, other: Run, split: str) -> Paired | str:
    """Return how two runs differ on their common samples, or why they cannot be compared so."""
    from sar_data.train.metrics.paired import compare_predictions

    one, two = (_rows(run, split) for run in (first, other))
    if isinstance(one, str) or isinstance(two, str):
        return one if isinstance(one, str) else str(two)
    if one[1] != two[1]:
        return "they know other classes"
    try:
        comparison = compare_predictions(one[0], two[0], one[1])
    except RunError as error:
        return str(error)  # tested on other samples
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # pyarrow's among them
        where = f"{first.path} and {other.path}"
        raise RunError(f"{where}: expected predictions of one task, found others: {error!r:.200}") from error
    return comparison if comparison.differences else f"nothing can be left out, {comparison.method}"


def _beside(runs: Sequence[Run]) -> list[Run]:
    """Return runs of which those on one build have its figures under the name, too, that it has among several."""
    names = {one["content_digest"]: one["name"] for run in runs for one in run.config.get("builds") or ()}
    found = []
    for run in runs:
        name = names.get(run.config["build"]["content_digest"])
        more = {f"{split}/{name}": part for split, part in documents.figures(run.metrics).items()} if name else {}
        found.append(replace(run, metrics={**run.metrics, **more}))
    return found


def _rows(run: Run, split: str) -> tuple[Any, tuple[str, ...]] | str:
    """Return a run's predictions of a split, or of one of its builds, with the classes; or why there are none."""
    from sar_data.train.predictions import NAME, of_build, read

    if run.path is None or not (run.path / NAME).is_file():
        return f"{run.name} keeps no predictions"
    tables, classes = read(run.path / NAME)
    own, _, name = split.partition("/")
    if own not in tables:
        return f"one of both has no predictions of {split}"
    several = name and "build" in tables[own].column_names
    return (of_build(tables[own], name) if several else tables[own]), classes


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def over_seeds(runs: Sequence[Run], split: str = "test") -> str:
    """Return a Markdown table of mean and deviation over the runs that differ in their seed alone."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        settings = {name: value for name, value in run.config["settings"].items() if name != "seed"}
        about = [run.config["job"], run.config["build"]["content_digest"], run.config.get("together"), settings]
        groups.setdefault(json.dumps(about, sort_keys=True), []).append(run)
    figures = _figures(runs, split)
    head = ["runs", *FIXED[1:], "seeds", *(f"{split} {_titled(name)}" for name in figures)]
    rows = []
    for members in groups.values():
        seeds = ", ".join(sorted(str(run.setting("seed")) for run in members))
        mark = MARK * (members[0].marked and split == "test")
        cells = [_mean([_value(run, split, name) for run in members]) + mark for name in figures]
        rows.append([", ".join(run.name for run in members), *list(members[0].about().values())[1:], seeds, *cells])
    notes = ["mean ± standard deviation over seeds (n - 1)", *_marked(runs, split)]
    return "\n".join([*markdown_table(head, rows), "", *notes]) + "\n"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not all(map(math.isfinite, known)):
        return "nan"
    if len(known) < 2:
        return f"{known[0]:.3f}" if known else "–"
    return f"{statistics.mean(known):.3f} ± {statistics.stdev(known):.3f}"


def as_csv(runs: Sequence[Run], split: str = "test") -> str:
    """Return a line a run: what it is, figures with the ends of their intervals, and the options that differ."""
    figures, differing = _figures(runs, split), differences(runs)
    names = [name + end for name in figures for end in ("", "_low", "_high")]
    rows: list[list[object]] = [[*FIXED, "split", *names, *differing]]
    for i, run in enumerate(runs):
        values = [value for name in figures for value in (_value(run, split, name), *_interval(run, split, name))]
        rows.append([*run.about().values(), split, *values, *(found[i] for found in differing.values())])
    return csv_lines(rows)


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return {option: a text a run} of what is not the same in all runs, but for what the table shows and paths."""
    flat = [
        dict(
            _flat(
                {name: part for name, part in run.config.items() if name not in HIDDEN}
                | {"chosen": run.metrics.get("probe", {}).get("chosen", {})}
            )
        )
        for run in runs
    ]
    names = list(dict.fromkeys(name for one in flat for name in one))
    hidden = {"settings.model", "settings.weights", "settings.select", *(f"build.{name}" for name in NAMING)}
    found = {name: [_text(one.get(name)) for one in flat] for name in names if name not in hidden}
    return {name.removeprefix("settings."): texts for name, texts in found.items() if len(set(texts)) > 1}


def _run(path: Path, name: str) -> Run:
    if not ((path / CONFIG).exists() and (path / METRICS).exists()):
        what = "not finished" if (path / CONFIG).is_file() else "no run"
        raise RunError(f"{path}: expected the folder of a finished run, found {what}")
    return Run(name, documents.config(path), documents.metrics(path), path)


def _figures(runs: Sequence[Run], split: str) -> list[str]:
    """Return the metrics that some run has of a split; raise UsageError where none has the split."""
    splits = sorted({name for run in runs for name in documents.figures(run.metrics)})
    if split not in splits:
        raise UsageError(f"compare: no run has figures of {split!r}; there are: {', '.join(splits) or 'none'}")
    names = [*SHOWN, *(f"{BATCHED}.{name}" for name in SHOWN)]
    return [name for name in names if any(_value(run, split, name) is not None for run in runs)]


def _titled(name: str) -> str:
    return (
        f"{title_of(name.removeprefix(f'{BATCHED}.'))}, batched as FG-MAE"
        if name.startswith(BATCHED)
        else title_of(name)
    )


def _value(run: Run, split: str, name: str) -> float | None:
    found: Any = documents.figures(run.metrics).get(split)
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, float) else None


def _interval(run: Run, split: str, name: str) -> tuple[float | None, float | None]:
    found = documents.figures(run.metrics).get(split, {}).get("intervals", {}).get(name)
    ends = isinstance(found, list) and len(found) == 2 and all(isinstance(end, float) for end in found)
    return (found[0], found[1]) if ends else (None, None)


def _method(run: Run, split: str) -> str | None:
    found: str | None = documents.figures(run.metrics).get(split, {}).get("intervals", {}).get("method")
    return found


def _cell(run: Run, split: str, name: str) -> str:
    value, (low, high) = _value(run, split, name), _interval(run, split, name)
    if value is None:
        return "–"
    shown = f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return shown + MARK * (run.marked and split == "test")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def _flat(document: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return "–" if value is None else str(value)
