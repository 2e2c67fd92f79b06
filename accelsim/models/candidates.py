"""What a model of `transformers` may take: token ids, pictures, clips, sound, or several of them.

Its main input has a name, and its configuration says how large things are. Where that leaves a choice, the
candidates are tried in order, and the first with which the model runs is taken.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

DEFAULT_TOKENS = 128
DEFAULT_SIDE = 32  # pixels along each side of a picture for a module that starts with a convolution
SIDES = (DEFAULT_SIDE, 64, 224)
SAMPLES = 16_000
"""Of sound: one second."""
FRAMES = 128
"""Of a spectrogram whose length the configuration leaves open."""
BANDS = (
    "num_mel_bins",
    "input_feat_per_channel",
    "feature_projection_input_dim",
    "feature_size",
    "input_dim",
)
PLACEHOLDERS = ("image", "video", "audio", "vision", "speech")
"""Words in the names of token ids that stand for something else than text."""

Inputs = dict[str, torch.Tensor]


def main_input(module: nn.Module) -> str:
    """The name of the main input of a model of `transformers`; empty for other modules."""
    name = getattr(module, "main_input_name", None)
    return name if isinstance(name, str) and getattr(module, "config", None) is not None else ""


def candidates(module: nn.Module, seed: int, tokens: int | None) -> Iterator[Inputs]:
    """Inputs of one sample that the model may take, the likeliest first; none if nothing can be told."""
    draw = _Draw(module, seed, tokens)
    main = main_input(module)
    if main == "input_ids" and draw.words:
        pixels = (
            [{"pixel_values": picture} for picture in draw.pictures()] if draw.takes("pixel_values") else []
        )
        yield draw.text()
        yield from (draw.text() | each for each in pixels)
    elif main == "pixel_values":
        yield from ({main: picture} for picture in draw.pictures())
        if draw.words:
            yield from (draw.text() | {main: picture} for picture in draw.pictures())
        yield from ({main: clip} for clip in draw.clips())
    elif main == "pixel_values_videos":
        yield from ({main: clip} for clip in draw.clips())
    elif main == "past_values" and draw.series:
        yield {main: draw.normal(1, *draw.series)}
    elif main in ("input_values", "input_features"):
        yield from ({main: sound} | draw.decoder() for sound in draw.sounds(main))


def shaped(module: nn.Module, shape: Sequence[int], seed: int) -> Inputs | torch.Tensor:
    """Inputs of a given shape: ids where the model takes ids, with what its decoder needs beside them."""
    draw, main = _Draw(module, seed, None), main_input(module)
    if main == "input_ids" and draw.words and len(shape) == 2:
        return draw.text(tuple(shape))
    values = draw.normal(*shape)
    return {main: values} | draw.decoder() if main and draw.is_encoder_decoder and draw.words else values


def maximum_tokens(module: nn.Module) -> int | None:
    """Longest sequence that the model's positions reach; None if nothing limits it."""
    config: Any = getattr(module, "config", None)
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None:
        limit = getattr(_of_text(config), "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    for name, child in module.named_modules():
        # Positions that start behind the padding index (RoBERTa) lose that many rows of the table.
        if name.endswith("position_embeddings") and isinstance(child, nn.Embedding):
            return int(limit) - (0 if child.padding_idx is None else child.padding_idx + 1)
    return int(limit)


class _Draw:
    """Draws for one model. Every kind of input starts from the seed again, so that none depends on others."""

    def __init__(self, module: nn.Module, seed: int, tokens: int | None) -> None:
        self.module, self.seed = module, seed
        self.config: Any = getattr(module, "config", None)
        text, vision = _of_text(self.config), getattr(self.config, "vision_config", None)
        self.words = int(getattr(self.config, "vocab_size", None) or getattr(text, "vocab_size", None) or 0)
        self.vision: Any = vision if vision is not None else self.config
        self.is_encoder_decoder = bool(getattr(self.config, "is_encoder_decoder", False))
        self.tokens = min(tokens or DEFAULT_TOKENS, maximum_tokens(module) or 10**9)

    @property
    def series(self) -> tuple[int, ...]:
        """Steps and channels of a time series; nothing if the configuration leaves them open."""
        steps, channels = (
            getattr(self.config, name, None) for name in ("context_length", "num_input_channels")
        )
        return (steps, channels) if isinstance(steps, int) and isinstance(channels, int) else ()

    def takes(self, name: str) -> bool:
        """Whether the forward pass has an argument of that name."""
        return name in inspect.signature(self.module.forward).parameters

    def normal(self, *shape: int) -> torch.Tensor:
        generator = np.random.default_rng(self.seed)
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))

    def text(self, shape: tuple[int, ...] = ()) -> Inputs:
        generator = np.random.default_rng(self.seed)
        made = {"input_ids": self._ids(generator, shape or (1, self.tokens))}
        if self.is_encoder_decoder:
            made["decoder_input_ids"] = self._ids(generator, (1, self._decoder_tokens()))
        return made

    def decoder(self) -> Inputs:
        """What a decoder needs beside the main input, if there is one."""
        if not self.is_encoder_decoder or not self.takes("decoder_input_ids") or not self.words:
            return {}
        ids = self._ids(np.random.default_rng(self.seed), (1, self._decoder_tokens()))
        return {"decoder_input_ids": ids}

    def pictures(self) -> Iterator[torch.Tensor]:
        for height, width in self._sizes():
            yield self.normal(1, getattr(self.vision, "num_channels", 3) or 3, height, width)

    def clips(self) -> Iterator[torch.Tensor]:
        frames = getattr(self.vision, "num_frames", None) or getattr(self.vision, "frames_per_clip", None)
        if not isinstance(frames, int):
            return
        for height, width in self._sizes():
            yield self.normal(1, frames, getattr(self.vision, "num_channels", 3) or 3, height, width)

    def sounds(self, main: str) -> Iterator[torch.Tensor]:
        """Samples, and spectrograms with the bands last or first."""
        parts = [
            self.config,
            *(getattr(self.config, key, None) for key in getattr(self.config, "sub_configs", ())),
        ]
        found = (getattr(part, name, None) for part in parts for name in BANDS)
        bands = next((number for number in found if isinstance(number, int)), None)
        length = getattr(self.config, "max_length", None) or FRAMES
        if main == "input_values":
            yield self.normal(1, SAMPLES)
            yield self.normal(1, 1, SAMPLES)
        if bands is not None:
            positions = getattr(self.config, "max_source_positions", None)
            if isinstance(positions, int):
                # A stride of two lies between the spectrogram and the positions.
                yield self.normal(1, bands, 2 * positions)
            yield self.normal(1, length, bands)
            yield self.normal(1, bands, length)

    def _decoder_tokens(self) -> int:
        return min(self.tokens, getattr(self.config, "max_target_positions", None) or 10**9)

    def _sizes(self) -> Iterator[tuple[int, int]]:
        size = getattr(self.vision, "image_size", None)
        if isinstance(size, int):
            yield size, size
        elif isinstance(size, list | tuple) and len(size) == 2:
            yield int(size[0]), int(size[1])
        else:
            yield from ((side, side) for side in SIDES)

    def _ids(self, generator: np.random.Generator, shape: tuple[int, ...]) -> torch.Tensor:
        ids = generator.integers(self.words, size=shape)
        # A drawn padding id would silently shift the positions of some models, and placeholders ask for more.
        for special in self._specials():
            ids[ids == special] = (special + 1) % self.words
        return torch.from_numpy(ids)

    def _specials(self) -> list[int]:
        padding = getattr(self.config, "pad_token_id", None)
        found = [padding] if isinstance(padding, int) else []
        for name, value in vars(self.config).items():
            is_token = name.endswith(("token_id", "token_index")) and isinstance(value, int)
            if is_token and any(word in name for word in PLACEHOLDERS):
                found.append(value)
        return sorted(found)


def _of_text(config: Any) -> Any:
    """The part of a configuration that describes the language model."""
    return config.get_text_config() if hasattr(config, "get_text_config") else None
