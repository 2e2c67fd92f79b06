"""What `import accelsim_kernels` promises: no torch, and a kind word where it is needed."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import accelsim_kernels
from accelsim_kernels.compiled import KERNELS

TORCH_NAMES = set(accelsim_kernels.OF_TORCH)


def in_python(code: str, **environment: str) -> str:
    """Output of `code` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_documented() -> None:
    for name in set(accelsim_kernels.__all__) - TORCH_NAMES:
        assert (inspect.getdoc(getattr(accelsim_kernels, name)) or "").strip(), name
    assert set(accelsim_kernels.__all__) >= TORCH_NAMES


def test_the_import_brings_no_torch_and_no_triton() -> None:
    code = "import sys, accelsim_kernels; print({'torch', 'triton', 'transformers'} & set(sys.modules))"
    assert in_python(code) == "set()"


def test_without_torch_the_missing_extra_is_named_in_one_line() -> None:
    code = """
import importlib.util, accelsim_kernels.extras as extras
extras.find_spec = lambda name: None
import accelsim_kernels
try:
    accelsim_kernels.hardware_arithmetic
except ImportError as error:
    print(error)
"""
    assert in_python(code) == "hardware_arithmetic needs torch: pip install 'accelsim[kernels]'"


def test_the_cache_follows_every_file_with_kernels() -> None:
    folder = Path(accelsim_kernels.__file__).parent
    compiled = {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"^@(kernel|parallel|inlined|_operation)", path.read_text(), re.M)
    }
    assert compiled <= set(KERNELS)


PRODUCTS = """
import numpy as np
from accelsim.golden.formats import NM
from accelsim_kernels import attend, matmul, pack
from accelsim_kernels.fixed_products import matmul_fixed, pack_pairs
rng = np.random.default_rng(0)
for n, m in ((2, 8), (3, 20)):
    dense = np.zeros((40, 3, m), np.float32)
    dense[:, :, :n] = rng.integers(-9, 9, (40, 3, n))
    dense = dense[:, :, rng.permutation(m)].reshape(40, -1)
    rows = rng.integers(-9, 9, (13, dense.shape[1])).astype(np.float32)
    for weights, given in ((dense, rows), (dense.astype(np.int8), rows.astype(np.int8))):
        assert np.array_equal(matmul(pack(NM.encode(weights, n, m)), given), rows @ dense.T)
left, right = rng.integers(-2047, 2048, (9, 33)), rng.integers(-2047, 2048, (20, 33))
assert np.array_equal(matmul_fixed(left, pack_pairs(right), 20, 99), left @ right.T)
print("right")
"""


def test_processors_without_wide_vectors_compute_the_same() -> None:
    """Sums of small integers are exact in any order."""
    assert in_python(PRODUCTS, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx2,+fma,+f16c") == "right"
    assert in_python(PRODUCTS, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="") == "right"
