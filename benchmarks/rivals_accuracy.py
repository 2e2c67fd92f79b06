"""What the approximations of A3 and MnnFast cost a real encoder: MiniLM's head on rated sentences.

    python benchmarks/rivals_accuracy.py [--samples 250] [--date YYYY-MM-DD] [-o ...]

Attention inside the model is computed by `accelsim.golden.approximate` with the parameters of the machines'
presets: A3 searches on Q and K in its fixed point and normalises over what it keeps; MnnFast skips V of small
probabilities and divides by the whole sum. Nothing is trained afterwards. Nothing here is a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from experiment import options, provenance, save
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from accelsim.accelerators import A3, MnnFast, find
from accelsim.accuracy import prepare
from accelsim.golden.approximate import above, greedy_candidates, post_scored
from accelsim.models import load
from accelsim.report import Accuracy

MACHINES = ("a3:conservative", "a3:aggressive", "mnnfast")
NAME = "accelsim_approximate"

Weights = Callable[[Any, Any, Any], Any]
"""Q (rows, d), K (keys, d) and probabilities (rows, keys) to the weights that multiply V."""


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--samples", type=int, default=250, help="sentences that are tested")
    given = parser.parse_args()
    rows = []
    for name, found, used in measured(given.samples):
        spread = found.spread.difference if found.spread else None
        print(
            f"{name:<16} {found.dense:.3f} -> {found.pruned:.3f} ({spread}), head fitted anew "
            f"{found.refitted:.3f}; {used:.1%} of the V are used",
            flush=True,
        )
        rows.append(
            {
                "machine": name,
                "metric": found.metric,
                "samples": found.samples,
                "dense": found.dense,
                "approximate": found.pruned,
                "change_interval": spread,
                "refitted": found.refitted,
                "values_used": used,
            }
        )
    results = {
        "command": f"python benchmarks/rivals_accuracy.py --samples {given.samples}",
        **provenance(given.date, "numpy", "torch", "transformers"),
        "rows": rows,
    }
    save(given.output, results)
    print(f"written: {given.output}")


def measured(samples: int) -> Iterator[tuple[str, Accuracy, float]]:
    """Each machine with the accuracy of its attention, and the share of V that it uses."""
    model = load("minilm")
    task = prepare(model, None, samples=samples).task
    dense = task.outputs(model.module, lambda _: None)
    for name in MACHINES:
        counted = [0, 0]
        with attending(model.module, weights_of(find(name)[2]), counted):
            approximate = task.outputs(model.module, lambda _: None)
        yield name, task.judged(dense, approximate), counted[0] / counted[1]


def weights_of(machine: Any) -> Weights:
    """What the machine multiplies V with."""
    if isinstance(machine, MnnFast):
        return lambda query, key, weights: np.where(above(weights, machine.threshold), weights, 0)
    assert isinstance(machine, A3)

    def searched(query: Any, key: Any, weights: Any) -> Any:
        iterations = machine.search_iterations(len(key))
        candidates = greedy_candidates(narrow(machine, query), narrow(machine, key), iterations)
        kept = np.where(post_scored(weights, candidates, machine.threshold), weights, 0)
        return kept / kept.sum(axis=-1, keepdims=True)

    return searched


def narrow(machine: A3, vectors: Any) -> Any:
    """In the machine's fixed point: rounded to nearest even, saturating."""
    most = 1 << (machine.element_bits - 1)
    return np.clip(np.rint(vectors * (1 << machine.fraction_bits)), -most, most - 1)


@contextmanager
def attending(module: Any, weights: Weights, counted: list[int]) -> Iterator[None]:
    """Inside the `with` the module's attention is approximate; `counted`: V used, and all of them."""

    def attend(
        _module: Any, query: Any, key: Any, value: Any, _mask: Any, scaling: float, **_more: Any
    ) -> tuple[Any, None]:
        # Texts of one length share a batch, so that no mask hides anything.
        exact = torch.softmax(query @ key.transpose(-1, -2) * scaling, dim=-1).numpy()
        used = np.empty_like(exact)
        for place in np.ndindex(exact.shape[:2]):
            used[place] = weights(query[place].numpy(), key[place].numpy(), exact[place])
        counted[0] += int(np.count_nonzero(used))
        counted[1] += used.size
        return (torch.from_numpy(used) @ value).transpose(1, 2).contiguous(), None

    before = module.config._attn_implementation
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    module.set_attn_implementation(NAME)
    try:
        yield
    finally:
        module.set_attn_implementation(before)


if __name__ == "__main__":
    main()
