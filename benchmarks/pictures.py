"""Pictures of results: the MiniLM report as a browser shows it, and plots of what other benchmarks found.

    python benchmarks/pictures.py

Writes docs/pictures/report.png (needs torch, selenium, chromium and pillow) and, from committed results,
benchmarks/results/spatten_text.png and benchmarks/results/topk_width.png. Nothing here is a test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from accelsim import plot

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).resolve().parents[1] / "docs"
COMMAND = "run minilm --prune spatten,tokens=0.5,heads=0.9,values=0.3 --on spatten:e2e --text sentence.txt"
WIDTH, HEIGHT, SHOWN, COLOURS = 1200, 1290, 880, 224


def main() -> None:
    text_front()
    width_map()
    report()


def text_front() -> None:
    """DRAM saved against accuracy lost, of MiniLM on real sentences."""
    found = json.loads((RESULTS / "spatten_text.json").read_text())["minilm-curve"]
    plot.pareto(
        RESULTS / "spatten_text.png",
        found["rows"],
        "dram_reduction",
        "loss",
        more=["dram_reduction"],
        title="MiniLM on rated sentences under SpAtten's recipes: accuracy lost, DRAM saved",
    )


def width_map() -> None:
    """Time of a token by the width of the top-k engine, for each engine and size of machine."""
    points = json.loads((RESULTS / "spatten_space.json").read_text())["points"]
    rows = [
        {
            "width": point["value"],
            "engine": f"{point['machine']}, {point['series']}",
            "us": None if point["seconds"] is None else point["seconds"] * 1e6,
        }
        for point in points
        if point["parameter"] == "topk.width" and point["work"].startswith("GPT-2")
    ]
    title = "GPT-2-Small, one token: microseconds"
    plot.heat_map(RESULTS / "topk_width.png", rows, "width", "engine", "us", title=title)


def report() -> None:
    """The top of the MiniLM report, as small as it can still be read."""
    from PIL import Image
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    sentence = (DOCS / "reports.md").read_text().split('echo "', 1)[1].split('"', 1)[0]
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sentence.txt").write_text(sentence + "\n")
        words = [sys.executable, "-m", "accelsim", *COMMAND.split(), "--report", "report.html"]
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
            screen = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.get((folder / "report.html").as_uri())
            browser.save_screenshot(str(folder / "report.png"))
        whole = Image.open(folder / "report.png").convert("RGB")
    small = whole.resize((SHOWN, SHOWN * whole.height // whole.width), Image.Resampling.LANCZOS)
    (DOCS / "pictures").mkdir(exist_ok=True)
    small.quantize(COLOURS).save(DOCS / "pictures" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
