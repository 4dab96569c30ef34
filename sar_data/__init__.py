"""sar-data: SAR datasets as sealed, training-ready builds.

    import sar_data
    build = sar_data.build("bigearthnet-s1", source="raw", out="builds")
    sar_data.verify(build.path, full=True)

Public are the names of `__all__`, `sar_data.torch.loader`, the exceptions of `sar_data.errors`, and the values of
`sar_data.spec` and `sar_data.record`, with which a pipeline of one's own is written. Everything else is internal and
may change in any version. Importing the package loads nothing heavy: a name is imported when it is first used.
"""

import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 11):  # noqa: UP036 (a copy on the path of another Python was not asked by pip)
    version = ".".join(map(str, sys.version_info[:2]))
    raise ImportError(f"sar-data: expected Python 3.11 or later, found {version}: make an environment of a newer one")

if TYPE_CHECKING:
    from sar_data.catalog import datasets, info
    from sar_data.checkup import doctor
    from sar_data.inventory import builds
    from sar_data.methods import cite
    from sar_data.public import (
        against,
        build,
        convert,
        diff,
        export,
        fetch,
        leakage,
        looks,
        open,
        plan,
        plan_fetch,
        rebuild,
        repair,
        report,
        shift,
        stats,
        verify,
    )
    from sar_data.stream.dataset import Stream

__version__ = "0.2.0"
__all__ = [
    "Stream",
    "against",
    "build",
    "builds",
    "cite",
    "convert",
    "datasets",
    "diff",
    "doctor",
    "export",
    "fetch",
    "info",
    "leakage",
    "looks",
    "open",
    "plan",
    "plan_fetch",
    "rebuild",
    "repair",
    "report",
    "shift",
    "stats",
    "verify",
]

_HOMES = {
    "Stream": "sar_data.stream.dataset",
    "builds": "sar_data.inventory",
    "cite": "sar_data.methods",
    "datasets": "sar_data.catalog",
    "doctor": "sar_data.checkup",
    "info": "sar_data.catalog",
}

if not TYPE_CHECKING:  # which would take every name for one that exists

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module 'sar_data' has no attribute {name!r}; public are {', '.join(__all__)}")
        globals()[name] = value = getattr(import_module(_HOMES.get(name, "sar_data.public")), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
