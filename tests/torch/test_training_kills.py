"""Training that is killed again and again: nothing finished is lost, nothing half-written is read."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from accelsim.training import checkpoint  # noqa: E402
from accelsim.workload import Workload  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]

SEEDS, EPOCHS = (0, 1), 2
TRAIN = (
    f"train vit --prune bdwp,2:8 --epochs {EPOCHS} --samples 64 --batch 32 --seeds 0,1 --resume -o".split()
)
SERVER = Path(__file__).with_name("mortal_training.py")
SEED = 7
# When it dies, as mortal_training.py has it: a number between two. A training takes some fifty operations,
# and what is done is not done again; its largest files are checkpoints of over a megabyte.
MOMENTS = (
    ("bytes", 20_000, 1_000_000),
    ("operations", 1, 10),
    ("operations", 10, 20),
    ("bytes", 20_000, 400_000),
    ("seconds", 0.2, 2.0),
    ("operations", 1, 30),
)

Train = Callable[..., int]


@pytest.fixture(scope="module")
def train() -> Iterator[Train]:
    """Trains into a folder, until the given moment if there is one; the exit status."""
    with subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(folder: Path, **moment: float) -> int:
            print(json.dumps({"arguments": [*TRAIN, str(folder)], **moment}), file=server.stdin, flush=True)
            return int(server.stdout.readline())

        yield run
        server.stdin.close()


@pytest.fixture(scope="module")
def unbroken(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that nobody killed."""
    folder = tmp_path_factory.mktemp("unbroken") / "trained"
    assert train(folder) == 0
    return folder


def epochs(folder: Path) -> list[int]:
    """How far each run's checkpoint is, 0 without one."""
    files = [folder / f"seed-{seed}" / "checkpoint.pt" for seed in SEEDS]
    states = [checkpoint.load(file, {}) for file in files]
    return [0 if state is None else state["epoch"] for state in states]


def visible(folder: Path) -> list[Path]:
    """Files that are there for a reader; a draft begins with a dot."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def check_whole(path: Path) -> None:
    """Read the file to its end; raises if it is half a one."""
    if path.suffix == ".safetensors":
        load_file(path)
    elif path.suffix == ".npz":
        assert Workload.load(path).layers
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".csv":
        assert len(list(csv.DictReader(path.read_text().splitlines()))) == EPOCHS
    elif path.suffix == ".png":
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
    else:
        assert checkpoint.load(path, {}) is not None


def same(one: object, other: object) -> bool:
    """Whether two checkpoints hold the same bits."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        equal_keys = isinstance(other, dict) and one.keys() == other.keys()
        return equal_keys and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    return one == other


def test_killed_again_and_again_it_ends_with_the_same_bits(
    train: Train, unbroken: Path, tmp_path: Path
) -> None:
    folder, generator = tmp_path / "trained", np.random.default_rng(SEED)
    before = [0, 0]
    for number, (kind, low, high) in enumerate(MOMENTS):
        drawn = generator.uniform(low, high)
        status = train(folder, **{kind: float(drawn) if kind == "seconds" else int(drawn)})
        # On a quick machine the last ones may come too late.
        assert status < 0 or (number > 2 and status == 0), f"seed {SEED}, {kind} {drawn}"
        for path in visible(folder):
            check_whole(path)
        now = epochs(folder)
        assert all(a <= b for a, b in zip(before, now, strict=True)), "a finished epoch is lost"
        before = now
    assert train(folder) == 0
    assert not list(folder.rglob(".*")), "drafts of the killed are left"
    names = sorted(path.relative_to(unbroken) for path in visible(unbroken))
    assert sorted(path.relative_to(folder) for path in visible(folder)) == names
    for name in names:
        if name.suffix == ".pt":
            assert same(checkpoint.load(unbroken / name, {}), checkpoint.load(folder / name, {})), name
        else:
            assert (unbroken / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_file_that_is_written_in_place_would_be_noticed(unbroken: Path, tmp_path: Path) -> None:
    for path in visible(unbroken):
        half = tmp_path / path.name
        half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises((ValueError, AssertionError, SafetensorError)):
            check_whole(half)
