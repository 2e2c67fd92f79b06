"""docs/kernels.md: its code runs as it stands."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "kernels.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


def run(blocks: list[str]) -> None:
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/kernels.md", "exec"), names)


def test_the_blocks_of_the_page_that_need_no_torch_run_in_order() -> None:
    assert len(BLOCKS) == 3
    run(BLOCKS[1:])


@pytest.mark.torch
def test_the_block_with_a_whole_model_runs() -> None:
    run(BLOCKS[:1])
