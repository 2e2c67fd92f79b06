"""YAML from strangers: plain values of YAML 1.2 alone, no aliases, no key twice, of a bounded size."""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_BYTES = 2**20


def plain_values(content: bytes) -> Any:
    """What a document holds. Raises ValueError, in one line, for anything else than plain values."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES} bytes")
    try:
        return yaml.load(content, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(_where(error)) from None
    except (RecursionError, ValueError) as error:
        raise ValueError(f"must be YAML of plain values: {_short(error)}") from None


class _Loader(yaml.SafeLoader):
    """Plain values of YAML 1.2, in which `on` and `2:4` are words and `1e9` is a number; without aliases.

    A few aliases may stand for more than any memory holds.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  as yaml has it

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", mark)
        # An explicit tag asks for a kind of value, and gets what it asks for whether the text fits or not.
        if getattr(event := self.peek_event(), "tag", None) is not None:  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "tags are not taken", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in seen:
                problem = f"{key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def construct_number(self, node: Any) -> int:
        """A whole number; 1_000 and 0x10 are such."""
        return int(self.construct_scalar(node), 0)


def _resolve(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"^(?:{pattern})$"), list(first))


_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("null", "~|null|Null|NULL", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_resolve("int", r"[-+]?(0|[1-9][0-9_]{0,400})|0x[0-9a-fA-F]{1,400}", "-+0123456789")
_resolve("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789")
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or _short(error)
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
