"""Equal steps of a layer that runs again are one line of a table; in JSON each is there."""

import io
from dataclasses import replace

from report_rows import layer, report

from accelsim.report import LayerRow
from accelsim.report.table import print_comparison, print_report


def steps(name: str, *cycles: int) -> list[LayerRow]:
    """One layer that runs again and again, with so many cycles each time."""
    return [layer(f"{name}#{number}" if number > 1 else name, took) for number, took in enumerate(cycles, 1)]


def test_equal_steps_of_a_layer_are_one_line_with_their_sums() -> None:
    rows = [layer("before", 1), *steps("rnn.hh", *[1000] * 64), layer("out", 2)]
    lines = str(report(*rows, baseline=report(*rows))).splitlines()
    assert [line.split()[:5] for line in lines[3:6]] == [
        ["before", "1", "1", "1.00x", "704"],
        ["rnn.hh", "x", "64", "64,000", "64,000"],
        ["out", "2", "2", "1.00x", "704"],
    ]
    assert [row["name"] for row in report(*rows).to_dict()["layers"]] == [row.name for row in rows]


def test_a_step_that_differs_keeps_its_line_and_its_place() -> None:
    lines = str(report(*steps("hh", 5, 10, 10, 7, 10))).splitlines()
    assert [line.split("matmul")[0].rstrip() for line in lines[3:6]] == ["hh", "hh#2 x 3", "hh#4"]


def test_steps_of_two_layers_in_turn_are_two_lines_also_behind_a_stage_and_in_a_block() -> None:
    pairs = zip(steps("net.0.hh", 4, 4, 4), steps("net.0.ih", 9, 9, 9), strict=True)
    turns = [replace(row, name=f"{row.name}.ff") for pair in pairs for row in pair]
    lines = str(report(*turns)).splitlines()
    assert [line.split() for line in lines[3:6]] == [
        ["net.0", "39", "18", "4.22", "kB"],
        ["hh.ff", "x", "3", "matmul", "12", "6", "2.11", "kB"],
        ["ih.ff", "x", "3", "matmul", "27", "12", "2.11", "kB"],
    ]


def test_steps_are_one_line_for_notebooks_in_explanations_and_in_comparisons() -> None:
    many = report(*steps("hh", 500, 500, 500), baseline=report(*steps("hh", 900, 900, 900)))
    assert many._repr_html_().count("<tr>") == 2
    assert "<td>hh x 3</td>" in many._repr_html_()
    file = io.StringIO()
    print_report(many, explain=True, file=file)
    assert "  hh x 3: nothing to add\n" in file.getvalue()
    file = io.StringIO()
    # On a machine that runs one of the steps otherwise, that step is told apart.
    other = report(*steps("hh", 500, 500, 600), baseline=report(*steps("hh", 900, 900, 900)))
    print_comparison([many, other], file=file)
    found = [line.split("  ") for line in file.getvalue().splitlines() if line.startswith("hh")]
    assert [[word.strip() for word in line if word] for line in found] == [
        ["hh x 2", "1 us", "1.80x", "1 us", "1.80x"],
        ["hh#3", "500 ns", "1.80x", "600 ns", "1.50x"],
    ]


def test_refused_steps_are_one_line_and_counted_where_a_block_has_other_layers() -> None:
    refused = [replace(row, cycles=None, seconds=None, reason="no") for row in steps("0.hh", 1, 1, 1)]
    assert "0.hh x 3  matmul  not run" in str(report(*refused))
    assert "\n  3 layers not simulated\n" in str(report(*refused, layer("0.out", 5), layer("0.up", 5)))
