"""Networks as layers of stated shapes, in the order in which they run; no torch, no weights.

Names and shapes are those that tracing finds in the models of `transformers`, and a test holds them to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from accelsim.workload import Attention, Matmul

Size = tuple[int, int]
"""Height and width in pixels or positions."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A layer and what pruning must know of it.

    `block`: the transformer block that it belongs to or follows (-1: it lies before all blocks).
    `has_token_rows`: its rows are tokens, and leave with them. `obstacle`: why its weights must stay.
    """

    layer: Matmul | Attention
    block: int = -1
    has_token_rows: bool = False
    obstacle: str = ""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """BERT (Devlin et al., 2019): width, heads and layers; the pooler looks at the first token alone."""

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int = 30522
    longest: int = 512

    def parts(self, batch: int, tokens: int) -> Iterator[Part]:
        """All products of one forward pass."""
        for block in range(self.layers):
            at = f"encoder.layer.{block}"
            for name in ("query", "key", "value"):
                yield linear(f"{at}.attention.self.{name}", batch * tokens, self.width, self.width, block)
            yield attention(
                f"{at}.attention.self", block, batch, tokens, self.heads, self.width // self.heads
            )
            yield linear(f"{at}.attention.output.dense", batch * tokens, self.width, self.width, block)
            yield linear(f"{at}.intermediate.dense", batch * tokens, self.inner, self.width, block)
            yield linear(f"{at}.output.dense", batch * tokens, self.width, self.inner, block)
        yield Part(layer=Matmul(name="pooler.dense", m=batch, n=self.width, k=self.width), block=self.layers)


@dataclass(frozen=True, kw_only=True)
class Gpt2:
    """GPT-2 (Radford et al., 2019): Q, K and V in one product; the head is the embedding."""

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int = 50257
    longest: int = 1024

    def parts(self, batch: int, tokens: int, *, past: int = 0, one_predicts: bool = False) -> Iterator[Part]:
        """All products of a pass over `tokens` tokens behind `past` others; perhaps the last one predicts."""
        rows, width = batch * tokens, self.width
        for block in range(self.layers):
            at = f"transformer.h.{block}"
            yield linear(f"{at}.attn.c_attn", rows, 3 * width, width, block)
            dim = width // self.heads
            yield attention(f"{at}.attn", block, batch, tokens, self.heads, dim, causal=True, past=past)
            yield linear(f"{at}.attn.c_proj", rows, width, width, block)
            yield linear(f"{at}.mlp.c_fc", rows, self.inner, width, block)
            yield linear(f"{at}.mlp.c_proj", rows, width, self.inner, block)
        shared = "its weight is shared with an embedding"
        yield replace(head(batch, rows, self.vocabulary, width, self.layers, one_predicts), obstacle=shared)


@dataclass(frozen=True, kw_only=True)
class Llama:
    """Llama (Touvron et al., 2023) and its kind: gated inner layers, query heads that share K and V."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    longest: int

    def parts(self, batch: int, tokens: int, *, past: int = 0, one_predicts: bool = False) -> Iterator[Part]:
        """All products of a pass over `tokens` tokens behind `past` others; perhaps the last one predicts."""
        rows, width, dim = batch * tokens, self.width, self.width // self.heads
        for block in range(self.layers):
            at = f"model.layers.{block}"
            yield linear(f"{at}.self_attn.q_proj", rows, self.heads * dim, width, block)
            yield linear(f"{at}.self_attn.k_proj", rows, self.kv_heads * dim, width, block)
            yield linear(f"{at}.self_attn.v_proj", rows, self.kv_heads * dim, width, block)
            place = f"{at}.self_attn"
            heads = self.heads, dim, self.kv_heads
            yield attention(place, block, batch, tokens, *heads, causal=True, past=past)
            yield linear(f"{at}.self_attn.o_proj", rows, width, self.heads * dim, block)
            yield linear(f"{at}.mlp.gate_proj", rows, self.inner, width, block)
            yield linear(f"{at}.mlp.up_proj", rows, self.inner, width, block)
            yield linear(f"{at}.mlp.down_proj", rows, width, self.inner, block)
        yield head(batch, rows, self.vocabulary, width, self.layers, one_predicts)


@dataclass(frozen=True, kw_only=True)
class Vit:
    """A vision transformer (Dosovitskiy et al., 2021; DeiT: Touvron et al., 2021): one class token."""

    layers: int
    width: int
    heads: int
    inner: int
    patch: int = 16
    classes: int = 1000
    size: Size = (224, 224)

    def parts(self, batch: int, size: Size) -> Iterator[Part]:
        """All products of one forward pass on pictures of `size`."""
        if size[0] % self.patch or size[1] % self.patch:
            raise ValueError(
                f"pictures must be whole patches of {self.patch} pixels, not {size[0]}x{size[1]}"
            )
        stem, (high, wide) = convolution("patches", batch, 3, self.width, self.patch, size, stride=self.patch)
        yield stem
        tokens = high * wide + 1
        rows, width = batch * tokens, self.width
        for block in range(self.layers):
            at = f"blocks.{block}"
            for name in ("query", "key", "value"):
                yield linear(f"{at}.attention.{name}", rows, width, width, block)
            yield attention(f"{at}.attention", block, batch, tokens, self.heads, width // self.heads)
            yield linear(f"{at}.attention.output", rows, width, width, block)
            yield linear(f"{at}.mlp.up", rows, self.inner, width, block)
            yield linear(f"{at}.mlp.down", rows, width, self.inner, block)
        yield Part(layer=Matmul(name="classifier", m=batch, n=self.classes, k=width), block=self.layers)


@dataclass(frozen=True, kw_only=True)
class Swin:
    """Swin (Liu et al., 2021): attention inside windows of 7 x 7, four stages that halve the picture."""

    width: int
    heads: int
    layers: tuple[int, int, int, int]
    classes: int = 1000
    size: Size = (224, 224)
    window: int = 7

    def parts(self, batch: int, size: Size) -> Iterator[Part]:
        """All products of one forward pass on pictures of `size`."""
        step = 4 * self.window * 2 ** (len(self.layers) - 1)
        if size[0] % step or size[1] % step:
            raise ValueError(f"pictures must be multiples of {step} pixels here, not {size[0]}x{size[1]}")
        stem, (high, wide) = convolution("patches", batch, 3, self.width, 4, size, stride=4)
        yield stem
        width, heads, tokens = self.width, self.heads, self.window**2
        for stage, blocks in enumerate(self.layers):
            rows = batch * high * wide
            for block in range(blocks):
                at = f"stages.{stage}.{block}"
                for name in ("query", "key", "value"):
                    yield linear(f"{at}.attention.{name}", rows, width, width)
                yield attention(f"{at}.attention", -1, rows // tokens, tokens, heads, width // heads)
                yield linear(f"{at}.attention.output", rows, width, width)
                yield linear(f"{at}.mlp.up", rows, 4 * width, width)
                yield linear(f"{at}.mlp.down", rows, width, 4 * width)
            if stage + 1 < len(self.layers):
                yield linear(f"stages.{stage}.merge", rows // 4, 2 * width, 4 * width)
                high, wide, width, heads = high // 2, wide // 2, 2 * width, 2 * heads
        yield Part(layer=Matmul(name="classifier", m=batch, n=self.classes, k=width))


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """ResNet (He et al., 2016): four stages; `is_deep`: bottlenecks, with the stride in their 3 x 3.

    `stem`: 7, stride 2 and a pooling that halves; or 3, stride 1 and no pooling.
    """

    blocks: tuple[int, int, int, int]
    is_deep: bool = False
    stem: int = 7
    classes: int = 1000
    size: Size = (224, 224)

    def parts(self, batch: int, size: Size) -> Iterator[Part]:
        """All products of one forward pass on pictures of `size`."""
        stem, size = convolution("stem", batch, 3, 64, self.stem, size, stride=2 if self.stem == 7 else 1)
        yield stem
        if self.stem == 7:
            size = _halved(size)
        channels = 64
        for stage, blocks in enumerate(self.blocks):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                at, narrow = f"stages.{stage}.{block}", 64 * 2**stage
                outputs = 4 * narrow if self.is_deep else narrow
                if stride > 1 or channels != outputs:
                    yield convolution(f"{at}.shortcut", batch, channels, outputs, 1, size, stride=stride)[0]
                if self.is_deep:
                    part, size = convolution(f"{at}.reduce", batch, channels, narrow, 1, size)
                    yield part
                    part, size = convolution(f"{at}.filter", batch, narrow, narrow, 3, size, stride=stride)
                    yield part
                    yield convolution(f"{at}.expand", batch, narrow, outputs, 1, size)[0]
                else:
                    part, size = convolution(f"{at}.first", batch, channels, narrow, 3, size, stride=stride)
                    yield part
                    yield convolution(f"{at}.second", batch, narrow, narrow, 3, size)[0]
                channels = outputs
        yield Part(layer=Matmul(name="classifier", m=batch, n=self.classes, k=channels))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """3 x 3 convolutions one after the other, then linear layers.

    `plan`: channels; "pool" halves the picture; a tuple is a residual pair of that many channels. `pooled`:
    positions along each side that the first linear layer sees.
    """

    plan: tuple[int | str | tuple[int], ...]
    linear: tuple[int, ...]
    pooled: int = 1
    size: Size = (32, 32)

    def parts(self, batch: int, size: Size) -> Iterator[Part]:
        """All products of one forward pass on pictures of `size`."""
        channels, index = 3, 0
        for step in self.plan:
            if isinstance(step, str):
                size = size[0] // 2, size[1] // 2
                continue
            for outputs in (step[0], step[0]) if isinstance(step, tuple) else (step,):
                yield convolution(f"features.{index}", batch, channels, outputs, 3, size)[0]
                channels, index = outputs, index + 1
        width = channels * self.pooled**2
        for index, outputs in enumerate(self.linear):
            yield Part(layer=Matmul(name=f"classifier.{index}", m=batch, n=outputs, k=width))
            width = outputs


def linear(name: str, rows: int, outputs: int, inputs: int, block: int = -1) -> Part:
    """A product with a weight, whose rows are tokens."""
    return Part(layer=Matmul(name=name, m=rows, n=outputs, k=inputs), block=block, has_token_rows=True)


def head(batch: int, rows: int, vocabulary: int, width: int, block: int, one_predicts: bool) -> Part:
    """Logits of all rows, or of the last of each sequence."""
    if not one_predicts:
        return linear("lm_head", rows, vocabulary, width, block)
    return Part(layer=Matmul(name="lm_head", m=batch, n=vocabulary, k=width), block=block)


def attention(
    name: str,
    block: int,
    batch: int,
    tokens: int,
    heads: int,
    dim: int,
    kv_heads: int | None = None,
    *,
    causal: bool = False,
    past: int = 0,
) -> Part:
    """Attention of all tokens with themselves, and with `past` tokens before them."""
    layer = Attention(
        name=name,
        heads=heads,
        kv_heads=kv_heads or heads,
        queries=tokens,
        keys=past + tokens,
        dim=dim,
        value_dim=dim,
        batch=batch,
        causal=causal and tokens > 1,
    )
    return Part(layer=layer, block=block, has_token_rows=True)


def convolution(
    name: str, batch: int, channels: int, outputs: int, kernel: int, size: Size, *, stride: int = 1
) -> tuple[Part, Size]:
    """A square convolution, padded by half its kernel unless it steps by the whole, and its output's size."""
    padding = 0 if kernel == stride else kernel // 2
    high, wide = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    if high < 1 or wide < 1:
        raise ValueError(f"pictures must leave something for layer {name!r}, not {size[0]}x{size[1]} of it")
    layer = Matmul(
        name=name,
        m=batch * high * wide,
        n=outputs,
        k=kernel * kernel * channels,
        geometry={
            "kind": "convolution",
            "batch": batch,
            "input_channels": channels,
            "output_channels": outputs,
            "groups": 1,
            "kernel": f"{kernel}x{kernel}",
            "stride": f"{stride}x{stride}",
            "padding": f"{padding}x{padding}",
            "dilation": "1x1",
            "input": f"{size[0]}x{size[1]}",
            "output": f"{high}x{wide}",
            "order": "co,kh,kw,ci",
        },
    )
    return Part(layer=layer), (high, wide)


def _halved(size: Size) -> Size:
    """A 3 x 3 pooling of stride 2, padded by one."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1
