"""The Verilog: one definition a module, readable names, the same bytes; and a folder that stands alone."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from accelsim.parameters import as_dict
from accelsim_rtl.kit import verilog as writer
from accelsim_rtl.kit.folder import contents, fields
from accelsim_rtl.kit.ports import describe, packed
from accelsim_rtl.kit.simulators import FailedToolError
from accelsim_rtl.kit.synthesis import ZEROS
from accelsim_rtl.kit.verilog import rtlil, verilog
from accelsim_rtl.units import UNITS, find

pytestmark = pytest.mark.rtl


class Leaf(wiring.Component):
    def __init__(self, step: int = 1):
        self.step = step
        super().__init__({"a": In(data.ArrayLayout(4, 2)), "b": Out(5)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held = Signal(data.ArrayLayout(4, 2))
        m.d.sync += [held.eq(self.a), self.b.eq(held[0] + held[1] + self.step)]
        return m


class Branch(wiring.Component):
    """Two leaves that are equal."""

    def __init__(self) -> None:
        super().__init__({"a": In(data.ArrayLayout(4, 2)), "b": Out(5)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.left, m.submodules.right = left, right = Leaf(), Leaf()
        m.d.comb += [left.a.eq(self.a), right.a.eq(self.a), self.b.eq(left.b ^ right.b)]
        return m


class Tree(wiring.Component):
    """Two equal branches, four equal leaves below them, and a leaf that is not equal."""

    def __init__(self) -> None:
        super().__init__({"source": In(stream.Signature(data.ArrayLayout(4, 2))), "b": Out(5)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        parts = [Branch(), Branch(), Leaf(step=2)]
        m.submodules += parts
        m.d.comb += [part.a.eq(self.source.payload) for part in parts]
        m.d.comb += self.b.eq(parts[0].b ^ parts[1].b ^ parts[2].b)
        return m


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\S+?)\(", text, re.M)


def test_equal_modules_have_one_definition() -> None:
    text = verilog(Tree(), "tree")
    found = modules(text)
    instances = re.findall(r"^  (\w+) \w+ \($", text, re.M)
    # The tree; two branches, each with the two equal leaves; the leaf that is not equal.
    assert len(found) == len(set(found)) == 4, found
    assert sorted(map(instances.count, found)) == [0, 1, 2, 2]


def test_no_search_for_cycles_while_text_is_made_and_as_before_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert, searched = writer.convert_fragment, []

    def watched(*arguments: Any, **named: Any) -> Any:
        searched.append(gc.isenabled())
        return convert(*arguments, **named)

    monkeypatch.setattr(writer, "convert_fragment", watched)
    assert gc.isenabled()
    rtlil(Leaf(), "leaf")
    assert searched == [False]
    assert gc.isenabled()
    monkeypatch.setattr(writer, "convert_fragment", lambda *arguments, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rtlil(Leaf(), "leaf")
    assert gc.isenabled()


class Reserved(wiring.Component):
    """Its signals have names that mean something else in Verilog, or are that name's next choice."""

    def __init__(self) -> None:
        super().__init__({"a": In(4), "b": Out(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        final, other = Signal(4, name="final"), Signal(4, name="final_")
        m.d.sync += [final.eq(self.a), other.eq(final + 1), self.b.eq(other)]
        return m


class Table(wiring.Component):
    """Two memories of four words, one of zeros."""

    def __init__(self, width: int) -> None:
        self.width, self.words = width, [word % (1 << width) for word in (2, 3, 5, 7)]
        super().__init__({"place": In(2), "word": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        found = []
        for name, words in (("zeros", []), ("primes", self.words)):
            m.submodules[name] = memory = Memory(shape=self.width, depth=4, init=words)
            memory.write_port().en.eq(0)
            port = memory.read_port(domain="comb")
            m.d.comb += port.addr.eq(self.place)
            found.append(port.data)
        m.d.comb += self.word.eq(found[0] | found[1])
        return m


# Yosys writes words of 32 bits in another way.
@pytest.mark.parametrize("width", [1, 5, 31, 32, 33])
def test_a_memory_of_zeros_is_a_loop_that_sets_all_of_them(width: int, tmp_path: Path) -> None:
    table = Table(width)
    text = verilog(table, "pair")
    assert text.count("zeros[zeros_place] = ") == 1
    assert text.count("primes[3] = ") == 1
    bench = f"""
module bench;
  reg [1:0] place = 0;
  wire [{width - 1}:0] word;
  pair unit(.clk(1'b0), .rst(1'b0), .place(place), .word(word));
  initial begin repeat (4) begin #1 $display("%d", word); place = place + 1; end end
endmodule
"""
    (tmp_path / "bench.v").write_text(text + bench)
    words = ["iverilog", "-g2005", "-s", "bench", "-o", "bench", "bench.v"]
    subprocess.run(words, cwd=tmp_path, check=True)
    shown = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown.split() == [str(word) for word in table.words]
    assert "zeros[zeros_place]" not in ZEROS.sub("", text)


def test_a_memory_of_which_only_the_first_word_is_set_is_an_error() -> None:
    begins = "  reg [31:0] odd [3:0];\n  initial begin\n    odd[0] = 32'b0;\n  end\n"
    with pytest.raises(FailedToolError, match="only the first word"):
        writer._zeroed(begins)
    assert writer._zeroed(begins.replace("[3:0]", "[0:0]")).endswith("odd[0] = 32'b0;\n  end\n")


def test_words_of_the_language_are_no_names() -> None:
    text = verilog(Reserved(), "reserved")
    assert "\\" not in text
    assert set(re.findall(r"reg \[3:0\] (\w+)", text)) == {"b", "final_", "final__"}


@pytest.mark.parametrize("name", UNITS)
def test_the_text_of_a_unit_is_readable_and_always_the_same(name: str) -> None:
    unit = find(name)
    texts = [verilog(unit.instance(unit.least), unit.top) for _ in range(2)]
    assert texts[0] == texts[1]
    assert modules(texts[0])[0] == unit.top
    assert "\\" not in texts[0], "an escaped name"
    assert "__payload" not in texts[0]
    assert re.search(rf"^module {unit.top}\(clk, rst, \w+_payload, \w+_valid, \w+_ready,", texts[0], re.M)
    # Icarus does not run such blocks at time 0 in its newer language modes.
    assert "always @*" not in texts[0]


def test_a_payload_is_described_and_split_as_it_is_packed() -> None:
    layout = data.StructLayout({"pair": data.ArrayLayout(3, 2), "last": 1, "score": signed(5)})
    payload = packed(layout, {"pair": [5, 2], "last": 1, "score": 9})
    assert payload == 5 | 2 << 3 | 1 << 6 | 9 << 7
    assert fields(layout, payload) == {"pair": [5, 2], "last": 1, "score": 9}
    assert describe(layout)["fields"]["score"] == {"offset": 7, "width": 5, "signed": True}


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what is installed here but accelsim: no editable install, no PYTHONPATH."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "accelsim" not in path.name and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    python = folder / "bin" / "python"
    clean = subprocess.run([python, "-c", "import accelsim"], cwd=folder, env=bare(), capture_output=True)
    assert clean.returncode != 0, "accelsim can be imported here"
    return python


def bare() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "MAKE", "COCOTB"))
    }


def written(name: str, folder: Path) -> Path:
    unit = find(name)
    parameters = unit.least
    texts = contents(unit, parameters, values=as_dict(parameters), preset="tiny", seed=0, accelsim="0.1.0")
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder / f"test_{unit.top}.py"


@pytest.mark.parametrize("name", UNITS)
def test_the_folder_passes_with_plain_cocotb_and_icarus(name: str, tmp_path: Path, bare_python: Path) -> None:
    bench = written(name, tmp_path)
    done = subprocess.run([bare_python, bench], cwd=tmp_path, env=bare(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("passed\n")


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        (r"assign rows_ready = .*;", "assign rows_ready = 1'b1;", "differences"),
        (r"assign kept_valid = .*;", "assign kept_valid = 1'bx;", "kept_valid is x"),
        (r"(assign kept_payload = )(.*);", r"\1\2 ^ 1;", "kept_payload is"),
    ],
)
def test_the_folder_fails_on_other_verilog(
    tmp_path: Path, bare_python: Path, wrong: str, right: str, said: str
) -> None:
    bench = written("spatten.zero_eliminator", tmp_path)
    source = tmp_path / "spatten_zero_eliminator.v"
    text, count = re.subn(wrong, right, source.read_text())
    assert count == 1
    source.write_text(text)
    done = subprocess.run([bare_python, bench], cwd=tmp_path, env=bare(), capture_output=True, text=True)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_the_vectors_are_plain_data_that_says_what_must_come_out(tmp_path: Path) -> None:
    written("spatten.zero_eliminator", tmp_path)
    vectors = json.loads((tmp_path / "vectors.json").read_text())["vectors"]
    for vector in vectors:
        kept = [
            element
            for row in vector["inputs"]["rows"]
            for element, keep in zip(row["fields"]["elements"], row["fields"]["keep"], strict=True)
            if keep
        ]
        rows = [beat["fields"] for beat in vector["outputs"]["kept"]]
        assert [element for row in rows for element in row["elements"][: row["count"]]] == kept
        assert [row["last"] for row in rows] == [0] * (len(rows) - 1) + [1]
    about = json.loads((tmp_path / "parameters.json").read_text())
    assert {port["name"] for port in about["ports"]} >= {
        "clk",
        "rst",
        "rows_payload",
        "kept_ready",
        "waiting",
    }
    assert about["parameters"] == {"lanes": 4, "bits": 8, "registers": "low_latency"}
    assert about["latency"]["latency_cycles"] == 3
