"""The errors that a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong input of any kind. The message is one sentence that names what is wrong and says what is expected."""


class ImageError(InputError):
    """A picture that cannot be read or segmented."""
