"""Every import goes down a floor, and every package from outside is used only where it belongs.

The whole source is read with `ast`: imports inside functions and under TYPE_CHECKING count as well.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Ground floor first. A unit is a file or folder of `accelsim/`; units of one floor do not know each other.
FLOORS = (
    ("golden",),
    ("compiled", "extras", "files", "foreign", "plain", "sampling", "start", "words"),
    ("archive", "layers", "datasets"),
    ("workload", "dram"),
    ("parameters", "plan", "stages", "synthetic", "energy"),
    ("engine",),
    ("machine",),
    ("units", "windows"),
    ("samples",),
    ("accelerators",),
    ("report",),
    ("layer_times",),
    ("run",),
    ("prune",),
    ("models",),
    ("trace", "plot", "timeline", "accuracy", "ablation"),
    ("training",),
    ("sweep",),
    ("cli",),
    ("accelsim", "__main__"),  # the package's own __init__ names what is public
)
FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}

# Packages from outside, and the units that may import them.
EVERYWHERE = frozenset(FLOOR)
OUTSIDE = {
    "numpy": EVERYWHERE,
    "numba": {"compiled"},
    "rich": {"report", "cli"},
    "typer": {"cli"},
    "click": {"cli"},
    "torch": {"models", "prune", "trace", "accuracy", "training"},
    "gguf": {"models", "prune", "trace"},
    "huggingface_hub": {"models"},
    "transformers": {"models", "prune", "trace", "accuracy"},
    "safetensors": {"models", "prune", "trace", "training"},
    "PIL": {"datasets"},
    "matplotlib": {"plot"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "dask": {"sweep"},
    "distributed": {"sweep"},
    "pyarrow": {"sweep"},
    "yaml": {"sweep"},
    "pydantic": {"sweep"},
    "optuna": {"sweep"},
    "accelsim_rtl": {"cli"},
    "accelsim_kernels": set(),
}
# They can run code while they read a file.
FORBIDDEN = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}

# What the packages beside accelsim may look at.
SIDE = {
    "accelsim_rtl": {"golden", "workload", "dram", "accelerators", "units", "words"},
    "accelsim_kernels": {"golden"},
}


@dataclass(frozen=True)
class Import:
    """`module` as `file` imports it: dotted and absolute."""

    file: str
    line: int
    unit: str
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.unit} imports {self.module}"


def imports(package: Path) -> Iterator[Import]:
    """All imports of a package's files, with every imported name resolved to the module it may be."""
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        unit = package.name if inside == Path("__init__.py") else inside.parts[0].removesuffix(".py")
        dotted = [package.name, *inside.with_suffix("").parts]
        here = dotted[:-1]  # the package that relative imports start from
        for node in ast.walk(ast.parse(path.read_text())):
            for module in _modules(node, here):
                yield Import(str(inside), node.lineno, unit, module)


def _modules(node: ast.AST, here: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = here[: len(here) - node.level + 1] if node.level else []
        base = ".".join([*start, *([node.module] if node.module else [])])
        # `from accelsim import plan` names a module, `from accelsim.plan import Plan` does not.
        return [f"{base}.{alias.name}" for alias in node.names] if base == "accelsim" else [base]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("import_module", "__import__"):
            return [str(node.args[0].value)]
    return []


def complaints(package: Path) -> list[str]:
    """One line for every import of `accelsim` that climbs, or that brings something in where it must not."""
    return [f"{found}: {why}" for found in imports(package) if (why := _wrong(found))]


def homeless(package: Path) -> set[str]:
    """Files and folders of `accelsim` that have no floor."""
    return {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()} - (
        EVERYWHERE | {"__init__", "__pycache__"}
    )


def _wrong(found: Import) -> str:
    if found.unit not in FLOOR:
        return "it has no floor"
    top, *rest = found.module.split(".")
    if top in FORBIDDEN:
        return "it can run code from a file"
    if top in sys.stdlib_module_names:
        return ""
    if top != "accelsim":
        return "" if found.unit in OUTSIDE.get(top, ()) else f"only {sorted(OUTSIDE.get(top, ()))} may"
    if rest == ["__version__"]:
        return ""
    unit = rest[0] if rest and rest[0] in FLOOR else "accelsim"
    if found.unit == unit or FLOOR[unit] < FLOOR[found.unit]:
        return ""
    return "it must lie on a lower floor"


def side_complaints(package: Path) -> list[str]:
    """One line for every import of accelsim by a package beside it that is not allowed to it."""
    allowed = SIDE[package.name]
    wrong = []
    for found in imports(package):
        top, *rest = found.module.split(".")
        if top in FORBIDDEN or (top == "accelsim" and (not rest or rest[0] not in allowed)):
            wrong.append(f"{found}: only {sorted(allowed)} of accelsim may be imported")
        if top in SIDE and top != package.name:
            wrong.append(f"{found}: the packages beside accelsim do not know each other")
    return wrong


def test_every_import_goes_down_a_floor() -> None:
    wrong = complaints(ROOT / "accelsim")
    assert not wrong, "\n".join(wrong)


def test_every_file_has_a_floor() -> None:
    assert not homeless(ROOT / "accelsim")


@pytest.mark.parametrize("name", ["rtl/accelsim_rtl", "kernels/accelsim_kernels"])
def test_packages_beside_accelsim_look_only_where_they_may(name: str) -> None:
    assert side_complaints(ROOT / name) == []


def test_the_source_is_really_read() -> None:
    found = list(imports(ROOT / "accelsim"))
    assert any(i.unit == "machine" and i.module.startswith("accelsim.plan") for i in found)
    assert {path.name for path in (ROOT / "accelsim").glob("*.py")} >= {"plan.py", "machine.py"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("golden/topk.py", "import numba"),
        ("golden/topk.py", "from accelsim.compiled import kernel"),
        ("golden/topk.py", "from ..workload import Layer"),
        ("plan.py", "from accelsim import machine"),
        ("plan.py", "def later():\n    from accelsim.machine import simulate\n"),
        ("plan.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import accelsim.run\n"),
        ("workload.py", "from .dram import Dram"),
        ("machine.py", "import importlib\nimportlib.import_module('accelsim.report')"),
        ("accelerators/sat/cycles.py", "from ...cli import main"),
        ("report.py", "import torch.nn"),
        ("run.py", "from accelsim import SpAtten"),
        ("workload.py", "import pickle"),
        ("accelerators/stc.py", "import some_new_dependency"),
        ("cellar.py", "import math"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, text: str) -> None:
    planted = tmp_path / "accelsim" / path
    planted.parent.mkdir(parents=True)
    planted.write_text(text)
    assert len(complaints(tmp_path / "accelsim")) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "golden/topk.py",
            "import math\nfrom . import fixed\nfrom accelsim.golden import formats\n",
        ),
        ("dram/flow.py", "from accelsim.compiled import kernel\nfrom accelsim.dram import Dram\n"),
        ("accelerators/sat/cycles.py", "from ..base import LayerPlan\nfrom ...plan import Plan\n"),
        ("report.py", "from accelsim import __version__, energy\nimport rich.table\n"),
        ("cli/main.py", "from accelsim.run import run\nfrom .words import nearest\n"),
    ],
)
def test_imports_that_go_down_are_taken(tmp_path: Path, path: str, text: str) -> None:
    planted = tmp_path / "accelsim" / path
    planted.parent.mkdir(parents=True)
    planted.write_text(text)
    assert complaints(tmp_path / "accelsim") == []


@pytest.mark.parametrize(
    ("package", "text", "wrong"),
    [
        ("accelsim_rtl", "from accelsim.golden.topk import top_k\nfrom accelsim import accelerators\n", 0),
        ("accelsim_rtl", "from accelsim.machine import simulate", 1),
        ("accelsim_rtl", "import accelsim", 1),
        ("accelsim_rtl", "import accelsim_kernels", 1),
        ("accelsim_kernels", "from accelsim.golden import topk\nimport torch\n", 0),
        ("accelsim_kernels", "from accelsim.accelerators.spatten import SpAtten", 1),
    ],
)
def test_a_violation_planted_beside_accelsim_is_found(
    tmp_path: Path, package: str, text: str, wrong: int
) -> None:
    planted = tmp_path / package / "unit.py"
    planted.parent.mkdir()
    planted.write_text(text)
    assert len(side_complaints(tmp_path / package)) == wrong
