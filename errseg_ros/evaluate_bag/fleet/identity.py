"""What must be the same on all machines for the numbers to be: the program and the weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from errseg_model.files import sha256
from errseg_ros.evaluate_bag.settings import Settings

_PACKAGES = ("errseg_model", "errseg_ros")
_KINDS = (".py", ".json", ".safetensors")


@dataclass(frozen=True)
class Identity:
    """Of the program and the weights on one machine."""

    version: str
    program: str
    """SHA-256 over the code of the packages and the models that come with them."""
    checkpoints: tuple[tuple[Path, str], ...]
    """Each file that the settings name, and its SHA-256."""

    def difference(self, here: Identity) -> str | None:
        """What another machine (this object) has otherwise than the one of the command; None for nothing."""
        if self.version != here.version:
            return f"has errseg {self.version}, and the machine of this command {here.version}"
        if self.program != here.program:
            return f"has errseg {self.version} with other code or weights than the machine of this command"
        for path, digest in self.checkpoints:
            if (path, digest) not in here.checkpoints:
                return f"has another file as checkpoint {path} than the machine of this command"
        return None


def identity(settings: Settings) -> Identity:
    """Of this machine. Raises InputError for a checkpoint that cannot be read."""
    choices = [settings.model, *([settings.comparison.model] if settings.comparison else [])]
    files = sorted({choice.checkpoint for choice in choices if choice.checkpoint is not None})
    return Identity(metadata.version("errseg_ros"), _program(), tuple((path, sha256(path)) for path in files))


def _program() -> str:
    roots = [Path(str(resources.files(package))) for package in _PACKAGES]
    return sha256(*(path for root in roots for path in sorted(root.rglob("*")) if path.suffix in _KINDS))
