"""SpAtten's cascade inside the forward pass of a `transformers` model.

Before each layer the tokens with the lowest cumulative importance leave the hidden states, the masks and
everything behind; pruned heads are absent from attention; values and LSBs are decided row by row. The
attention itself is computed by `accelsim.prune.attending` in place of the model's own. What a decoder does
differently is in `accelsim.prune.generating`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.extras import require
from accelsim.golden.attention import select
from accelsim.prune.attending import Decisions, Survivors, attend
from accelsim.prune.channels import Channels
from accelsim.prune.recipes import Spatten
from accelsim.workload import Attention

IMPLEMENTATION = "accelsim_cascade"
"""Name under which the attention is registered with `transformers` while a cascade is active."""

SHARED_HEADS = "spatten prunes no heads that share their keys; leave heads= out of the recipe"


@contextmanager
def cascade(
    module: nn.Module,
    recipe: Spatten,
    *,
    decided: Callable[[Callable[[], tuple[Any, Attention]]], Any] | None = None,
    heads_per_sample: bool = False,
    end: int = 0,
) -> Iterator[None]:
    """Inside the `with`, every forward pass of the encoder or decoder in `module` prunes as `recipe` says.

    Sequences of a batch have equal length and each keeps its own tokens; heads are chosen by their
    importance over the whole batch unless `heads_per_sample`. `end`: tokens at the end of a generation, if
    known. ValueError, in one line with its name, for a model whose attention cannot be reached.
    """
    require("the spatten recipe", "transformers")
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    from accelsim.prune.generating import DecoderCascade

    encoder, layers, causal = _repeated_layers(module)
    kind = DecoderCascade if causal else Cascade
    name = type(encoder).__name__
    if recipe.values_from and not causal:
        raise ValueError(f"values_in must be all for {name}, an encoder, not generation")
    plain = decided or (lambda compute: compute()[0])
    state = kind(encoder, recipe, len(layers), plain, heads_per_sample, end)
    stored = getattr(encoder.config, "num_key_value_heads", None)
    if recipe.prunes_heads and stored not in (None, encoder.config.num_attention_heads):
        raise ValueError(SHARED_HEADS)
    if not encoder._can_set_attn_implementation():
        raise ValueError(f"spatten cannot reach inside the attention of {name}")
    before = encoder.config._attn_implementation
    with ExitStack() as undo:
        AttentionInterface.register(IMPLEMENTATION, state.attend)
        undo.callback(AttentionInterface._global_mapping.pop, IMPLEMENTATION)
        AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)
        undo.callback(AttentionMaskInterface._global_mapping.pop, IMPLEMENTATION)
        encoder.set_attn_implementation(IMPLEMENTATION)
        undo.callback(encoder.set_attn_implementation, before)
        if encoder.config._attn_implementation != IMPLEMENTATION:
            raise ValueError(f"spatten cannot reach inside the attention of {name}")
        for index, layer in enumerate(layers):
            hook = layer.register_forward_pre_hook(state.before_layer(index), with_kwargs=True)
            undo.callback(hook.remove)
        undo.callback(layers[-1].register_forward_hook(state.after_last_layer).remove)
        yield


def _repeated_layers(module: nn.Module) -> tuple[Any, nn.ModuleList, bool]:
    """The `transformers` model in `module`, its repeated layers, and whether tokens see only earlier ones."""
    from transformers import PreTrainedModel

    models = [child for child in module.modules() if isinstance(child, PreTrainedModel)]
    name = type(models[0] if models else module).__name__
    if not models:
        raise ValueError(f"spatten needs an encoder or a decoder of transformers, not {name}")
    config = models[0].config
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"spatten needs an encoder or a decoder alone, and {name} is both")
    causal = any(getattr(child, "is_causal", False) is True for child in module.modules())
    count = getattr(config, "num_hidden_layers", None)
    lists = [
        child
        for child in models[0].modules()
        if isinstance(child, nn.ModuleList) and len(child) == count and len({type(c) for c in child}) == 1
    ]
    if not lists:
        raise ValueError(f"spatten needs a model with one list of its {count} layers, and {name} has none")
    return models[0], lists[0], causal or bool(getattr(config, "is_decoder", False))


class Cascade:
    """What is left of one forward pass, layer by layer."""

    def __init__(
        self,
        encoder: Any,
        recipe: Spatten,
        layers: int,
        decided: Callable[[Callable[[], tuple[Any, Attention]]], Any],
        heads_per_sample: bool,
        end: int,
    ) -> None:
        self._model = type(encoder).__name__
        self._recipe = recipe
        self._layers = layers
        self._counts = recipe.counts(layers)
        self._channels = Channels(recipe.channels)
        self._end = end
        self._decided = decided
        self._heads_per_sample = heads_per_sample
        self._layer = 0
        self._attended = -1
        self._rows = 0
        self._length = 0
        self._left: Survivors | None = None

    def before_layer(self, index: int) -> Callable[..., Any]:
        """The forward pre-hook of layer `index`: drop what the scores so far leave behind."""

        def hook(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._check_attended(index - 1)
            self._layer = index
            hidden = args[0] if args else kwargs["hidden_states"]
            if index == 0:
                self._begin(hidden, (*args[1:], *kwargs.values()))
            left = self._survivors()
            kept = self._keep_tokens(left)
            if kept is not None and self._prunes_rows:
                rows = torch.arange(hidden.shape[0], device=hidden.device)[:, None]
                hidden = hidden[rows, torch.from_numpy(kept).to(hidden.device)]
            self._keep_heads(left)
            rest = self._trimmed((args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states"}))
            if args:
                return (hidden, *rest[0]), rest[1]
            return (), {"hidden_states": hidden, **rest[1]}

        return hook

    def attend(
        self,
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **_kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """Stands in for the model's attention: (batch, heads, tokens, dim) to (batch, tokens, heads, dim)."""
        left, self._attended = self._survivors(), self._layer
        key, value, attention_mask = self._operands(query, key, value, attention_mask)
        if key.shape[1] != query.shape[1] and self._recipe.prunes_heads:
            raise ValueError(SHARED_HEADS)
        left.settle_heads(int(query.shape[1]))
        dim = int(query.shape[-1])
        scale = dim**-0.5 if scaling is None else scaling
        query, key = self._channels.narrowed(self._layer, query, key, chosen=self._passed > 0)

        def compute() -> tuple[torch.Tensor, Attention]:
            seen = self._seen(left)
            keys = seen.tokens.shape[1]
            values = self._counts.value_count(self._layer, self._passed, keys, self._length, self._end)
            output, decisions = attend(query, key, value, attention_mask, scale, self._recipe, seen, values)
            seen.token_rows = seen.token_rows + seen.heads.shape[1] * self._seeing(query, key, attention_mask)
            left.take_from(seen)
            self._remember(left)
            return output, self._described(query, key, value, decisions, dim)

        return self._decided(compute), None

    def after_last_layer(self, layer: nn.Module, args: Any, output: Any) -> Any:
        """What the rest of the model sees: the rows that are left."""
        self._check_attended(self._layer)
        return output

    def _check_attended(self, layer: int) -> None:
        """Some models hold on to an attention of their own, whatever the configuration says."""
        if layer >= 0 and self._attended != layer:
            raise ValueError(f"spatten cannot reach inside the attention of {self._model}")

    @property
    def _passed(self) -> int:
        """Passes before this one since the prompt's."""
        return 0

    def _seeing(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> Any:
        """Rows of a head that can see each key, (batch or 1, keys)."""
        if mask is None:
            return np.full((1, key.shape[2]), query.shape[2])
        return (mask[:, 0] > torch.finfo(mask.dtype).min / 2).sum(dim=1).cpu().numpy()

    @property
    def _causal(self) -> bool:
        """Whether tokens see only earlier ones, and there is more than one to see them."""
        return False

    @property
    def _prunes_rows(self) -> bool:
        """Whether a token that is pruned leaves the hidden states."""
        return True

    def _begin(self, hidden: torch.Tensor, _rest: tuple[Any, ...]) -> None:
        """A forward pass starts: everything is there."""
        self._rows = self._length = int(hidden.shape[1])
        self._left = Survivors.all_of(int(hidden.shape[0]), self._length)

    def _operands(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """K, V and mask of the keys that are left; the mask was cut with the rows."""
        left = self._survivors()
        if query.shape[2] != left.tokens.shape[1] or key.shape[2] != query.shape[2]:
            raise ValueError(
                f"spatten needs attention of {left.tokens.shape[1]} tokens with themselves, "
                f"not {query.shape[2]} x {key.shape[2]}"
            )
        return key, value, mask

    def _seen(self, left: Survivors) -> Survivors:
        """Of those that are left, the tokens that this layer looks at."""
        return left

    def _reach(self) -> int:
        """How many tokens this layer looks at in the unpruned model."""
        return self._length

    def _positions(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the tokens lie among those that this layer can reach."""
        return tokens

    def _remember(self, left: Survivors) -> None:
        """Nothing outlives a pass of an encoder."""

    def _ranks(self, layer: int, left: Survivors) -> tuple[npt.NDArray[np.int64], int]:
        """On what the tokens for `layer` are chosen, and how many stay."""
        return left.token_scores, min(self._token_count(layer), left.tokens.shape[1])

    def _survivors(self) -> Survivors:
        if self._left is None:
            raise ValueError("spatten must see the first layer of the encoder before any other")
        return self._left

    def _token_count(self, layer: int) -> int:
        return self._counts.token_count(layer, self._passed, self._length, self._end)

    def _head_count(self, layer: int, heads: int) -> int:
        return self._counts.head_count(layer, heads)

    def _keep_tokens(self, left: Survivors) -> Any:
        """Positions, among those still here, that stay for this layer; None if all do."""
        ranks, count = self._ranks(self._layer, left)
        if count >= left.tokens.shape[1]:
            return None
        kept = select(ranks, count)
        left.keep(kept)
        return kept

    def _keep_heads(self, left: Survivors) -> None:
        if not left.heads.size:
            return
        count = self._head_count(self._layer, left.all_heads)
        if count >= left.heads.shape[1]:
            return
        scores = left.head_scores
        if not self._heads_per_sample:
            scores = np.broadcast_to(left.shared_head_scores(), scores.shape)
        kept = select(scores, count)
        left.heads = np.take_along_axis(left.heads, kept, axis=1)
        left.head_scores = np.take_along_axis(left.head_scores, kept, axis=1)

    def _trimmed(self, rest: Any) -> Any:
        """Masks and position tables, passed whole to every layer, at the tokens that are left."""
        from torch.utils._pytree import tree_map_only
        from transformers import Cache

        left = self._survivors()
        if left.tokens.shape[1] == self._length or not self._prunes_rows:
            return rest
        return tree_map_only(
            torch.Tensor,
            lambda tensor: _at(tensor, left.tokens, self._length),
            rest,
            is_leaf=lambda node: isinstance(node, Cache),
        )

    def _described(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, decisions: Decisions, dim: int
    ) -> Attention:
        left, recipe, following = self._survivors(), self._recipe, self._layer + 1
        seen, reach = self._seen(left), self._reach()
        batch, tokens = seen.tokens.shape
        heads = left.heads.shape[1]
        last = following == self._layers
        ranks, next_tokens = (left.token_scores, tokens) if last else self._ranks(following, left)
        # Tokens outside a window are ranked too, and their time is left out.
        ranks = ranks[:, -tokens:]
        next_heads = heads if last else self._head_count(following, left.all_heads)
        cascades_tokens, cascades_heads = recipe.prunes_tokens, recipe.prunes_heads
        return Attention(
            name="attention",
            heads=heads,
            kv_heads=heads if key.shape[1] == query.shape[1] else int(key.shape[1]),
            queries=int(query.shape[2]),
            keys=tokens,
            dim=int(query.shape[3]),
            value_dim=int(value.shape[3]),
            batch=batch,
            dtype=str(query.dtype).removeprefix("torch.").replace("float", "fp"),
            causal=self._causal,
            bits=recipe.bits,
            value_bits=recipe.value_bits,
            values=decisions.values,
            refetch=decisions.refetch,
            scores=decisions.scores,
            score_rows=decisions.score_rows,
            tokens=self._positions(seen.tokens).astype(np.int32) if tokens < reach else None,
            token_scores=np.maximum(ranks, 0).astype(np.uint32) if cascades_tokens else None,
            token_keep=next_tokens if cascades_tokens and next_tokens < tokens else 0,
            head_ids=left.heads[0].astype(np.int32) if heads < left.all_heads else None,
            head_scores=left.shared_head_scores().astype(np.uint32) if cascades_heads else None,
            head_keep=next_heads if cascades_heads and next_heads < heads else 0,
            dense_queries=self._rows,
            dense_keys=reach,
            dense_heads=left.all_heads,
            dense_dim=dim,
        )


def _at(tensor: torch.Tensor, positions: Any, length: int) -> torch.Tensor:
    """A per-token tensor at the kept positions (batch, kept); others as they are.

    Tokens lie on the last two axes of four (a mask), and on the second of two or three.
    """
    axes: tuple[int, ...] = (2, 3) if tensor.dim() == 4 else (1,) if tensor.dim() in (2, 3) else ()
    axes = tuple(axis for axis in axes if tensor.shape[axis] == length)
    if not axes:
        return tensor
    index = torch.from_numpy(positions).to(tensor.device)
    batch = index.shape[0]
    tensor = tensor.expand(batch, *tensor.shape[1:])
    for axis in axes:
        shape = [batch] + [1] * (tensor.dim() - 1)
        shape[axis] = index.shape[1]
        sizes = list(tensor.shape)
        sizes[axis] = index.shape[1]
        tensor = tensor.gather(axis, index.view(shape).expand(sizes))
    return tensor
