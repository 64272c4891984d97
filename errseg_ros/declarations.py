"""The node's parameters as they are declared (public interface, table of parameters)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.parameter import Parameter

from errseg_model.backends.names import BACKENDS, PRECISIONS
from errseg_model.config import RESIZES, list_models
from errseg_ros.class_ids import CAPACITIES
from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY

MAX_CLASSES_LIMIT = 65535
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Declaration:
    """One parameter as it is declared."""

    name: str
    type: Parameter.Type
    default: Any
    """None: the model's own."""
    description: str
    at_run_time: bool = False
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None

    def descriptor(self) -> ParameterDescriptor:
        """As rclpy wants it; refuses changes at run time, and numbers out of bounds, before we are asked."""
        descriptor = ParameterDescriptor(
            description=self.description,
            read_only=not self.at_run_time,
            additional_constraints=f"one of {', '.join(self.choices)}" if self.choices else "",
        )
        if self.bounds is not None and self.type == Parameter.Type.INTEGER:
            first, last = (int(bound) for bound in self.bounds)
            descriptor.integer_range = [IntegerRange(from_value=first, to_value=last)]
        elif self.bounds is not None:
            low, high = self.bounds
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        return descriptor


DECLARATIONS = (
    Declaration(
        "vocabulary",
        Parameter.Type.STRING_ARRAY,
        list(DEFAULT_VOCABULARY),
        "Classes, 1 to 1000: a name each, or a name and synonyms separated by commas",
        at_run_time=True,
    ),
    Declaration(
        "vocabulary_file",
        Parameter.Type.STRING,
        "",
        "YAML or JSON list of such entries, taken at start in place of vocabulary",
    ),
    Declaration("model", Parameter.Type.STRING, "errseg-lite", "Model", choices=list_models()),
    Declaration(
        "checkpoint",
        Parameter.Type.STRING,
        "",
        "File of weights (published or safetensors); '' is the model's own",
    ),
    Declaration("device", Parameter.Type.STRING, "auto", "auto (CUDA where there is one), cpu, cuda or cuda:N"),
    Declaration(
        "backend",
        Parameter.Type.STRING,
        "pytorch",
        "What computes the network; the last three need packages, see the node's README",
        choices=BACKENDS,
    ),
    Declaration(
        "precision",
        Parameter.Type.STRING,
        "float32",
        "Of the network's numbers, where device and backend have it",
        choices=PRECISIONS,
    ),
    Declaration(
        "cameras",
        Parameter.Type.STRING_ARRAY,
        ["camera"],
        "Names C of the cameras: C/image is subscribed to, ~/C/mask and others are published",
    ),
    Declaration(
        "image_transport",
        Parameter.Type.STRING,
        "raw",
        "raw subscribes to C/image, compressed to C/image/compressed",
        choices=("raw", "compressed"),
    ),
    Declaration(
        "input_size",
        Parameter.Type.INTEGER_ARRAY,
        None,
        "Size [height, width] that images are resized to, multiples of 32; the model's own by default",
    ),
    Declaration(
        "resize",
        Parameter.Type.STRING,
        None,
        "letterbox keeps the aspect ratio of images, stretch does not; the model's own by default",
        choices=RESIZES,
    ),
    Declaration(
        "image_size",
        Parameter.Type.INTEGER_ARRAY,
        [720, 1280],
        "Size [height, width] of the cameras' images that the node gets ready for at start; the first image of "
        "another size may take longer",
    ),
    Declaration(
        "max_classes",
        Parameter.Type.INTEGER,
        None,
        "K of the channel reduction: classes looked at closely in an image; the model's own by default",
        at_run_time=True,
        bounds=(1, MAX_CLASSES_LIMIT),
    ),
    Declaration(
        "min_share",
        Parameter.Type.DOUBLE,
        None,
        "Share of an image's votes below which a class is not among the K; 0.0 keeps K; the model's own by default",
        at_run_time=True,
        bounds=(0.0, 1.0),
    ),
    Declaration(
        "confidence_threshold",
        Parameter.Type.DOUBLE,
        0.0,
        "Score below which a pixel is unlabelled",
        at_run_time=True,
        bounds=(0.0, 1.0),
    ),
    Declaration(
        "mask_encoding",
        Parameter.Type.STRING,
        "mono8",
        "mono8 has 255 class ids for as long as the node runs, mono16 has 65535",
        choices=tuple(CAPACITIES),
    ),
    Declaration(
        "class_confidence_encoding",
        Parameter.Type.STRING,
        "32FC1",
        "32FC1 holds scores 0..1, mono8 holds 0..255 for them",
        choices=("32FC1", "mono8"),
    ),
    Declaration(
        "latency_warn_ms",
        Parameter.Type.DOUBLE,
        500.0,
        "Mean time in ms from an image's stamp to its mask above which diagnostics warn",
        at_run_time=True,
        bounds=(0.0, 1000 * LONGEST_SECONDS),
    ),
    Declaration(
        "latency_error_ms",
        Parameter.Type.DOUBLE,
        2000.0,
        "The same for an error; below latency_warn_ms there are no warnings",
        at_run_time=True,
        bounds=(0.0, 1000 * LONGEST_SECONDS),
    ),
    Declaration(
        "stale_seconds",
        Parameter.Type.DOUBLE,
        3.0,
        "Time in seconds without an image, or without an answer to one, after which diagnostics warn",
        at_run_time=True,
        bounds=(0.0, LONGEST_SECONDS),
    ),
    Declaration(
        "autostart",
        Parameter.Type.BOOL,
        True,
        "Configure and activate at start; false waits for a lifecycle manager",
    ),
)
