"""Starts errseg_node.

    ros2 launch errseg_ros errseg.launch.py image:=/front/image_raw vocabulary_file:=classes.yaml

An argument that is given wins over the parameter file; one that is left empty does not touch it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import List  # noqa: UP035 (launch_ros compares with typing's own)

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, TextSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

# Arguments that are parameters of the node, of one string each.
STRING_PARAMETERS = {
    "model": "errseg-lite, errseg-b or errseg-l",
    "checkpoint": "file of weights, published or safetensors",
    "vocabulary_file": "YAML or JSON list of class names",
    "device": "auto, cpu, cuda or cuda:N",
    "backend": "pytorch, compiled, onnxruntime, tensorrt or openvino",
    "precision": "float32, bfloat16 or float16",
    "image_transport": "raw or compressed",
}
BOOLEAN_PARAMETERS = ("autostart", "use_sim_time")
# Before Kilted, Fast DDS reads its profile from a variable of another name.
OLD_FAST_DDS = ("humble", "iron", "jazzy")


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    parameter_file = Path(get_package_share_directory("errseg_ros")) / "config" / "errseg.param.yaml"
    arguments = {
        **STRING_PARAMETERS,
        "cameras": "names of the cameras, separated by commas",
        "image": "image topic of each camera, separated by commas; C/image by default",
        "autostart": "true or false: configure and activate at start, or wait for a lifecycle manager",
        "use_sim_time": "true or false: take the time from /clock",
        "namespace": "namespace of the node",
        "log_level": "debug, info, warn, error or fatal",
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "params_file", default_value=str(parameter_file), description="parameter file of the node"
            ),
            *(
                DeclareLaunchArgument(name, default_value="", description=description)
                for name, description in arguments.items()
            ),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context).strip()

    cameras, namespace = _list(argument("cameras")), argument("namespace")
    log_level = argument("log_level")
    return [
        *_fast_dds_profile(),
        Node(
            package="errseg_ros",
            executable="errseg_node",
            name="errseg",
            namespace=namespace or None,
            parameters=[
                argument("params_file"),
                *_overrides(
                    {name: argument(name) for name in STRING_PARAMETERS},
                    cameras,
                    {name: argument(name) for name in BOOLEAN_PARAMETERS},
                ),
            ],
            remappings=_remappings(
                cameras or _cameras_of(argument("params_file"), _full_name(context, namespace)),
                _list(argument("image")),
            ),
            ros_arguments=["--log-level", log_level] if log_level else [],
            output="screen",
            emulate_tty=True,
        ),
    ]


def _overrides(
    strings: dict[str, str], cameras: list[str], booleans: dict[str, str]
) -> list[dict[str, ParameterValue]]:
    """The parameters that were given, with their types: a camera called `on` is no boolean."""
    given = {name: ParameterValue(text, value_type=str) for name, text in strings.items() if text}
    if cameras:
        names = TextSubstitution(text=json.dumps(cameras))
        given["cameras"] = ParameterValue(names, value_type=List[str])  # noqa: UP006
    given |= {
        name: ParameterValue(TextSubstitution(text=text), value_type=bool) for name, text in booleans.items() if text
    }
    return [given] if given else []


def _full_name(context: LaunchContext, namespace: str) -> str:
    """Of the node, in the namespace that a file which includes this one may have pushed."""
    pushed = "" if namespace.startswith("/") else context.launch_configurations.get("ros_namespace", "")
    return "/".join(["", *(part for part in f"{pushed}/{namespace}".split("/") if part), "errseg"])


def _cameras_of(params_file: str, node: str) -> list[str]:
    """The cameras that a parameter file names for the node, or else the default: what is wrong the node will say."""
    try:
        content = yaml.safe_load(Path(params_file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        content = None
    named = [
        parameters["cameras"]
        for name, parameters in _parameters(content, "")
        if re.fullmatch(re.escape(name).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+"), node)  # as rcl does
        and isinstance(parameters.get("cameras"), list)
    ]
    return [str(camera) for camera in named[-1]] if named else ["camera"]  # the last one counts


def _parameters(content: object, name: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and parameters of every node in (a part of) a parameter file; namespaces may be nested."""
    for key, value in content.items() if isinstance(content, dict) else ():
        if key != "ros__parameters":
            yield from _parameters(value, f"{name}/{str(key).strip('/')}")
        elif isinstance(value, dict):
            yield name, value


def _remappings(cameras: list[str], images: list[str]) -> list[tuple[str, str]]:
    """Both transports of each camera, as the parameter file may choose either."""
    if images and len(images) != len(cameras):
        raise RuntimeError(
            f"argument image: expected one topic for each of the cameras {', '.join(cameras)}, got "
            f"{', '.join(images)}; cameras:= names them"
        )
    return [
        (f"{camera}/image{transport}", f"{image}{transport}")
        for camera, image in zip(cameras, images)  # noqa: B905 (no images: no remappings)
        for transport in ("", "/compressed")
    ]


def _fast_dds_profile() -> list[SetEnvironmentVariable]:
    """A large shared-memory segment for images (README, 'Fast DDS'), unless the environment names a profile."""
    names = ["FASTDDS_DEFAULT_PROFILES_FILE"]
    if os.environ.get("ROS_DISTRO") in OLD_FAST_DDS:
        names.append("FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return []
    profile = Path(get_package_share_directory("errseg_ros")) / "config" / "fastdds.xml"
    return [SetEnvironmentVariable(name, str(profile)) for name in names]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
