"""One or two forward passes under the recorder: the model as it is, and pruned by recipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from accelsim.layers import split
from accelsim.layers.shrinking import shrunk
from accelsim.models.inputs import ran
from accelsim.models.stand_ins import dense_stand_ins
from accelsim.prune.applying import pruned
from accelsim.prune.depth import Shallow
from accelsim.prune.passes import generation_notes, prefixed, rounded_note
from accelsim.prune.recipes import Recipe, Spatten, parse_all
from accelsim.trace.generation import generated_layers
from accelsim.trace.notes import dense_layers_note, factors_note, gone_note, scores_notes, shrunk_note
from accelsim.trace.recorder import Recorder
from accelsim.workload import Attention, Layer, Matmul, Workload


def trace_module(
    module: nn.Module,
    inputs: Any,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
    generate: int | None = None,
    scores: bool = False,
) -> Workload:
    """See `accelsim.trace.trace`."""
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, not {module!r}")
    recipes = parse_all(prune)
    notes = (*notes, *rounded_note(recipes))
    if generate is not None:
        if generate < 1:
            raise ValueError(f"tokens to generate must be >= 1, not {generate}")
        with still(module):
            return _generation(module, inputs, generate, recipes, name=name, notes=notes, scores=scores)
    with still(module):
        if not recipes:
            layers = record(module, inputs, scores=scores)
        else:
            now: list[Recorder] = []
            with pruned(
                module, recipes, decided=lambda compute: now[-1].decided(compute), samples=[inputs]
            ) as applied:
                # Recipes may put layers in the place of others, so the recorder looks at what they left.
                now.append(recorder := Recorder(module, inputs, scores=scores))
                with recorder:
                    ran(module, inputs)
            layers = recorder.layers()
            notes = (*notes, *gone_note(applied.gone))
            if any(isinstance(recipe, Spatten) for recipe in recipes):
                layers = with_unpruned_sizes(layers, record(module, inputs))
    layers = all_shrunk(layers)
    return Workload(
        model=name or type(module).__name__,
        layers=layers,
        notes=(
            *notes,
            *factors_note(layers),
            *scores_notes(layers),
            *shrunk_note(layers),
            *dense_layers_note(layers),
        ),
    )


def _generation(
    module: nn.Module,
    inputs: Any,
    steps: int,
    recipes: Sequence[Recipe],
    *,
    name: str | None,
    notes: Sequence[str],
    scores: bool,
) -> Workload:
    """The passes of a generation, each with the sizes that it has unpruned."""
    passes = list(generated_layers(module, inputs, steps, recipes, scores=scores)[0])
    if any(isinstance(recipe, Spatten) for recipe in recipes):
        # A step has one row in every layer, pruned or not, and its attention says how many keys there were.
        passes[0] = with_unpruned_sizes(passes[0], generated_layers(module, inputs, 0, ())[0][0])
    first = all_shrunk(passes[0])
    return Workload(
        model=name or type(module).__name__,
        layers=(layers := all_shrunk(prefixed(passes))),
        notes=(
            *notes,
            *generation_notes(steps, recipes),
            *gone_note([block.name for each in recipes if isinstance(each, Shallow) for block in each.gone]),
            *scores_notes(layers),
            *shrunk_note(first),
            *dense_layers_note(first),
        ),
    )


def record(
    module: nn.Module, inputs: Any, *, scores: bool = False, every_head: bool = False
) -> tuple[Layer, ...]:
    """Layers of one forward pass; see `Recorder`."""
    recorder = Recorder(module, inputs, scores=scores, every_head=every_head)
    with recorder:
        ran(module, inputs)
    return recorder.layers()


def all_shrunk(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers without outputs and inputs that have no weight; layers that share a mask are done once."""
    known: dict[tuple[int, str], Matmul] = {}
    made: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Matmul) and layer.mask is not None:
            key = id(layer.mask), repr(split(layer.renamed("any"))[0])
            if key not in known:
                known[key] = shrunk(layer)
            layer = known[key].renamed(layer.name)
        made.append(layer)
    return tuple(made)


def with_unpruned_sizes(layers: Sequence[Layer], unpruned: Sequence[Layer]) -> tuple[Layer, ...]:
    """Note in each layer the rows, tokens and heads that its namesake has in the unpruned pass."""
    before = {layer.name: layer for layer in unpruned}
    noted: list[Layer] = []
    for layer in layers:
        other = before.get(layer.name)
        if isinstance(layer, Matmul) and isinstance(other, Matmul):
            layer = replace(layer, **_larger(layer, other, "m", "count"))
        elif isinstance(layer, Attention) and isinstance(other, Attention):
            layer = replace(layer, **_larger(layer, other, "queries", "keys", "heads"))
        noted.append(layer)
    return tuple(noted)


def _larger(layer: Layer, unpruned: Layer, *sizes: str) -> dict[str, Any]:
    """`dense_` fields for the sizes that shrank; 0 says that nothing is missing.

    An expert may get more rows than unpruned: what is routed to it is another question than what is left.
    """
    pairs = ((size, getattr(layer, size), getattr(unpruned, size)) for size in sizes)
    return {f"dense_{size}": before if before > here else 0 for size, here, before in pairs}


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, nothing fused, compiled or packed that hides products; then restored."""
    # A frozen script module does not even know the flag.
    training = [child for child in module.modules() if getattr(child, "training", False)]
    fast = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    # Copies of weights that automatic casting made before have no known origin.
    torch.clear_autocast_cache()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), dense_stand_ins(module):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for child in training:
            child.training = True
