"""The walls of the house: who may import whom, how long a room may be, and what an import may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.places import ROOT

FILES = sorted(
    path.relative_to(ROOT) for top in ("sar_data", "pipelines", "flows") for path in (ROOT / top).rglob("*.py")
)
HEAVY = (
    "torch",
    "prefect",
    "rasterio",
    "lmdb",
    "zarr",
    "xarray",
    "pandas",
    "dask",
    "distributed",
    "numba",
    "numpy",
    "pyarrow",
    "pydantic",
    "rich",
    "matplotlib",
)
EVERYONE = {
    "sar_data",
    "sar_data.spec",
    "sar_data.record",
    "sar_data.dtypes",
    "sar_data.text",
    "sar_data.errors",
    "sar_data.naming",
    "sar_data.progress",
}
# What a room may know of the house, beyond EVERYONE and itself; the first matching row is the room's law.
LAWS: list[tuple[str, str]] = [
    (r"pipelines\.synth", "sar_data.synth sar_data.labels pipelines"),
    (r"pipelines", "sar_data.raster sar_data.labels sar_data.own sar_data.split sar_data.sources.tree pipelines._"),
    (r"flows", "sar_data flows"),
    (r"sar_data\.cli\.flow", "flows sar_data.cli"),
    (r"sar_data\.(cli|__main__)", "sar_data"),
    # The ground: values, files, sums. None of them knows a build.
    (r"sar_data\.(errors|naming|record|dtypes|text|progress|system)", "sar_data.system"),
    (r"sar_data\.spec", "sar_data.split.policy"),
    (r"sar_data\.(split|crop)", "sar_data.split"),
    (r"sar_data\.radiometry", ""),
    (r"sar_data\.normalization", "sar_data.normalization sar_data.system.native"),
    (r"sar_data\.statistics", "sar_data.statistics sar_data.system"),
    (r"sar_data\.download", "sar_data.download sar_data.sealed.names sar_data.system"),
    (r"sar_data\.sources\.scenes", "sar_data.sources.scenes sar_data.download sar_data.system"),
    (r"sar_data\.sources", "sar_data.sources sar_data.system"),
    (r"sar_data\.raster\.maps", "sar_data.raster sar_data.system"),
    (
        r"sar_data\.(raster|labels|synth)",
        "sar_data.raster sar_data.labels sar_data.sources.tree sar_data.system.strict_json sar_data.system.parquet",
    ),
    (
        r"sar_data\.containers",
        "sar_data.containers sar_data.raster sar_data.labels sar_data.split sar_data.sources.tree "
        "sar_data.formats.lmdb_pages sar_data.system",
    ),
    (
        r"sar_data\.own",
        "sar_data.own sar_data.containers sar_data.raster sar_data.labels sar_data.split sar_data.sources.tree "
        "sar_data.sources.filter sar_data.system.strict_json sar_data.system.strict_toml sar_data.system.parquet",
    ),
    # A container knows no other one.
    (
        r"sar_data\.formats\.(lmdb|zarr|webdataset)",
        "sar_data.formats.container sar_data.formats.raw sar_data.formats.storage sar_data.formats.lmdb_ "
        "sar_data.formats.zarr_ "
        "sar_data.labels.boxes sar_data.system",
    ),
    (r"sar_data\.formats", "sar_data.formats sar_data.system"),
    # Builds: sealed ones, and what makes them.
    (
        r"sar_data\.sealed",
        "sar_data.sealed sar_data.formats sar_data.statistics sar_data.radiometry sar_data.normalization "
        "sar_data.split sar_data.system sar_data.runners",
    ),
    (
        r"sar_data\.(views|exporters)",
        "sar_data.views sar_data.exporters sar_data.containers.layouts sar_data.sealed sar_data.formats "
        "sar_data.statistics sar_data.split.policy sar_data.labels.boxes sar_data.methods sar_data.system "
        "sar_data.raster.gdal sar_data.raster.maps",
    ),
    (
        r"sar_data\.reports",
        "sar_data.reports sar_data.views sar_data.sealed sar_data.formats sar_data.statistics sar_data.split "
        "sar_data.labels.boxes sar_data.catalog sar_data.system",
    ),
    (
        r"sar_data\.builder",
        "sar_data.builder sar_data.sealed sar_data.formats sar_data.statistics sar_data.split sar_data.sources "
        "sar_data.crop sar_data.radiometry sar_data.normalization sar_data.system sar_data.runners sar_data.catalog "
        "sar_data.download sar_data.own.declaration sar_data.containers sar_data.raster.tiff",
    ),
    # Streaming and training know a build on disk or behind a URL, never what makes one.
    (r"sar_data\.stream\.kernels", "sar_data.stream.kernels sar_data.system.native"),
    (
        r"sar_data\.stream",
        "sar_data.stream sar_data.sealed sar_data.formats sar_data.crop sar_data.radiometry sar_data.normalization "
        "sar_data.system.native sar_data.system.positioned sar_data.system.regular",
    ),
    (
        r"sar_data\.torch",
        "sar_data.torch sar_data.stream sar_data.sealed sar_data.formats sar_data.radiometry sar_data.normalization",
    ),
    (
        r"sar_data\.train\.inference",
        "sar_data.train sar_data.torch sar_data.stream sar_data.sealed sar_data.system sar_data.labels.boxes "
        "sar_data.raster.scene sar_data.raster.maps sar_data.radiometry sar_data.normalization sar_data.views",
    ),
    (r"sar_data\.train\.(reported|charts)", "sar_data.train sar_data.reports sar_data.sealed sar_data.system"),
    (
        r"sar_data\.train",
        "sar_data.train sar_data.torch sar_data.stream sar_data.sealed sar_data.system sar_data.radiometry "
        "sar_data.normalization sar_data.views sar_data.labels.boxes",
    ),
    (r"sar_data", "sar_data"),
]
LONGEST_FUNCTION, MOST_PARAMETERS = 60, 8
# Click callbacks, flow entry points and public verbs: their parameters are what a user may say.
ENTRIES = {
    "flows.build.build",
    "flows.convert.convert",
    "flows.leakage.leakage",
    "flows.stats.stats",
    "flows.train.embed",
    "flows.train.explain_points",
    "flows.train.predict",
    "sar_data.cli.build.command",
    "sar_data.cli.stats.command",
    "sar_data.cli.verify.command",
    "sar_data.public.build",
    "sar_data.public.convert",
    "sar_data.public.leakage",
    "sar_data.public.plan",
    "sar_data.public.rebuild",
    "sar_data.public.repair",
    "sar_data.public.stats",
    "sar_data.stream.dataset.Stream.__init__",
    "sar_data.train.verbs.embed",
    "sar_data.train.verbs.explain",
    "sar_data.train.verbs.predict",
    "sar_data.train.verbs.train",
}


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Return every module a file imports, at the top or inside a function, `from a import b` as a.b too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {
                name if (ROOT / Path(*name.split("."))).with_suffix(".py").exists() else node.module for name in whole
            }
    return names


def house(name: str) -> bool:
    return name.split(".")[0] in ("sar_data", "pipelines", "flows")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_knows_only_whom_it_may(path: Path) -> None:
    module = module_of(path)
    allowed = next(rooms.split() for pattern, rooms in LAWS if re.match(rf"{pattern}(\.|$)", module))
    strangers = {
        name
        for name in imported(path)
        if house(name)
        and name not in EVERYONE
        # A room that ends in "_" stands for all modules that begin so: a dataset's private tables and parsers.
        and not any(name == room or name.startswith(room if room[-1] == "_" else room + ".") for room in allowed)
    }
    assert not strangers, f"{module} may know {allowed}, but imports {sorted(strangers)}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text())), f"{path} has no docstring"


def functions(body: list[ast.stmt], name: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of a file with its dotted name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}.{node.name}", node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node.body, f"{name}.{node.name}")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_function_is_short_and_has_few_parameters(path: Path) -> None:
    for name, node in functions(ast.parse((ROOT / path).read_text()).body, module_of(path)):
        if name in ENTRIES:
            continue
        given = node.args
        count = len([a for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")])
        lines = (node.end_lineno or 0) - node.lineno + 1
        assert lines <= LONGEST_FUNCTION, f"{name} has {lines} lines"
        assert count <= MOST_PARAMETERS, f"{name} has {count} parameters"


def test_the_mechanism_names_no_dataset_and_never_imports_prefect_and_torch_in_two_rooms_only() -> None:
    datasets = [
        path.stem.replace("_", "[-_]?") for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__init__"
    ]
    for path in FILES:
        if path.parts[0] == "sar_data":
            tree = ast.parse((ROOT / path).read_text())
            names = {name.split(".")[0] for name in imported(path)}
            assert "prefect" not in names, path
            assert "torch" not in names or path.parts[1] in ("torch", "train"), path
            literals = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            docs = {
                ast.get_docstring(n, clean=False)
                for n in ast.walk(tree)
                if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
            }
            named = [text for text in literals if text not in docs and any(re.search(d, text, re.I) for d in datasets)]
            assert not named, f"{path} names a dataset: {named}"


def test_no_message_names_an_option_to_who_is_not_at_the_command_line() -> None:
    for path in FILES:
        if path.parts[:2] == ("sar_data", "cli"):
            continue
        tree = ast.parse((ROOT / path).read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                found = re.search(r"(?<![\w-])--[a-z]", node.value)
                assert not found or (path.parts[0] == "flows" and "prefect" in node.value), f"{path}: {node.value!r}"


def test_rasterio_is_imported_in_three_files_and_by_the_contract_that_compares_with_it() -> None:
    assert sorted(str(path) for path in FILES if any(n.split(".")[0] == "rasterio" for n in imported(path))) == [
        "sar_data/raster/gdal.py",
        "sar_data/raster/maps.py",
        "sar_data/raster/scene.py",
        "sar_data/testing/pipelines.py",
    ]


def test_only_the_contract_classes_import_pytest_and_nobody_imports_them() -> None:
    for path in FILES:
        if path.parts[:2] != ("sar_data", "testing"):
            assert not {
                name for name in imported(path) if re.match(r"(pytest|hypothesis|sar_data\.testing)(\.|$)", name)
            }


@pytest.mark.parametrize("room", ["split", "stream", "train"])
def test_the_parts_of_a_room_import_each_other_in_one_direction(room: str) -> None:
    known: dict[str, set[str]] = {}
    for path in FILES:
        if path.parts[:2] == ("sar_data", room) and module_of(path) != f"sar_data.{room}":
            names = {name.split(".")[2] for name in imported(path) if name.startswith(f"sar_data.{room}.")}
            part = module_of(path).split(".")[2]
            known.setdefault(part, set()).update(names - {part})
    assert list(TopologicalSorter(known).static_order())  # which raises CycleError, with the circle


def test_flows_do_not_import_numpy() -> None:
    assert not [path for path in FILES if path.parts[0] == "flows" and "numpy" in imported(path)]


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=str)
def test_a_package_gives_no_name_to_something_else_that_a_room_in_it_has(path: Path) -> None:
    rooms = {room.stem for room in (ROOT / path).parent.iterdir()}
    package, taken = module_of(path), set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            taken |= {node.name} & rooms
        elif isinstance(node, ast.ImportFrom):
            names = {alias.asname or alias.name for alias in node.names} & rooms
            taken |= set() if node.module == package else {name for name in names if node.module != f"{package}.{name}"}
    # The first import of the room, wherever it is, would put the module in the place of what the package gave.
    assert not taken, f"{package} means two things by {sorted(taken)}"


def test_no_room_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "common", "base", "core", "helpers", "helper", "misc"}
    assert not [path for path in FILES if empty & {part.removesuffix(".py") for part in path.parts}]


@pytest.mark.parametrize(
    "command",
    ["import sar_data", "from sar_data.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"],
)
def test_importing_the_package_and_asking_for_help_load_nothing_heavy(command: str) -> None:
    script = f"import sys\n{command}\nprint('LOADED', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "LOADED"
