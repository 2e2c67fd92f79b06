"""Networks known by name of which only the shapes are here: their masks and decisions are drawn.

Nothing needs torch. Every workload is marked synthetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.models.drawing import drawn
from accelsim.models.network_steps import drawn_step
from accelsim.models.shapes import Encoder, Gpt2, Llama, Part, ResNet, Size, Stack, Swin, Vit
from accelsim.prune.passes import generation_notes, prefixed
from accelsim.prune.recipes import Recipe, parse_all
from accelsim.words import unknown
from accelsim.workload import Layer, Workload

DEFAULT_TOKENS = 128

VGG19 = (64, 64, "pool", 128, 128, "pool", *(256,) * 4, "pool", *(512,) * 4, "pool", *(512,) * 4, "pool")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A name, a sentence, and the sizes."""

    sentence: str
    sizes: Encoder | Gpt2 | Llama | Vit | Swin | ResNet | Stack


NETWORKS = {
    "bert-base": Network(
        sentence="BERT-Base encoder, 12 layers, width 768.",
        sizes=Encoder(layers=12, width=768, heads=12, inner=3072),
    ),
    "bert-large": Network(
        sentence="BERT-Large encoder, 24 layers, width 1024.",
        sizes=Encoder(layers=24, width=1024, heads=16, inner=4096),
    ),
    "gpt2-small": Network(
        sentence="GPT-2 Small decoder, 12 layers, width 768.",
        sizes=Gpt2(layers=12, width=768, heads=12, inner=3072),
    ),
    "gpt2-medium": Network(
        sentence="GPT-2 Medium decoder, 24 layers, width 1024.",
        sizes=Gpt2(layers=24, width=1024, heads=16, inner=4096),
    ),
    "llama-2-7b": Network(
        sentence="Llama-2-7B decoder, 32 layers, width 4096, 32 heads.",
        sizes=Llama(
            layers=32, width=4096, heads=32, kv_heads=32, inner=11008, vocabulary=32000, longest=4096
        ),
    ),
    "llama-3-8b": Network(
        sentence="Llama-3-8B decoder, 32 layers, width 4096, 32 query and 8 KV heads.",
        sizes=Llama(
            layers=32, width=4096, heads=32, kv_heads=8, inner=14336, vocabulary=128256, longest=8192
        ),
    ),
    "qwen2.5-7b": Network(
        sentence="Qwen2.5-7B decoder, 28 layers, width 3584, 28 query and 4 KV heads.",
        sizes=Llama(
            layers=28, width=3584, heads=28, kv_heads=4, inner=18944, vocabulary=152064, longest=131072
        ),
    ),
    "qwen2.5-32b": Network(
        sentence="Qwen2.5-32B decoder, 64 layers, width 5120, 40 query and 8 KV heads.",
        sizes=Llama(
            layers=64, width=5120, heads=40, kv_heads=8, inner=27648, vocabulary=152064, longest=131072
        ),
    ),
    "resnet-9": Network(
        sentence="ResNet-9 (64-128-256-512), CIFAR-10.",
        sizes=Stack(plan=(64, 128, "pool", (128,), 256, "pool", 512, "pool", (512,), "pool"), linear=(10,)),
    ),
    "resnet-18": Network(sentence="ResNet-18, ImageNet.", sizes=ResNet(blocks=(2, 2, 2, 2))),
    "resnet-18-tiny": Network(
        sentence="ResNet-18, TinyImageNet, with the 7x7 stem of ImageNet.",
        sizes=ResNet(blocks=(2, 2, 2, 2), classes=200, size=(64, 64)),
    ),
    "resnet-18-tiny-3x3": Network(
        sentence="ResNet-18, TinyImageNet, with a 3x3 stem of stride 1.",
        sizes=ResNet(blocks=(2, 2, 2, 2), stem=3, classes=200, size=(64, 64)),
    ),
    "resnet-50": Network(sentence="ResNet-50, ImageNet.", sizes=ResNet(blocks=(3, 4, 6, 3), is_deep=True)),
    "vgg-19": Network(
        sentence="VGG-19, ImageNet, three linear layers.",
        sizes=Stack(plan=VGG19, linear=(4096, 4096, 1000), pooled=7, size=(224, 224)),
    ),
    "vgg-19-cifar": Network(
        sentence="VGG-19, CIFAR-100, one linear layer.", sizes=Stack(plan=VGG19, linear=(100,))
    ),
    "deit-tiny": Network(
        sentence="DeiT-Tiny, ImageNet.", sizes=Vit(layers=12, width=192, heads=3, inner=768)
    ),
    "deit-small": Network(
        sentence="DeiT-Small, ImageNet.", sizes=Vit(layers=12, width=384, heads=6, inner=1536)
    ),
    "deit-base": Network(
        sentence="DeiT-Base, ImageNet; ViT-Base has the same shapes.",
        sizes=Vit(layers=12, width=768, heads=12, inner=3072),
    ),
    "vit-large": Network(
        sentence="ViT-Large, patches of 16, ImageNet.", sizes=Vit(layers=24, width=1024, heads=16, inner=4096)
    ),
    "vit-cifar": Network(
        sentence="ViT of width 512 and 6 layers, inner width 512, patches of 4, CIFAR-100.",
        sizes=Vit(layers=6, width=512, heads=8, inner=512, patch=4, classes=100, size=(32, 32)),
    ),
    "vit-cifar-2048": Network(
        sentence="ViT of width 512 and 6 layers, inner width 2048, patches of 4, CIFAR-100.",
        sizes=Vit(layers=6, width=512, heads=8, inner=2048, patch=4, classes=100, size=(32, 32)),
    ),
    "swin-tiny": Network(sentence="Swin-T, ImageNet.", sizes=Swin(width=96, heads=3, layers=(2, 2, 6, 2))),
    "swin-small": Network(sentence="Swin-S, ImageNet.", sizes=Swin(width=96, heads=3, layers=(2, 2, 18, 2))),
    "swin-base": Network(sentence="Swin-B, ImageNet.", sizes=Swin(width=128, heads=4, layers=(2, 2, 18, 2))),
}


def networks() -> dict[str, str]:
    """Names of the networks, each with one sentence."""
    return {name: f"{network.sentence} Shapes only." for name, network in NETWORKS.items()}


def workload(
    name: str,
    prune: str | Recipe | Sequence[str | Recipe] | None = None,
    *,
    tokens: int | None = None,
    batch: int = 1,
    input_shape: str | None = None,
    generate: int | None = None,
    seed: int = 0,
    train: bool = False,
) -> Workload:
    """The workload of one forward pass of the network `name`, with masks and decisions drawn from `seed`.

    With `train`: of one training step, under bdwp, srste, sdgp, transposable or no recipe.

    `tokens` (default 128, capped by the network's longest) for language models, `input_shape` such as
    "1x3x64x64" for those that take pictures. With `generate`: so many tokens follow one by one, in passes of
    their own, named as tracing names them. ValueError for what does not fit.
    """
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    for word, count in {"batch": batch, "tokens": 1 if tokens is None else tokens}.items():
        if count < 1:
            raise ValueError(f"{word} must be >= 1, not {count}")
    sizes = NETWORKS[name].sizes
    if generate is not None and not isinstance(sizes, Gpt2 | Llama):
        raise ValueError(f"generation needs a decoder that predicts tokens, not {name}")
    passes: tuple[tuple[Part, ...], ...]
    if isinstance(sizes, Encoder | Gpt2 | Llama):
        if input_shape is not None:
            raise ValueError(f"{name} takes --tokens, not an input of shape {input_shape!r}")
        tokens = min(tokens or DEFAULT_TOKENS, sizes.longest)
        fed = f"{batch}x{tokens} tokens"
        if isinstance(sizes, Encoder) or generate is None:
            passes = (tuple(sizes.parts(batch, tokens)),)
        else:
            passes = _generated(name, sizes, batch, tokens, generate)
    else:
        size, pictures = sizes.size, batch
        if input_shape is not None:
            pictures, size = _pictures(name, input_shape)
            pictures *= batch
        passes, fed = (tuple(sizes.parts(pictures, size)),), f"{pictures}x3x{size[0]}x{size[1]}"
    recipes = parse_all(prune)
    generator = np.random.default_rng(seed)
    made: tuple[tuple[Layer, ...], ...]
    if train:
        step, notes = drawn_step(passes[0], recipes, generator)
        made = (step,)
    else:
        made, notes = drawn(passes, recipes, generator)
    said = ["synthetic weights: the shapes are the network's, all else is drawn", *notes]
    if generate is not None:
        said += generation_notes(generate, recipes)
    layers = made[0] if generate is None else prefixed(made)
    return Workload(model=name, layers=layers, synthetic=True, notes=(f"inputs: {fed}", *said))


def _generated(
    name: str, sizes: Gpt2 | Llama, batch: int, tokens: int, steps: int
) -> tuple[tuple[Part, ...], ...]:
    """A pass over the prompt, and one for each token that follows."""
    if steps < 1:
        raise ValueError(f"tokens to generate must be >= 1, not {steps}")
    if tokens + steps > sizes.longest:
        raise ValueError(
            f"generation must stay within the {sizes.longest} positions of {name}: {tokens} tokens of prompt "
            f"and {steps} generated are {tokens + steps}"
        )
    return (
        tuple(sizes.parts(batch, tokens, one_predicts=True)),
        *(tuple(sizes.parts(batch, 1, past=tokens + step, one_predicts=True)) for step in range(steps)),
    )


def _pictures(name: str, shape: str) -> tuple[int, Size]:
    """Batch and size of `Bx3xHxW`."""
    words = shape.lower().split("x")
    if len(words) != 4 or not all(word.isdecimal() and int(word) for word in words) or words[1] != "3":
        raise ValueError(f"{name} takes pictures, such as 1x3x224x224, not {shape!r}")
    return int(words[0]), (int(words[2]), int(words[3]))
