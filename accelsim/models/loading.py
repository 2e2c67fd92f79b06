"""From a name, a folder or a factory to a module in eval mode with inputs. Nothing is fetched.

Weights are read as tensors only (safetensors, or `weights_only=True`), remote code is never run, and the
user's own code only when it is named as `file.py:factory`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.extras import require
from accelsim.models import inputs as making
from accelsim.models.registry import folder_of, known, refusal


@dataclass(frozen=True, kw_only=True)
class Model:
    """A module in eval mode and what to feed it.

    `inputs` is a tensor, a tuple (positional) or a dict (keywords). `folder` holds the tokenizer, if any.
    `metadata` says what was loaded, in plain words, for reports.
    """

    name: str
    module: nn.Module
    inputs: Any
    folder: Path | None = None
    metadata: Mapping[str, str | int] = field(default_factory=dict)


def load(
    spec: str,
    *,
    seed: int = 0,
    tokens: int | None = None,
    input_shape: str | Sequence[int] | None = None,
    text: str | None = None,
    batch: int = 1,
) -> Model:
    """The model that `spec` names: a known name, a `transformers` folder, or `file.py:factory`.

    Inputs are drawn from `seed` unless a `text` file or the factory gives them; `tokens` and `input_shape`
    (such as "1x3x32x32") say how large; `batch` repeats them. ValueError, in one line, for anything else.
    """
    if batch < 1:
        raise ValueError(f"batch must be >= 1, not {batch}")
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens must be >= 1, not {tokens}")
    given: Any = None
    folder: Path | None = None
    with _drawn_from(seed):
        if ".py:" in spec:
            module, given = _from_factory(spec)
        else:
            folder = _folder(spec)
            module = _from_folder(folder, spec)
        module.eval()
        origin = "given by the factory"
        if text is not None:
            given, origin = making.from_text(module, folder, text, tokens), f"from {Path(text).name}"
        elif given is None or input_shape is not None:
            given = making.drawn(module, seed=seed, tokens=tokens, shape=input_shape)
            origin = f"drawn from seed {seed}"
        given = making.repeated(given, batch)
        _settle_lazy(module, given)
    module.requires_grad_(False)
    return Model(
        name=spec if spec in known() or ".py:" in spec else Path(spec).resolve().name,
        module=module,
        inputs=given,
        folder=folder,
        metadata={
            "class": type(module).__name__,
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "inputs": f"{making.described(given)}, {origin}",
        },
    )


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Weights that a constructor draws come from `seed`; the caller's own stream is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _folder(spec: str) -> Path:
    if spec in known():
        return folder_of(spec)
    path = Path(spec)
    if path.name == "model.safetensors" and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise ValueError(refusal(spec))
    if not (path / "config.json").is_file():
        raise ValueError(f"a model folder must hold config.json, and {spec!r} does not")
    return path


def _from_folder(folder: Path, spec: str) -> nn.Module:
    require(f"model {spec!r}", "transformers")
    import transformers
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging

    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        names = getattr(config, "architectures", None) or [""]
        architecture = getattr(transformers, names[0], None) or transformers.AutoModel
        bar = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            module = architecture.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                # Eager attention shows its scores, which pruning and tracing look at.
                attn_implementation="eager",
            )
        finally:
            if bar:
                logging.enable_progress_bar()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(f"model folder {spec!r} does not load: {_first_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"model folder {spec!r} must give a torch module, not {type(module).__name__}")
    return module


def _from_factory(spec: str) -> tuple[nn.Module, Any]:
    """Run the user's own factory: no arguments; gives a Module, or (Module, inputs)."""
    file, _, name = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"model {spec!r}: there is no file {file!r}")
    found = spec_from_file_location(f"accelsim_user_{path.stem}", path)
    if found is None or found.loader is None:
        raise ValueError(f"model {spec!r}: {file!r} is not a Python file")
    source = module_from_spec(found)
    sys.path.insert(0, str(path.resolve().parent))
    # Dataclasses and lazy annotations look their module up by name.
    sys.modules[found.name] = source
    try:
        found.loader.exec_module(source)
        factory = getattr(source, name, None)
        if not callable(factory):
            raise ValueError(_no_factory(spec, name, source))
        made = factory()
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"model {spec!r} raised {type(error).__name__}: {_first_line(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    module, given = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"model {spec!r} must return a Module or (Module, inputs), not {type(made).__name__}"
        )
    if given is not None and not isinstance(given, (torch.Tensor, tuple, dict)):
        raise ValueError(
            f"model {spec!r}: inputs must be a tensor, a tuple or a dict, not {type(given).__name__}"
        )
    return module, given


def _no_factory(spec: str, name: str, source: object) -> str:
    names = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"model {spec!r}: the file has no function {name!r}{hint}"


def _settle_lazy(module: nn.Module, given: Any) -> None:
    """Run lazy modules once, so that their weights exist before anything prunes them."""
    lazy = (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)
    if any(isinstance(tensor, lazy) for tensor in [*module.parameters(), *module.buffers()]):
        with torch.no_grad():
            making.ran(module, given)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
