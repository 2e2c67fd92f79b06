"""The HTML page without a browser: what is in it, that nothing else is, and that its bytes are the same."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accelsim
from accelsim import Matmul, Report, Workload
from accelsim.accelerators import find
from accelsim.cli import main
from accelsim.extras import MissingExtraError
from accelsim.report import Accuracy, LayerRow, Spread
from accelsim.report.figures import operand_bytes, roofline, stage_cycles, tokens
from accelsim.report.page import embedded, page
from accelsim.report.page.picture import png
from accelsim.report.page.roofline import MOST_POINTS, draw
from accelsim.report.page.sections import MOST_LINES, section
from strangers import LEFT, SCRIPT, WORDS, hostile

pytestmark = pytest.mark.filterwarnings("ignore::accelsim.run.SkippedLayersWarning")

GEMM = ["gemm", "64", "64", "64", "--on", "systolic:8", "--pattern", "2:4"]


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_equal_reports_give_equal_bytes(report: Report) -> None:
    again = accelsim.run(hostile(), accelsim.Systolic(rows=8, cols=8))
    assert page([again]) == page([report])


def test_names_from_a_stranger_stay_text(report: Report) -> None:
    found = Elements(page([report], command=f"accelsim run {SCRIPT}"))
    assert len(found.all("script")) == 2
    assert all(attributes["src"].startswith("data:") for attributes in found.all("img"))
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    text = "".join(found.text)
    assert text.count(SCRIPT) >= 5
    assert report.model in text


def test_nothing_is_fetched_and_only_the_pages_own_script_may_run(report: Report) -> None:
    text = page([report])
    found = Elements(text)
    for _, attributes in found.elements:
        for name in ("src", "href", "action"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_holds_the_json_of_its_report(report: Report) -> None:
    assert json.loads(Elements(page([report])).scripts[0]) == json.loads(report.json())
    both = json.loads(Elements(page([report, report])).scripts[0])
    assert both == [json.loads(report.json())] * 2
    assert json.loads(Elements(page([report], several=True)).scripts[0]) == both[:1]


def test_embedded_json_cannot_end_its_element() -> None:
    values = {"a": "</script><script>&<!--"}
    assert not re.search("[<>&]", embedded(values))
    assert json.loads(embedded(values)) == values
    assert embedded([np.int64(3), np.float64(0.5)]) == "[3,0.5]"


def test_every_layer_has_its_row_with_the_figures_of_the_json(report: Report) -> None:
    rows = [attributes for attributes in Elements(page([report])).all("tr") if "data-op" in attributes]
    assert len(rows) == len(report.layers)
    assert sum("refused" in (row.get("class") or "") for row in rows) == 1
    cells = re.findall(r'<td data-value="([^"]*)"', page([report]))
    assert [cell for cell in cells if cell == str(report.layers[0].cycles)]


def test_a_sentence_keeps_the_words_that_reach_a_layer(report: Report) -> None:
    text = page([report])
    lines = re.findall(r'<p class="words">(.*?)</p>', text)
    assert len(lines) == len(LEFT)
    for line, kept in zip(lines, LEFT, strict=True):
        assert len(re.findall(r'<span class="i[1-5]">', line)) == len(kept)
        assert line.count("<del>") == len(WORDS) - len(kept)
    # Pieces of a word stand together, and the most important token has the strongest shade.
    assert '<span class="i2">river</span><span class="i3">bank</span>' in lines[0]
    assert '<span class="i5">[SEP]</span>' in lines[0]
    assert "<del>the</del>" in lines[1]


def test_survival_says_who_reaches_which_layer() -> None:
    found = tokens(hostile())
    assert found is not None
    assert found.counts == [len(kept) for kept in LEFT]
    for row, kept in zip(found.kept, LEFT, strict=True):
        assert np.flatnonzero(row).tolist() == list(kept)


def test_a_long_text_is_a_picture_with_an_alternative() -> None:
    workload = hostile()
    count = 600
    layers = [
        replace(
            layer,
            queries=count // (i + 1),
            keys=count // (i + 1),
            dense_queries=count,
            dense_keys=count,
            tokens=np.arange(count // (i + 1), dtype=np.int32)[None],
            token_scores=None,
            token_keep=0,
        )
        for i, layer in enumerate(workload.layers[:8:2])
    ]
    report = accelsim.run(replace(workload, layers=tuple(layers)), accelsim.SpAtten())
    found = Elements(page([report]))
    alternatives = [attributes["alt"] for attributes in found.all("img")]
    assert alternatives == ["Tokens that reach each attention layer, of 600: 600, 300, 200, 150"]


def test_every_picture_and_drawing_has_an_alternative(report: Report) -> None:
    found = Elements(page([report]))
    assert found.all("img")
    assert all(attributes.get("alt") for attributes in found.all("img"))
    assert all(attributes.get("aria-labelledby") for attributes in found.all("svg"))
    assert all(
        a.get("aria-label") or a.get("aria-hidden") for a in found.all("span") if a.get("class") == "track"
    )
    ids = [attributes["id"] for _, attributes in found.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in found.all("a")} <= set(ids)


def test_accuracy_stands_beside_the_savings(report: Report) -> None:
    spread = Spread(method="bootstrap", dense=(0.5, 0.7), pruned=(0.4, 0.6), difference=(-0.2, 0.0))
    accuracy = Accuracy(metric="top-1", dense=0.6, pruned=0.5, samples=1000, spread=spread)
    text = page([replace(report, accuracy=accuracy)])
    assert "Accuracy beside the savings" in text
    assert "-0.1" in text
    assert "0.4 to 0.6" in text
    assert "Accuracy beside" not in page([report])
    drawing = text[text.index("Accuracy and speed-up") :]
    dense, pruned = re.findall(r'<circle class="dot \w+ step" cx="([\d.]+)" cy="([\d.]+)"', drawing)
    assert report.speedup is not None
    assert (float(pruned[0]) > float(dense[0])) == (report.speedup > 1)
    assert float(pruned[1]) > float(dense[1])  # less accurate is further down
    assert f"top-1 against speed-up: dense 0.6 at 1.00x, pruned 0.5 at {report.speedup:.2f}x" in drawing


def test_a_report_of_nothing_and_one_without_a_baseline_are_pages() -> None:
    alone = accelsim.run(hostile(), accelsim.Systolic(rows=8, cols=8), baseline=False)
    assert "dense_cycles" in page([alone])
    layers = tuple(layer for layer in hostile().layers if isinstance(layer, Matmul))
    nothing = accelsim.run(Workload(model="m", layers=layers), accelsim.SpAtten())
    assert "Nothing was simulated" in page([nothing])
    assert "Nothing was simulated" not in page([alone])
    for each in (alone, nothing):
        text = page([each])
        assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def many(report: Report, count: int) -> Report:
    """A report with so many layers, each a little faster than the one before."""
    assert report.baseline is not None

    def repeated(of: Report) -> tuple[LayerRow, ...]:
        row = next(row for row in of.layers if row.macs_done)
        assert row.seconds is not None
        return tuple(
            replace(row, name=f"step {index}", seconds=row.seconds * (1 - index / (2 * count)))
            for index in range(count)
        )

    return replace(
        report, layers=repeated(report), baseline=replace(report.baseline, layers=repeated(report.baseline))
    )


def test_a_page_of_very_many_layers_stays_small_says_so_and_has_them_all(report: Report) -> None:
    large, larger = many(report, 800), many(report, 8000)
    text = page([larger])
    assert len(text) < 1_300_000
    assert len(page([large])) > len(text) / 2
    rows = re.findall(r'<th scope="row" data-value="\d+">([^<]+)</th>', text)
    assert rows == [f"step {index}" for index in range(MOST_LINES)]
    assert (
        "Of 8,000 layers the 500 that take most of the time are shown, 8.2% of it. The JSON has all." in text
    )
    assert "one point stands for all that are near it" in text
    assert text.count("<circle") < 2 * MOST_POINTS
    script = Elements(text).scripts[0]
    assert json.loads(zlib.decompress(base64.b64decode(script))) == json.loads(larger.json())
    for hidden in ("are shown", "near it", "data-packed"):
        assert hidden not in page([report])


def test_a_merged_point_has_the_time_of_all(report: Report) -> None:
    found = roofline(many(report, 800))
    drawing = draw(found, 1.0)
    for kind, points in (("dense", found.dense), ("pruned", found.pruned)):
        dots = [dot for dot in drawing.dots if dot.kind == kind]
        assert len(dots) < len(points) == 800
        assert sum(len(dot.point.names) for dot in dots) == 800
        shares = sum(point.seconds for point in points)
        assert sum(dot.share for dot in dots) == pytest.approx(shares)


def test_a_layer_more_costs_the_page_a_line_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over all layers are made once, not for each line."""
    sums: list[int] = []
    whole = Report.seconds.fget
    assert whole is not None

    def counted(report: Report) -> float:
        sums.append(len(report.layers))
        return float(whole(report))

    monkeypatch.setattr(Report, "seconds", property(counted))
    found = []
    for number in (2, 20):
        layers = tuple(Matmul(name=f"layer{index}", m=8, n=8, k=8) for index in range(number))
        report = accelsim.run(Workload(model="m", layers=layers), accelsim.Systolic(rows=8, cols=8))
        sums.clear()
        section(report, 0)
        found.append(len(sums))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "on", ["systolic:8", "sat:tiny", "stc:tiny", "spatten:tiny", "spatten:e2e", "a3", "mnnfast"]
)
def test_no_layer_lies_above_its_roof(on: str) -> None:
    _, preset, machine = find(on)
    report = accelsim.run(hostile(), machine, preset=preset)
    found = roofline(report)
    for point in (*found.pruned, *found.dense):
        assert point.gops <= found.roof(point.intensity) * (1 + 1e-9)


@pytest.mark.parametrize("on", ["systolic:8", "sat:tiny", "stc:tiny", "spatten:tiny"])
def test_bytes_of_the_operands_add_up_to_what_was_asked(on: str) -> None:
    _, preset, machine = find(on)
    report = accelsim.run(hostile(), machine, preset=preset)
    asked = sum(operand_bytes(report).values())
    moved = report.dram_bytes
    if machine.cache is None:
        assert asked == moved
    else:
        assert asked >= moved > 0


def test_stages_close_their_books(report: Report) -> None:
    for stage in stage_cycles(report):
        assert stage.total == report.cycles
        assert report.stalls[stage.name] == stage.stalled


def test_a_png_says_what_it_was_given() -> None:
    values = np.linspace(0, 1, 12).reshape(3, 4)
    content = png(values)
    assert content.startswith(b"\x89PNG")
    at = content.index(b"IDAT")
    length = struct.unpack(">I", content[at - 4 : at])[0]
    lines = np.frombuffer(zlib.decompress(content[at + 4 : at + 4 + length]), np.uint8).reshape(3, 17)
    assert (lines[:, 0] == 0).all()
    assert np.abs(lines[:, 4::4] / 255 - values).max() < 1 / 255


def test_without_jinja2_a_kind_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, report: Report
) -> None:
    monkeypatch.setattr("accelsim.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs jinja2: pip install 'accelsim\[plot\]'"):
        page([report])
    assert main([*GEMM, "--report", str(tmp_path / "a.html")]) == 2
    assert capsys.readouterr().err == "accelsim: --report needs jinja2: pip install 'accelsim[plot]'\n"
    assert not list(tmp_path.iterdir())


def test_the_command_line_writes_the_page_of_its_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, values = tmp_path / "a.html", tmp_path / "b.html", tmp_path / "a.json"
    assert main([*GEMM, "--report", str(first), "--json", str(values)]) == 0
    assert main([*GEMM, f"--report={second}"]) == 0
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text()
    assert json.loads(Elements(text).scripts[0]) == json.loads(values.read_text())
    assert "<code>accelsim gemm 64 64 64 --on systolic:8 --pattern 2:4</code>" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json", "b.html"]
    capsys.readouterr()


@pytest.mark.parametrize("place", ["nowhere/a.html", ".", ""])
def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("accelsim.cli.counts.run", lambda *_, **__: pytest.fail("it ran"))
    assert main([*GEMM, "--report", place]) == 2
    assert capsys.readouterr().err.startswith(
        "accelsim: --report must be a file in a folder that exists, not "
    )
    assert not list(tmp_path.iterdir())


def test_html_of_a_report_is_written_whole(report: Report, tmp_path: Path) -> None:
    report.html(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == page([report])


def test_a_comparison_has_all_its_machines(report: Report) -> None:
    other: Any = accelsim.run(hostile(), accelsim.SpAtten())
    found = Elements(page([report, other]))
    text = "".join(found.text)
    assert "Machines side by side" in text
    assert "totals of machines that run different layers do not compare" in text
    assert {a.get("id") for a in found.all("section")} >= {"machines", "machine-0", "machine-1"}
