"""`docs/reports.md`: its commands run, print what the page shows, and write what it promises."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reports.md").read_text()
SENTENCE = re.search(r'\$ echo "(.*)" > sentence.txt', PAGE)


def shown() -> list[tuple[str, list[str]]]:
    """The commands of the page, each with the lines that it shows of what it prints."""
    blocks = "".join(re.findall(r"^```\n(.*?)^```$", PAGE, re.M | re.S))
    parts = re.split(r"^\$ (accelsim .*)\n", re.sub(r"^\$ echo .*\n", "", blocks, flags=re.M), flags=re.M)
    return list(zip(parts[1::2], (text.splitlines() for text in parts[2::2]), strict=True))


def alike(line: str, other: str, apart: float) -> bool:
    """Whether all words are equal, and all numbers, or these no more `apart` than that share."""
    if line == other or not apart:
        return line == other
    number = r"(?<![\w.])\d[\d,]*\.?\d*"  # not the 2 of e2e
    words = [re.sub(r"\s+", " ", re.sub(number, "#", each)) for each in (line, other)]
    pairs = zip(*(re.findall(number, each) for each in (line, other)), strict=False)
    values = [[float(each.replace(",", "")) for each in pair] for pair in pairs]
    return words[0] == words[1] and all(abs(a - b) <= apart * abs(a) for a, b in values)


def test_lines_are_alike_up_to_their_numbers() -> None:
    line = "minilm on spatten:e2e  dense 454 us -> 284 us  1.60x"
    assert alike(line, line.replace("284", "280"), 0.1)
    assert not alike(line, line.replace("284", "280"), 0.0)
    assert not alike(line, line.replace("284", "200"), 0.1)
    assert not alike(line, line.replace("e2e", "e3e"), 0.1)
    assert not alike(line, line.replace("us", "ms"), 0.1)


def cases() -> list[object]:
    # A model is traced by torch.
    marks = {True: [pytest.mark.torch, pytest.mark.slow], False: [pytest.mark.slow]}  # without compilation
    return [pytest.param(c, s, id=c, marks=marks["minilm" in c]) for c, s in shown()]


@pytest.mark.parametrize(("command", "lines"), cases())
def test_a_command_prints_and_writes_what_the_page_says(
    command: str, lines: list[str], tmp_path: Path
) -> None:
    assert SENTENCE is not None
    (tmp_path / "sentence.txt").write_text(SENTENCE[1] + "\n")
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "accelsim", *words[1:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    # The cascade's decisions follow the last bits of the model's scores, which differ among processors.
    apart = 0.1 if "spatten" in command else 0.0
    wrong = [line for line in lines if line != "..." and not any(alike(line, one, apart) for one in printed)]
    assert not wrong, "\n".join(wrong)
    for name in re.findall(r"\S+\.(?:html|json)\b", command):
        assert (tmp_path / name).stat().st_size > 1000


def test_the_python_of_the_page_draws_its_plots(tmp_path: Path) -> None:
    text = re.search(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert text is not None
    done = subprocess.run([sys.executable, "-c", text[1]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ["cycles.svg", "front.png", "roofline.png", "space.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names


def test_every_picture_of_the_page_is_there_and_small() -> None:
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)
    assert names
    for name in names:
        assert 10_000 < (ROOT / "docs" / name).stat().st_size < 200_000
    assert len(shown()) == 4
