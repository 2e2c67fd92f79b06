"""The HTML page in a real browser, with the network off: it sorts, filters, and shows the JSON's figures.

A screenshot of the MiniLM report is left in `build/screenshots`. Needs chromium and chromedriver.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import Report
from accelsim.report.quantities import seconds, size, times
from strangers import IMAGE, SCRIPT

pytest.importorskip("jinja2")
webdriver = pytest.importorskip("selenium.webdriver")

Service = pytest.importorskip("selenium.webdriver.chrome.service").Service
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Select = pytest.importorskip("selenium.webdriver.support.ui").Select

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
MOST_BYTES = 3_000_000
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync"
)
SENTENCE = (
    "The quick cooling of the summer evening surprised everyone who had gathered on the old stone bridge to "
    "watch the lanterns drift slowly down the river toward the sea."
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window and without a network."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as made:
        made.execute_cdp_cmd("Network.enable", {})
        made.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield made


def opened(browser: Any, path: Path, *, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
    """Show a page on a screen of that width."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    # Nothing moves while it is clicked on.
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get_log("browser")
    browser.get(path.as_uri())


def complaints(browser: Any) -> list[str]:
    """What the browser's console says, up to a word of our own: entries come late on a busy machine."""
    browser.execute_script("console.error('that is all')")
    said: list[str] = []
    until = time.monotonic() + 30
    while not any("that is all" in line for line in said):
        assert time.monotonic() < until, said
        said += [entry["message"] for entry in browser.get_log("browser")]
    return [line for line in said if "that is all" not in line]


def column(browser: Any, name: str) -> list[str]:
    """Cells of the visible rows of a column of the first table of layers, from the top."""
    found: list[str] = browser.execute_script(
        """
        const table = document.querySelector("table.layers");
        const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
        return rows.map((row) => row.cells[at].textContent.trim());
        """,
        name,
    )
    return found


def sorted_by(browser: Any, name: str) -> list[str]:
    """The column after a click on its header."""
    buttons = browser.find_elements("css selector", "table.layers thead button")
    next(button for button in buttons if button.text.split("\u00a0")[0].strip() == name).click()
    return column(browser, name)


@pytest.fixture(scope="module")
def small(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the hostile workload."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.html(path, command=f"accelsim run {SCRIPT}")
    return path


def test_the_page_loads_without_a_complaint_and_no_name_runs(browser: Any, small: Path) -> None:
    opened(browser, small)
    assert complaints(browser) == []
    assert browser.execute_script("return window.hacked") is None
    assert IMAGE in browser.title
    assert SCRIPT in column(browser, "layer")


@pytest.mark.parametrize("planted", ["<script>hack()</script>", "<script>console.error('no')</script>"])
def test_a_script_that_got_in_is_refused_and_seen(
    browser: Any, small: Path, tmp_path: Path, planted: str
) -> None:
    text = small.read_text()
    (tmp_path / "bad.html").write_text(text.replace("</main>", planted + "</main>"))
    opened(browser, tmp_path / "bad.html")
    assert any("Content Security Policy" in line for line in complaints(browser))
    # Without the policy the same check hears of the script itself.
    start, end = text.index("<meta http-equiv"), text.index("<link rel=")
    (tmp_path / "worse.html").write_text((text[:start] + text[end:]).replace("</main>", planted + "</main>"))
    opened(browser, tmp_path / "worse.html")
    assert complaints(browser)


def test_the_table_sorts_both_ways_and_keeps_what_was_not_run_at_the_end(
    browser: Any, small: Path, report: Report
) -> None:
    opened(browser, small)
    cycles = sorted(row.cycles for row in report.layers if row.cycles is not None)
    up = [f"{count:,}" for count in cycles]
    assert sorted_by(browser, "cycles") == [*up, "not run"]
    assert sorted_by(browser, "cycles") == [*up[::-1], "not run"]
    names = sorted_by(browser, "layer")
    assert sorted(names) == sorted(row.name for row in report.layers)
    header = browser.find_element("css selector", "table.layers th[aria-sort]")
    assert header.get_attribute("aria-sort") == "ascending"


def test_the_table_filters_by_name_operation_and_what_runs(browser: Any, small: Path, report: Report) -> None:
    opened(browser, small)
    field = browser.find_element("css selector", ".filter")
    field.send_keys("UP")
    assert column(browser, "layer") == [row.name for row in report.layers if "up" in row.name]
    assert browser.find_element("css selector", ".tools .count").text == f"2 of {len(report.layers)}"
    field.clear()
    field.send_keys(" ", Keys.BACKSPACE)
    operation = Select(browser.find_element("css selector", ".op"))
    operation.select_by_visible_text("attention")
    assert set(column(browser, "op")) == {"attention"}
    operation.select_by_visible_text("all")
    browser.find_element("css selector", ".only").click()
    assert len(column(browser, "layer")) == len(report.layers) - 1


def test_the_keyboard_alone_sorts_and_opens(browser: Any, small: Path) -> None:
    opened(browser, small)
    seen = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        seen.append(element.tag_name)
        if element.tag_name == "button" and element.text.startswith("cycles"):
            element.send_keys(Keys.ENTER)
            break
    assert browser.find_element("css selector", "th[aria-sort]").text.startswith("cycles")
    assert {"a", "summary", "input", "button"} <= set(seen)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_light_and_dark_with_text_that_can_be_read(
    browser: Any, small: Path, scheme: str
) -> None:
    opened(browser, small, scheme=scheme)
    for selector in ("h1", ".lead", ".headline .big", ".bar .value", "td"):
        element = browser.find_element("css selector", selector)
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        contrast = _contrast(_colour(element.value_of_css_property("color")), _colour(ground))
        assert contrast > 4.5, selector
    assert (_luminance(_colour(ground)) > 0.5) == (scheme == "light")


def _colour(text: str) -> list[float]:
    return [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]


def _luminance(colour: list[float]) -> float:
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def _contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [360, 800, 1200])
def test_nothing_is_wider_than_the_screen(browser: Any, small: Path, width: int) -> None:
    opened(browser, small, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_figures_that_are_packed_are_those_of_the_json(
    browser: Any, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelsim.report.page.MOST_PLAIN", 0)
    report.html(tmp_path / "packed.html")
    opened(browser, tmp_path / "packed.html")
    assert browser.find_element("id", "figures").get_attribute("data-packed")
    found = browser.execute_async_script("figures().then(arguments[arguments.length - 1])")
    assert found == json.loads(report.json())
    assert complaints(browser) == []


def test_a_wrong_figure_would_be_noticed(browser: Any, small: Path, report: Report) -> None:
    opened(browser, small)
    _check_figures(browser, report.to_dict())
    for place, wrong in (
        (("speedup",), 9.9),
        (("layers", 1, "cycles"), 1),
        (("layers", 0, "read_bytes"), 10**6),
    ):
        values = report.to_dict()
        inner: Any = values
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = wrong
        with pytest.raises(AssertionError):
            _check_figures(browser, values)


@pytest.mark.torch
@pytest.mark.slow  # without compilation
@pytest.mark.parametrize(
    ("recipe", "on"), [("magnitude,2:4", "sat"), ("spatten,tokens=0.5,heads=0.9,values=0.3", "spatten:e2e")]
)
@pytest.mark.filterwarnings("ignore::accelsim.run.SkippedLayersWarning")
def test_the_report_of_minilm_shows_its_json(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str, on: str
) -> None:
    from accelsim.cli import main

    (tmp_path / "sentence.txt").write_text(SENTENCE)
    path, values = tmp_path / "minilm.html", tmp_path / "minilm.json"
    command = ["run", "minilm", "--prune", recipe, "--on", on, "--text", str(tmp_path / "sentence.txt")]
    assert main([*command, "--report", str(path), "--json", str(values)]) == 0
    capsys.readouterr()
    assert path.stat().st_size < MOST_BYTES
    found = json.loads(values.read_text())
    opened(browser, path)
    assert complaints(browser) == []
    shown = json.loads(browser.execute_script("return document.getElementById('figures').textContent"))
    assert shown == found
    _check_figures(browser, found)
    text = browser.find_element("tag name", "main").text
    if "spatten" in recipe:
        words = browser.find_elements("css selector", ".sentence:last-of-type .words span")
        assert 0 < len(words) < len(SENTENCE.split())
        assert "lanterns" in text
    _screenshots(browser, path, on.partition(":")[0])


def _check_figures(browser: Any, found: dict[str, Any]) -> None:
    """Headline and table against the JSON."""
    for name, words in (
        ("speedup", times(found["speedup"])),
        ("dram_reduction", times(found["dram_reduction"])),
    ):
        assert browser.find_element("css selector", f"[data-figure={name}]").text.startswith(words)
    layers = found["layers"]
    assert column(browser, "layer") == [layer["name"] for layer in layers]
    cycles = ["not run" if layer["cycles"] is None else f"{layer['cycles']:,}" for layer in layers]
    assert column(browser, "cycles") == cycles
    assert column(browser, "time") == [seconds(layer["seconds"]) for layer in layers]
    moved = [
        size(None if layer["read_bytes"] is None else layer["read_bytes"] + layer["write_bytes"])
        for layer in layers
    ]
    assert column(browser, "DRAM") == moved
    assert column(browser, "speed-up") == [times(layer["speedup"]) for layer in layers]


def _screenshots(browser: Any, path: Path, name: str) -> None:
    """The whole page, light, dark and on a phone."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for label, width, scheme in (("light", 1200, "light"), ("dark", 1200, "dark"), ("phone", 390, "light")):
        opened(browser, path, width=width, scheme=scheme)
        (SCREENSHOTS / f"minilm-{name}-{label}.png").write_bytes(_picture(browser))


def _picture(browser: Any) -> bytes:
    """PNG of the page, at most 8,000 lines of it.

    Asked of the page itself: the driver's own screenshot gives up when a busy machine draws late.
    """
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8000), "scale": 1}
    found = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    picture = base64.b64decode(found["data"])
    assert picture.startswith(b"\x89PNG")
    return picture
