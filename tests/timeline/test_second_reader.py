"""A viewer by others reads our timelines. Only where it is asked for: it is fetched from npm's registry.

SPEEDSCOPE=1 python -m pytest tests/timeline
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from accelsim.cli import main

PACKAGE = "speedscope@1.25.0"

if os.environ.get("SPEEDSCOPE"):

    def test_speedscope_names_our_tracks(tmp_path: Path) -> None:
        timeline = tmp_path / "ours.json"
        command = ["gemm", "64", "64", "256", "--on", "sat:tiny", "--timeline", str(timeline)]
        assert main(command) == 0
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=tmp_path, check=True)
        with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
            archive.extractall(tmp_path, filter="data")
        viewer = tmp_path / "package" / "dist" / "release"
        shown = shown_by(viewer, timeline)
        assert "layers (pid 1), layers (tid 1)" in shown


def shown_by(viewer: Path, timeline: Path) -> str:
    """The text of the viewer's page once it has read the file."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    script = viewer / "loads.js"
    content = base64.b64encode(timeline.read_bytes()).decode()
    script.write_text(f"speedscope.loadFileFromBase64({json.dumps(timeline.name)}, {json.dumps(content)})")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
        browser.get(f"{(viewer / 'index.html').as_uri()}#localProfilePath={script}")
        WebDriverWait(browser, 30).until(lambda page: timeline.name in page.title)
        text: str = browser.execute_script("return document.body.innerText")
    return text
