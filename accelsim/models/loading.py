"""From a name, a file, a folder or a factory to a module in eval mode with inputs.

Nothing but a hub's `owner/name` is ever fetched, no remote code is run, and the user's own code only when it
is named as `file.py:factory`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.extras import require
from accelsim.models import inputs as making
from accelsim.models.checkpoints import PICKLES, Checkpoint, load_folder, load_safetensors
from accelsim.models.factory import from_factory
from accelsim.models.identity import known_name
from accelsim.models.registry import file_of, known, refusal
from accelsim.models.stand_ins import replace_packed
from accelsim.models.trained import load_trained, network_of


@dataclass(frozen=True, kw_only=True)
class Model:
    """A module in eval mode and what to feed it.

    `inputs` is a tensor, a tuple (positional) or a dict (keywords). `folder` holds the tokenizer, if any; it
    may be a GGUF file. `metadata` says what was loaded, in plain words; `notes` are lines for every report.
    `words`: the text's tokens, if `inputs` are a text.
    """

    name: str
    module: nn.Module
    inputs: Any
    folder: Path | None = None
    metadata: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def load(
    spec: str,
    *,
    seed: int = 0,
    tokens: int | None = None,
    input_shape: str | Sequence[int] | None = None,
    text: str | None = None,
    batch: int = 1,
) -> Model:
    """The model that `spec` names: a known name, a folder or file with weights, or `file.py:factory`.

    Folders have the layout of `transformers`; files are safetensors with config.json beside them, or GGUF;
    `owner/name` is looked for on the hub. Inputs are drawn from `seed` unless a `text` file or the factory
    gives them; `tokens` and `input_shape` (such as "1x3x32x32") say how large; `batch` repeats them.
    ValueError, in one line, for anything else.
    """
    if batch < 1:
        raise ValueError(f"batch must be >= 1, not {batch}")
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens must be >= 1, not {tokens}")
    given: Any = None
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    with _drawn_from(seed):
        if ".py:" in spec:
            module, given = from_factory(spec)
            name = spec
        else:
            checkpoint, folder = _stored(spec)
            module, notes = checkpoint.module, checkpoint.notes
            name = spec if spec in known() else known_name(module) or _own_name(spec)
        module.eval()
        kinds = sorted({type(packed).__name__ for _, _, packed in replace_packed(module)})
        if kinds:
            notes = (*notes, f"weights in {', '.join(kinds)} run as plain ones with the same values")
        origin = "given by the factory"
        if text is not None:
            given, origin = making.from_text(module, folder, text, tokens), f"from {Path(text).name}"
            words = making.words_of(folder, given) if folder else ()
        elif given is None or input_shape is not None:
            given = making.drawn(module, seed=seed, tokens=tokens, shape=input_shape)
            origin = f"drawn from seed {seed}"
        elif tokens is not None:
            origin = f"given by the factory, whose size {tokens} tokens do not change"
        given = making.repeated(given, batch)
        _settle_lazy(module, given)
    module.requires_grad_(False)
    fed = f"{making.described(given)}, {origin}"
    return Model(
        name=name,
        module=module,
        inputs=given,
        folder=folder,
        metadata={
            "class": type(module).__name__,
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "inputs": fed,
        },
        notes=(f"inputs: {fed}", *notes),
        words=words,
    )


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Weights that a constructor draws come from `seed`; the caller's own stream is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _stored(spec: str) -> tuple[Checkpoint, Path | None]:
    """Weights from a file, a folder or a hub, and where their tokenizer lies."""
    require(f"model {spec!r}", "transformers")
    if not spec:
        raise ValueError("model must be a name, a folder or a file, not ''")
    if spec.endswith(".py"):
        raise ValueError(f"model must name a function of the file, such as {spec}:factory, not {spec!r}")
    path = file_of(spec) if spec in known() else Path(spec)
    if spec == "efficientnet-lite0":
        return _efficientnet(path), None
    if spec == "vit-s":
        from accelsim.models.dinov2 import load_dinov2

        return Checkpoint(module=load_dinov2(path)), None
    if path.is_dir() and network_of(path) is not None:
        return Checkpoint(module=load_trained(path)), None
    if path.is_dir():
        return load_folder(path), path
    if path.is_file():
        return _from_file(path)
    if path.suffix in (".safetensors", ".gguf"):
        raise ValueError(f"model {spec!r}: there is no such file")
    if re.fullmatch(r"[\w.-]*\w/\w[\w.-]*", spec):
        from accelsim.models.hub import fetched

        folder = fetched(spec)
        return load_folder(folder, f"model {spec!r} of the hub"), folder
    raise ValueError(refusal(spec))


def _from_file(path: Path) -> tuple[Checkpoint, Path]:
    if path.suffix == ".safetensors":
        return load_safetensors(path), path.parent
    if path.suffix == ".gguf":
        from accelsim.models.gguf_model import load_gguf

        return Checkpoint(module=load_gguf(path)), path
    if path.suffix in PICKLES:
        raise ValueError(
            f"a model file must be .safetensors or .gguf, not {str(path)!r}: a pickle may hold code"
        )
    raise ValueError(f"a model file must be .safetensors, .gguf or .npz, not {str(path)!r}")


def _efficientnet(path: Path) -> Checkpoint:
    from accelsim.models.efficientnet import EfficientNetLite0

    module = EfficientNetLite0()
    module.load_state_dict(torch.load(path, weights_only=True))
    return Checkpoint(module=module)


def _own_name(spec: str) -> str:
    """What a folder or file is called; a file named as all are is called after its folder."""
    path = Path(spec)
    if not path.exists():
        return spec
    if path.suffix == ".safetensors" and path.stem.startswith("model"):
        path = path.parent
    return path.resolve().stem if path.is_file() else path.resolve().name


def _settle_lazy(module: nn.Module, given: Any) -> None:
    """Run lazy modules once, so that their weights exist before anything prunes them."""
    lazy = (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)
    if any(isinstance(tensor, lazy) for tensor in [*module.parameters(), *module.buffers()]):
        with torch.no_grad():
            making.ran(module, given)
