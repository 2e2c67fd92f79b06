"""`Report`: what adds up, the JSON of the surface, files, and tables."""

import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from report_rows import layer, report, stage

from accelsim import __version__
from accelsim.files import as_json, write_atomically
from accelsim.machine import CAUSES
from accelsim.report import Accuracy, LayerRow, Spread, StageRow
from accelsim.report.table import print_comparison, print_report, seconds, size

KEYS = [
    "accelsim",
    "model",
    "accelerator",
    "preset",
    "parameters",
    "synthetic",
    "cycles",
    "compute_cycles",
    "seconds",
    "clock_hz",
    "dram",
    "macs",
    "gops",
    "peak",
    "energy_pj",
    "area_mm2",
    "stalls",
    "bottleneck",
    "assumptions",
    "baseline",
    "speedup",
    "dram_reduction",
    "energy_saving",
    "accuracy",
    "layers",
]
LAYER_KEYS = {"name", "op", "simulated", "cycles", "read_bytes", "write_bytes", "macs_dense", "macs_done"}


BOTH = report(
    layer("encoder.0.query", 50, stage("load", sends=True), stage("array", busy=40, input=10)),
    layer("encoder.1.query", 50, stage("load", sends=True), stage("array", busy=20, input=25)),
    baseline=report(layer("encoder.0.query", 150), layer("encoder.1.query", 100)),
)


def test_the_json_has_exactly_the_keys_of_the_surface_in_its_order() -> None:
    values = BOTH.to_dict()
    assert list(values) == KEYS
    assert list(values["baseline"]) == KEYS
    assert values["baseline"]["baseline"] is None
    assert list(values["dram"]) == [
        "device",
        "read_bytes",
        "write_bytes",
        "row_hits",
        "row_misses",
        "row_conflicts",
        "gbps",
        "pin_clocks",
    ]
    assert values["accelsim"] == __version__
    assert values["macs"] == {"dense": 2000, "done": 500}
    seconds = values["seconds"]
    assert values["gops"] == pytest.approx({"dense": 4e-6 / seconds, "done": 1e-6 / seconds})
    assert set(values["layers"][0]) >= LAYER_KEYS
    assert json.loads(BOTH.json()) == values


def test_what_is_not_modelled_is_null() -> None:
    values = BOTH.to_dict()
    assert values["energy_pj"] == dict.fromkeys(("dram", "sram", "logic", "total"))
    assert [values[key] for key in ("area_mm2", "energy_saving", "accuracy")] == [None] * 3


def test_each_layer_stands_beside_its_dense_one() -> None:
    rows = BOTH.to_dict()["layers"]
    assert [row["dense_cycles"] for row in rows] == [150, 100]
    assert [row["speedup"] for row in rows] == [3.0, 2.0]
    assert BOTH.speedup == 2.5
    assert BOTH.dram_reduction == 1.0
    assert BOTH.gbps == pytest.approx(2 * 704 / 100)


def test_stalls_are_summed_by_stage_and_cause() -> None:
    assert BOTH.stalls["array"]["input"] == 35
    assert set(BOTH.stalls["load"]) == set(CAUSES)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            (stage("load", sends=True, busy=10), stage("array", busy=80)),
            "array: busy 80% of the time; DRAM at 35.2%",
        ),
        (
            (stage("load", sends=True, memory=60), stage("array", busy=50, memory=20)),
            "memory: load sends or waits",
        ),
        (
            (stage("qk", unit="mul", busy=30), stage("pv", unit="mul", busy=40), stage("x", busy=60)),
            "mul: busy 70%",
        ),
    ],
)
def test_the_bottleneck_is_the_unit_that_works_most(stages: tuple[StageRow, ...], expected: str) -> None:
    sentence = report(layer("a", 100, *stages)).bottleneck
    assert sentence is not None
    assert sentence.startswith(expected)


def test_waiting_for_bursts_makes_memory_the_bottleneck() -> None:
    load = stage("load", unit="fetcher", sends=True, busy=5, memory=85)
    found = report(layer("a", 100, load, stage("array", busy=80))).bottleneck
    assert found is not None
    assert found.startswith("memory: fetcher sends or waits for bursts 90% of the time")


def test_launches_can_be_the_bottleneck_and_dilute_the_rest() -> None:
    row = layer("a", 100, stage("array", busy=100), launches=3, launch_seconds=3e-7, seconds=4e-7)
    found = report(row, launch_seconds=1e-7)
    assert found.seconds == pytest.approx(4e-7)
    assert found.bottleneck is not None
    assert found.bottleneck.startswith("launch: starting kernels takes 75% of the time")
    assert found.shares()["unit", "array"] == pytest.approx(0.25)


def test_an_idle_copy_of_a_unit_halves_its_share() -> None:
    twice = replace(stage("array", busy=100), instances=2)
    assert report(layer("a", 100, twice)).shares() == {("unit", "array"): 0.5}


def test_accuracy_is_in_the_json() -> None:
    measured = Accuracy(metric="accuracy", dense=0.75, pruned=0.5, samples=10, refitted=0.7)
    assert replace(BOTH, accuracy=measured).to_dict()["accuracy"] == {
        "metric": "accuracy",
        "dense": 0.75,
        "pruned": 0.5,
        "samples": 10,
        "refitted": 0.7,
        "spread": None,
        "others": (),
    }


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_nan_is_never_written(wrong: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"cycles": wrong})


def test_save_writes_what_json_says(tmp_path: Path) -> None:
    BOTH.save(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == BOTH.json()
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_table_says_first_what_matters_first() -> None:
    lines = str(BOTH).splitlines()
    assert lines[0] == "m on toy:small  dense 250 ns -> 100 ns  2.50x  DRAM 1.41 kB -> 1.41 kB"
    text = str(BOTH)
    assert text.index("encoder.0.query") < text.index("compute cycles") < text.index("all is well")
    assert "bottleneck: array: busy 60% of the time" in text
    assert "inputs: 1x4" in text


def test_plain_tables_have_no_rules_and_no_colour() -> None:
    assert str(BOTH).isascii()
    assert "\x1b" not in str(BOTH)
    assert not any(line.endswith(" ") for line in str(BOTH).splitlines())


def test_a_narrow_terminal_sees_every_figure_whole() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Terminal()
    wide = replace(BOTH, layers=tuple(replace(row, cycles=10**15) for row in BOTH.layers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "40")
        print_report(wide, file=file)
    assert file.getvalue().count("1,000,000,000,000,000") == 2
    assert "…" not in file.getvalue()


def test_every_layer_is_printed_once_even_in_a_long_model() -> None:
    rows = [layer(f"encoder.layer.{index}.attention.self.a_very_long_name_of_it", 10) for index in range(90)]
    lines = str(report(*rows)).splitlines()
    assert sum("very_long_name" in line for line in lines) == 90
    assert max(len(line) for line in lines) <= 100


def test_a_block_that_is_itself_a_layer_stands_once_in_the_table() -> None:
    attention = replace(layer("0", 10), op="attention")
    lines = str(report(layer("0.qkv", 10), attention, layer("0.out", 10), layer("1", 10))).splitlines()
    names = [line[:14].rstrip() for line in lines[3:8]]
    assert names == ["0", "  qkv", "  (attention)", "  out", "1"]


def test_refused_layers_of_a_block_share_a_line() -> None:
    refused = [LayerRow(name=f"block.0.{name}", op="scan", macs_dense=5, reason="no scan") for name in "abc"]
    lines = str(report(*refused[:2], layer("block.0.up", 10), refused[2])).splitlines()
    assert sum(line.startswith("  3 layers not simulated") for line in lines) == 1
    assert sum(line.startswith("  up") for line in lines) == 1
    assert not any(line.startswith(("  a ", "  b ", "  c ")) for line in lines)


def test_equal_notes_are_joined_and_refusals_are_told() -> None:
    noted = layer("a", 10, notes=("dense cycles",))
    refused = LayerRow(name="s", op="scan", macs_dense=5, reason="no scan here")
    text = str(report(noted, replace(noted, name="b"), refused))
    assert "a and 1 more: dense cycles" in text
    assert "s: not simulated: no scan here" in text


def test_explain_lists_facts_and_stages() -> None:
    file = io.StringIO()
    print_report(
        replace(BOTH, layers=tuple(replace(row, facts={"dataflow": "ws"}) for row in BOTH.layers)),
        explain=True,
        file=file,
    )
    text = file.getvalue()
    assert "encoder.0.query: dataflow ws" in text
    assert "upstream" in text


def test_accuracy_is_printed_with_both_heads_its_spread_and_the_other_metrics() -> None:
    spread = Spread(method="95 % interval", dense=(0.7, 0.8), pruned=(0.4, 0.6), difference=(-0.3, -0.1))
    other = Accuracy(metric="perplexity", dense=24.125, pruned=2248.3, samples=32)
    measured = Accuracy(
        metric="accuracy", dense=0.75, pruned=0.5, samples=1000, refitted=0.7, spread=spread, others=(other,)
    )
    text = str(replace(BOTH, accuracy=measured))
    assert (
        "accuracy; 1,000 samples: dense 0.75, pruned 0.5, pruned with its last layer fitted anew 0.7\n"
        in text
    )
    assert "95 % interval: dense 0.7 to 0.8, pruned 0.4 to 0.6, difference -0.3 to -0.1\n" in text
    assert "perplexity; 32 samples: dense 24.12, pruned 2,248\n" in text


def test_changed_parameters_are_named_beside_the_preset() -> None:
    assert str(replace(BOTH, changes=("rows=16",))).startswith("m on toy:small (rows=16)  dense")


def test_a_comparison_has_a_line_for_each_machine() -> None:
    file = io.StringIO()
    print_comparison([BOTH, replace(BOTH, accelerator="other", preset=None)], file=file)
    text = file.getvalue()
    assert sum(line.startswith(("toy:small ", "other ")) for line in text.splitlines()) == 2
    assert "2.50x" in text


def test_the_notebook_view_escapes_names() -> None:
    html = replace(BOTH, model="<script>")._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert html.count("<tr>") == 3


def test_as_text_it_is_plain_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = str(BOTH)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook's kernel has it
    assert str(BOTH) == plain
    assert "\x1b" not in plain


def test_without_html_a_notebook_shows_the_table() -> None:
    said: list[str] = []
    BOTH._repr_pretty_(SimpleNamespace(text=said.append), False)
    BOTH._repr_pretty_(SimpleNamespace(text=said.append), True)
    assert said == [str(BOTH), "Report(...)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "12.3 ms"),
        (0.9999e-3, "1 ms"),
        (1.0, "1 s"),
        (123456.0, "123456 s"),
        (0.0, "0 ns"),
        (None, "-"),
    ],
)
def test_times_have_three_digits(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (30_123_456, "30.1 MB"), (None, "-")]
)
def test_sizes_have_three_digits(value: int | None, text: str) -> None:
    assert size(value) == text


def test_a_link_is_followed_and_a_pipe_is_written_into_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", "text")
    assert os.read(reader, 100) == b"text"
    assert (tmp_path / "pipe").is_fifo()
    os.close(reader)
