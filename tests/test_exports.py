"""What `import accelsim` promises: the names, their documents, and how little it brings with it."""

import inspect
import subprocess
import sys

import accelsim

# Numba itself looks for scipy.
QUIET = [
    "torch",
    "transformers",
    "rich",
    "typer",
    "click",
    "matplotlib",
    "jinja2",
    "dask",
    "sklearn",
    "pandas",
]


def in_python(code: str) -> str:
    """Output of `code` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_exactly_the_promised_names_are_public() -> None:
    assert accelsim.__all__ == [
        "A3",
        "Attention",
        "Dram",
        "Matmul",
        "MnnFast",
        "Report",
        "Sat",
        "SpAtten",
        "SparseTensorCore",
        "Systolic",
        "Unknown",
        "Workload",
        "__version__",
        "run",
        "trace",
    ]


def test_every_public_name_exists_and_is_documented() -> None:
    for name in accelsim.__all__:
        thing = getattr(accelsim, name)
        assert isinstance(thing, str) or (inspect.getdoc(thing) or "").strip().endswith((".", "`")), name


def test_public_functions_are_functions_whatever_was_imported_before() -> None:
    code = "import accelsim.run, accelsim.trace, accelsim.cli\n"
    code += "print(accelsim.run.__name__, accelsim.trace.__name__)"
    assert in_python(code) == "run trace"
    assert in_python("from accelsim import run, trace; print(callable(run), callable(trace))") == "True True"


def test_import_brings_numpy_and_numba_only() -> None:
    code = f"import sys, accelsim; print([name for name in {QUIET} if name in sys.modules])"
    assert in_python(code) == "[]"


def test_import_costs_little_more_than_that_of_numba() -> None:
    # Processor time of the second of two imports: the first may have to compile to bytecode.
    def seconds(module: str) -> float:
        code = (
            f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
        )
        in_python(code)
        return float(in_python(code))

    assert seconds("accelsim") < 4 * seconds("numba")


def test_a_simulation_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['rich'] = None\n"
        "import accelsim\n"
        "layer = accelsim.Matmul(name='a', m=8, n=8, k=8)\n"
        "workload = accelsim.Workload(model='w', layers=(layer,))\n"
        "print(accelsim.run(workload, accelsim.Systolic(rows=4, cols=4)).cycles > 0)"
    )
    assert in_python(code) == "True"
