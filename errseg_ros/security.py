"""The SROS 2 policy of the node: every topic and service that it has, and nothing else (policy format 0.2.0).

    python3 -m errseg_ros.security --cameras front rear > errseg.policy.xml

`config/security/errseg.policy.xml` is what this prints without options.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace

from errseg_model.errors import InputError

NODE = "errseg"

# What rclpy gives every node, and every managed one. Humble has no get_type_description, which does no harm.
_SERVICES = (
    "~/change_state",
    "~/describe_parameters",
    "~/get_available_states",
    "~/get_available_transitions",
    "~/get_parameter_types",
    "~/get_parameters",
    "~/get_state",
    "~/get_transition_graph",
    "~/get_type_description",
    "~/list_parameters",
    "~/set_parameters",
    "~/set_parameters_atomically",
)
_PUBLISHED = (
    "/diagnostics",
    "/parameter_events",
    "/rosout",
    "~/label_info",
    "~/transition_event",
    "~/vocabulary_info",
)
_PUBLISHED_FOR_CAMERA = (
    "class_confidence/*",  # one topic for each class of a vocabulary that changes
    "class_scores",
    "confidence",
    "mask",
    "overlay",
    "overlay/compressed",
)


@dataclass(frozen=True)
class Policy:
    """What the node may do, as expressions of SROS 2: `~/` is the node's name, a relative name the namespace's."""

    namespace: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reply: tuple[str, ...]

    def to_xml(self, enclave: str) -> str:
        """The policy file of an enclave, by its path."""
        root = ElementTree.Element("policy", version="0.2.0")
        enclaves = ElementTree.SubElement(root, "enclaves")
        profiles = ElementTree.SubElement(ElementTree.SubElement(enclaves, "enclave", path=enclave), "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=self.namespace, node=NODE)
        for kind, rule, expressions in (
            ("topic", "subscribe", self.subscribe),
            ("topic", "publish", self.publish),
            ("service", "reply", self.reply),
        ):
            group = ElementTree.SubElement(profile, f"{kind}s", {rule: "ALLOW"})
            for expression in expressions:
                ElementTree.SubElement(group, kind).text = expression
        ElementTree.indent(root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def policy(
    cameras: Sequence[str] = ("camera",),
    *,
    images: Sequence[str] = (),
    image_transport: str = "raw",
    namespace: str = "/",
    use_sim_time: bool = False,
) -> Policy:
    """The policy of a node with these parameters.

    Args:
        cameras: as the parameter.
        images: topic that each camera's C/image is remapped to, as the launch argument `image`; none: not remapped.
        image_transport: as the parameter.
        namespace: of the node.
        use_sim_time: as the parameter; the node then listens to /clock, and whoever may publish it sets its time.

    Raises InputError for a name that ROS does not allow.
    """
    if images and len(images) != len(cameras):
        raise InputError(
            f"expected an image topic for each of the cameras {', '.join(cameras)}, got {', '.join(images)}"
        )
    end = "/compressed" if image_transport == "compressed" else ""
    subscribe = [f"{image}{end}" for image in (images or [f"{camera}/image" for camera in cameras])]
    _check_names(namespace, [*cameras, *subscribe])
    return Policy(
        namespace,
        publish=(
            *_PUBLISHED,
            *(f"~/{camera}/{name}" for camera in cameras for name in _PUBLISHED_FOR_CAMERA),
        ),
        subscribe=(*subscribe, *(["/clock"] if use_sim_time else [])),
        reply=_SERVICES,
    )


def _check_names(namespace: str, names: Sequence[str]) -> None:
    try:
        validate_namespace(namespace)
        for name in names:
            validate_full_topic_name(name if name.startswith("/") else f"/{name}")
    except (InvalidNamespaceException, InvalidTopicNameException) as error:
        raise InputError(" ".join(str(error).split())) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a policy. Returns 0, or 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="errseg_ros.security", description="Print the SROS 2 policy of errseg_node.")
    parser.add_argument("--cameras", nargs="+", default=["camera"], metavar="C", help="the parameter (default: camera)")
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="T", help="image topic of each camera, where C/image is remapped"
    )
    parser.add_argument("--image-transport", choices=("raw", "compressed"), default="raw", help="the parameter")
    parser.add_argument("--namespace", default="/", metavar="NS", help="of the node (default: /)")
    parser.add_argument("--use-sim-time", action="store_true", help="allow /clock to set the node's time")
    parser.add_argument("--enclave", default=f"/{NODE}", metavar="PATH", help=f"(default: /{NODE})")
    options = parser.parse_args(arguments)
    try:
        found = policy(
            options.cameras,
            images=options.images,
            image_transport=options.image_transport,
            namespace=options.namespace,
            use_sim_time=options.use_sim_time,
        )
    except InputError as error:
        print(f"errseg_ros.security: {error}", file=sys.stderr)
        return 2
    print(found.to_xml(options.enclave), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
