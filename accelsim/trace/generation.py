"""Generation: one pass over the prompt, then one token after the other with the KV cache, greedily.

The passes are the model's own forward calls; each is recorded for itself, so that a layer's name says in
which pass it ran: `prompt/model.layers.0.self_attn`, `step 3/model.layers.0.self_attn`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from accelsim.extras import require
from accelsim.golden.formats import Bitmap
from accelsim.models.candidates import maximum_tokens
from accelsim.models.inputs import ran
from accelsim.prune.applying import pruned
from accelsim.prune.recipes import Recipe, Spatten
from accelsim.trace.recorder import Recorder
from accelsim.workload import Layer


def generated_layers(
    module: nn.Module, inputs: Any, steps: int, recipes: Sequence[Recipe], *, scores: bool = False
) -> tuple[tuple[tuple[Layer, ...], ...], torch.Tensor]:
    """Layers of the prompt's pass and of each step, and the ids that were generated: (batch, steps + 1).

    The prompt's pass predicts the first token, and each step feeds the newest one: `steps` tokens run through
    the model, and one more is known. Names are not prefixed. ValueError, in one line, for a model that does
    not generate, and for more tokens than its positions reach.
    """
    require("generation", "transformers")
    given = _prompt(module, inputs, steps)
    masks: dict[Any, Bitmap | None] = {}
    passes: list[tuple[Layer, ...]] = []
    chosen: list[torch.Tensor] = []
    now: list[Recorder] = []
    cascades = any(isinstance(recipe, Spatten) and not recipe.decides_nothing for recipe in recipes)
    end = int(given["input_ids"].shape[1]) + steps
    applied = pruned(
        module, recipes, decided=lambda compute: now[-1].decided(compute), end=end, samples=[inputs]
    )
    with applied if recipes else nullcontext():
        for call in _calls(module, given, steps, chosen, sliding=not cascades):
            now.append(Recorder(module, call, masks, scores=scores))
            with now[-1]:
                output = ran(module, call)
            passes.append(now.pop().layers())
            chosen.append(_logits(module, output)[:, -1].argmax(-1, keepdim=True))
    return tuple(passes), torch.cat(chosen, dim=1)


def _prompt(module: nn.Module, inputs: Any, steps: int) -> dict[str, Any]:
    """The inputs by name; refuses what does not generate."""
    name = type(module).__name__
    generates = getattr(module, "can_generate", None)
    config: Any = getattr(module, "config", None)
    if generates is None or not generates() or getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"generation needs a decoder of transformers that predicts tokens, not {name}")
    if "past_key_values" not in inspect.signature(module.forward).parameters:
        raise ValueError(f"generation needs a decoder with a KV cache, and {name} keeps another state")
    given = dict(inputs) if isinstance(inputs, dict) else {"input_ids": inputs}
    ids = given.get("input_ids")
    if not isinstance(ids, torch.Tensor) or ids.dim() != 2:
        raise ValueError(f"generation needs input_ids of (batch, tokens), and {name} is not given any")
    limit = maximum_tokens(module)
    if limit is not None and ids.shape[1] + steps > limit:
        raise ValueError(
            f"generation must stay below the {limit} positions of {name}: {ids.shape[1]} tokens of prompt "
            f"and {steps} generated are {ids.shape[1] + steps}"
        )
    return given


def _calls(
    module: nn.Module, given: dict[str, Any], steps: int, chosen: Sequence[torch.Tensor], *, sliding: bool
) -> Iterator[dict[str, Any]]:
    """Arguments of one forward pass after the other; `chosen` grows between them.

    The cache is the model's own kind, which may hold only a window, or (not `sliding`) one of all tokens.
    """
    from transformers import DynamicCache

    # The cache is one object all along; only the last row of a prompt predicts.
    config: Any = module.config
    cache = DynamicCache(config=config) if sliding else DynamicCache()
    common: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
    takes = inspect.signature(module.forward).parameters
    if "logits_to_keep" in takes:
        common["logits_to_keep"] = 1
    shown: Any = given.get("attention_mask")
    # Padded on the left, sequences begin at different places, and positions count from there.
    counts = shown is not None and shown.dim() == 2 and not shown.all() and "position_ids" in takes
    if counts and "position_ids" not in given:
        common["position_ids"] = positions(shown)
    yield {**given, **common}
    for _ in range(steps):
        call = {"input_ids": chosen[-1], **common}
        if shown is not None:
            shown = torch.cat([shown, shown.new_ones(len(shown), 1)], dim=1)
            call["attention_mask"] = shown
        if counts:
            call["position_ids"] = positions(shown)[:, -1:]
        yield call


def positions(shown: torch.Tensor) -> torch.Tensor:
    """Positions of (batch, tokens) counted from each sequence's first that is shown, as `generate` does."""
    return (shown.long().cumsum(-1) - 1).clamp(min=0)


def _logits(module: nn.Module, output: Any) -> torch.Tensor:
    logits = getattr(output, "logits", None)
    if not isinstance(logits, torch.Tensor) or logits.dim() != 3:
        raise ValueError(f"generation needs a model that gives logits, not {type(module).__name__}")
    return logits
