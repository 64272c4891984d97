"""The node's parameters: declared, checked and changed here only; `declarations.py` lists them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from errseg_model import InputError, Vocabulary
from errseg_model.config import check_input_size, model_config
from errseg_ros.declarations import DECLARATIONS, Declaration
from errseg_ros.diagnostics import Thresholds
from errseg_ros.image_decoding import MAX_PIXELS

LONGEST_SIDE = 32768
"""Of `image_size`, in pixels."""

_SHOWN_CHARACTERS = 60
_CAMERA = re.compile(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", re.ASCII)
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?", re.ASCII)


class ParameterError(InputError):
    """A parameter with a value that it cannot have; the message names both."""


@dataclass(frozen=True)
class Values:
    """The parameters, checked."""

    vocabulary: Vocabulary
    vocabulary_file: str
    model: str
    checkpoint: str
    device: str
    backend: str
    precision: str
    cameras: tuple[str, ...]
    image_transport: str
    input_size: tuple[int, int]
    resize: str
    image_size: tuple[int, int]
    max_classes: int
    min_share: float
    confidence_threshold: float
    mask_encoding: str
    class_confidence_encoding: str
    latency_warn_ms: float
    latency_error_ms: float
    stale_seconds: float
    autostart: bool

    @property
    def thresholds(self) -> Thresholds:
        """Those of the diagnostics."""
        return Thresholds(self.latency_warn_ms, self.latency_error_ms, self.stale_seconds)


class Parameters:
    """Declares the parameters on a node and holds their values.

    `values` is replaced as a whole when a change is accepted. That happens in the on-set callback, the last
    gate before rclpy stores what it was given, and the only one on Humble: what was accepted is in force.
    """

    def __init__(self, node: Node) -> None:
        """Raises ParameterError, or VocabularyError."""
        self._apply: Callable[[Values], None] = lambda values: None
        self._node = node
        self._declarations = {declaration.name: declaration for declaration in DECLARATIONS}
        self.values = self._declare()

    def on_change(self, apply: Callable[[Values], None]) -> None:
        """Have changes applied by `apply`, which raises InputError to reject one, having changed nothing."""
        self._apply = apply
        self._node.add_on_set_parameters_callback(self._on_set)

    def refusal(self, parameters: Sequence[Parameter[Any]]) -> str | None:
        """Why a change that rclpy refuses before it asks us cannot be, in words that help; None: it may ask.

        Its own words name neither the parameter nor, but by a number, the type.
        """
        for parameter in parameters:
            declaration = self._declarations.get(parameter.name)
            if declaration is None:
                if not self._node.has_parameter(parameter.name):
                    return f"there is no parameter {parameter.name[:_SHOWN_CHARACTERS]!r}"
            elif not declaration.at_run_time:
                return f"parameter {parameter.name} is read-only: it is taken when the node starts"
            elif parameter.type_ != declaration.type:
                return str(self._wrong_type(declaration, self._node.get_parameter(parameter.name).value))
        return None

    def _declare(self) -> Values:
        # These two first, as others' defaults hang on them.
        model = self._declare_one("model")
        config = _checked("model", model, model_config)
        file = self._declare_one("vocabulary_file")
        own: dict[str, Any] = {
            "input_size": list(config.input_size),
            "resize": config.resize,
            "max_classes": config.max_classes,
            "min_share": config.min_share,
        }
        stored: dict[str, Any] = {"model": model, "vocabulary_file": file}
        if file:
            vocabulary = Vocabulary.read(file)
            # What the parameter shows is what is in force, whatever it was overridden with.
            self._declare_one("vocabulary", vocabulary.to_strings(), ignore_override=True)
            stored["vocabulary"] = vocabulary.to_strings()
        for name in self._declarations:
            if name not in stored:
                stored[name] = self._declare_one(name, own.get(name))
        return _values(stored)

    def _declare_one(self, name: str, default: Any = None, *, ignore_override: bool = False) -> Any:
        declaration = self._declarations[name]
        default = declaration.default if default is None else default
        try:
            declared = self._node.declare_parameter(
                name, default, declaration.descriptor(), ignore_override=ignore_override
            )
        except InvalidParameterTypeException:
            raise self._wrong_type(declaration, default) from None
        except InvalidParameterValueException as error:
            # "Invalid parameter value ... Reason: what is wrong: name"
            reason = str(error).partition("Reason: ")[2].removesuffix(f": {name}") or str(error)
            raise ParameterError(f"parameter {name}: {reason}") from None
        if declared.value is None:  # `-p name:=[]`
            raise self._wrong_type(declaration, default)
        return declared.value

    @staticmethod
    def _wrong_type(declaration: Declaration, default: Any) -> ParameterError:
        kind = declaration.type.name.lower().replace("_", " ")
        hint = "; an empty list has no type in ROS parameters" if isinstance(default, list) else ""
        return ParameterError(
            f"parameter {declaration.name}: expected a value of type {kind}, such as {_example(default)}{hint}"
        )

    def _on_set(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        """Called by rclpy with all parameters of one atomic change; also when some other one is declared."""
        changes = {p.name: p.value for p in parameters if p.name in self._declarations}
        if not changes:
            return SetParametersResult(successful=True)
        try:
            values = _changed(self.values, changes)
            self._apply(values)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # such as out of memory while names are encoded
            text = " ".join(str(error).split())  # PyTorch's has lines
            reason = f"the change failed, nothing has changed: {type(error).__name__}: {text}"
            self._node.get_logger().error(reason)
            return SetParametersResult(successful=False, reason=reason)
        self.values = values
        return SetParametersResult(successful=True)


def _values(stored: dict[str, Any]) -> Values:
    """The checked values at start. Raises InputError."""
    cameras = tuple(stored["cameras"])
    for declaration in DECLARATIONS:
        got = stored[declaration.name]
        if declaration.choices and got not in declaration.choices:
            choices = ", ".join(declaration.choices)
            raise ParameterError(f"parameter {declaration.name}: expected one of {choices}, got {got!r}")
    device = stored["device"]
    if not _DEVICE.fullmatch(device):
        raise ParameterError(f"parameter device: expected auto, cpu, cuda or cuda:N, got {device!r}")
    for camera in cameras:
        if not _CAMERA.fullmatch(camera):
            raise ParameterError(
                f"parameter cameras: expected names of letters, digits and _, joined by /, got {camera!r}"
            )
        if cameras.count(camera) > 1:
            raise ParameterError(f"parameter cameras: {camera!r} is there twice")
    sizes = {
        name: _checked(name, tuple(stored[name]), check)
        for name, check in (("input_size", check_input_size), ("image_size", _check_image_size))
    }
    changeable = {name: _checked(name, stored[name], check) for name, check in _CHECKS.items()}
    return Values(**{**stored, **changeable, **sizes, "cameras": cameras})


def _changed(values: Values, changes: dict[str, Any]) -> Values:
    """The values after a change of those that may change at run time. Raises InputError."""
    # The limits of the latency are not compared: rclpy sets the parameters of a request one by one, so that a pair that
    # fits would be half refused.
    return replace(values, **{name: _checked(name, value, _CHECKS[name]) for name, value in changes.items()})


def _checked(name: str, value: Any, check: Callable[[Any], Any]) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ParameterError(f"parameter {name}: {error}") from None


def _check_image_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Raises ParameterError for a size that no image that is answered has."""
    if len(size) != 2 or not all(1 <= side <= LONGEST_SIDE for side in size) or size[0] * size[1] > MAX_PIXELS:
        raise ParameterError(
            f"expected [height, width] of 1 to {LONGEST_SIDE} each and at most {MAX_PIXELS} pixels, got {list(size)}"
        )
    return size[0], size[1]


def _check_bounds(bounds: tuple[float, float]) -> Callable[[float], float]:
    first, last = bounds

    def check(number: float) -> float:
        # rclpy lets NaN through, and what is next to a bound.
        if not first <= number <= last:
            raise ParameterError(f"expected a number from {first} to {last}, got {number}")
        return number

    return check


# Of every parameter that may change at run time.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "vocabulary": Vocabulary.parse,
    **{declaration.name: _check_bounds(declaration.bounds) for declaration in DECLARATIONS if declaration.bounds},
}


def _example(value: Any) -> str:
    """A value in YAML, lists cut short."""
    return f"[{', '.join(map(str, value[:2]))}]" if isinstance(value, list) else repr(value)
