"""docs/two_four.md: its code runs as it stands, and its tables are those of the source."""

import re
from pathlib import Path

import pytest

from accelsim.golden.two_four import FORMATS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "two_four.md").read_text()


def test_the_blocks_of_the_page_run_in_order():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/two_four.md", "exec"), names)


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_the_table_of_formats_says_what_is_stored(form):
    (row,) = re.findall(rf"^\|[^|]*`{form.name}`[^|]*\| (\d) \|.*\| ([\d.]+) \| (\d+)/16 \|$", PAGE, re.M)
    stored = (form.element_bits / 2 + form.metadata_bits) / form.element_bits
    assert row == (str(form.group), f"{form.metadata_bits:g}", f"{16 * stored:g}")
