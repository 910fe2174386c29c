"""
YAML files as plain data, read by the rules of YAML 1.2.

PyYAML follows YAML 1.1, where ``15:00:00`` is 54 000, ``010`` is 8, ``no`` is false and ``1e-4`` is text. Here numbers
are decimal, true and false are the only truth values, and a clock without quotes stays the text that it looks like.
Sizes are bounded, so that a file of nested brackets or of aliases to aliases ends in a message.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 32_000_000  # a travel matrix of 1 500 places
MAX_DEPTH = 40
MAX_NODES = 5_000_000  # aliases counted as often as they are used


class _Loader(yaml.SafeLoader):
    """``yaml.SafeLoader`` with the scalars of YAML 1.2's core schema, and an end to nesting."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {MAX_DEPTH}", self.peek_event().start_mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if len(text) > 400:  # a float can't hold it, and Python refuses some such numbers itself
        raise yaml.constructor.ConstructorError(None, None, "a number of too many digits", node.start_mark)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def _check_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of nodes below ``node``, aliases counted each time; raises where there are too many."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = MAX_NODES + 1  # an alias to what holds it never ends
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    size = 1 + sum(_check_size(child, sizes) for child in children)
    if size > MAX_NODES:
        raise yaml.composer.ComposerError(None, None, "aliases that unfold without end", node.start_mark)
    sizes[id(node)] = size
    return size


def parse(text: str) -> Any:
    """
    Plain data of YAML text.

    Raises
    ------
    yaml.YAMLError
        When it is not YAML, or nested or unfolding beyond any use.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, {})
        return loader.construct_document(node)
    except (ValueError, TypeError) as error:  # an impossible date, an unhashable key
        raise yaml.constructor.ConstructorError(None, None, str(error), None) from None
    finally:
        loader.dispose()


def load(path: str | Path) -> Any:
    """
    Plain data of a YAML file.

    Raises
    ------
    ValueError
        Naming file and line, without repeating what stands there.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size / 1e6:.0f} MB are too many; at most {MAX_BYTES / 1e6:.0f} MB.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path}: is a folder; expected a file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not readable as UTF-8 text. Save the file in UTF-8.") from None
    try:
        return parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{place}: not valid YAML ({_problem(error)}).") from None


def _problem(error: yaml.YAMLError) -> str:
    """The problem without the characters or names of the file that PyYAML quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "...", str(getattr(error, "problem", None) or "unreadable"))
