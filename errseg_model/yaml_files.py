"""YAML files that a user names."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from errseg_model.errors import InputError


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of equal keys without a word; a class that is lost so would be missed late."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        mapping = super().construct_mapping(node, deep)
        seen = set()
        for key in own:
            value = self.construct_object(key, deep=True)
            if value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {value!r} is there twice", key.start_mark)
            seen.add(value)
        return mapping


def read_yaml(path: str | Path, what: str = "", error: type[InputError] = InputError) -> Any:
    """The content of a YAML file. Raises `error`, which names the file and, before it, `what` it is."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as reason:  # ValueError: not UTF-8, or no such date
        raise error(f"{what} {path}".lstrip() + f" cannot be read as YAML: {' '.join(str(reason).split())}") from None


def read_names_of_ids(path: str | Path, error: type[InputError] = InputError) -> dict[int, str]:
    """The content of a YAML file `id: name`, in its order. Raises `error`, which names the file.

    Ids are 0..65535; names may be empty, and the same for several ids.
    """
    content = read_yaml(path, error=error)
    if not isinstance(content, dict) or not content:
        raise error(f"{path} must be a YAML mapping of ids to names (7: road)")
    for key, name in content.items():
        if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key <= 65535:
            raise error(f"{path}: expected an id from 0 to 65535, got {key!r}")
        if not isinstance(name, str):
            raise error(f"{path}: the name of id {key} must be a string, got {name!r}; write it in quotes")
    return content
