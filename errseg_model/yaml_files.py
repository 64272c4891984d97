"""YAML files that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from errseg_model.errors import InputError


def read_yaml(path: str | Path, what: str = "", error: type[InputError] = InputError) -> Any:
    """The content of a YAML file. Raises `error`, which names the file and, before it, `what` it is."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise error(f"{what} {path}".lstrip() + f" cannot be read as YAML: {' '.join(str(reason).split())}") from None
