"""launch/errseg.launch.py against stand-ins for launch and launch_ros, which come with a ROS 2 distribution only."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, List  # noqa: UP035 (what launch_ros takes)

import pytest

from errseg_ros.declarations import DECLARATIONS

REPOSITORY = Path(__file__).parents[2]
LAUNCH_FILE = REPOSITORY / "launch" / "errseg.launch.py"


class LaunchContext(dict[str, str]):
    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: str = field(kw_only=True)
    description: str = field(kw_only=True)


@dataclass
class OpaqueFunction:
    function: Any = field(kw_only=True)


@dataclass
class SetEnvironmentVariable:
    name: str
    value: str


@dataclass
class LaunchDescription:
    entities: list[Any]


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: dict[str, str]) -> str:
        return context[self.name]


@dataclass
class TextSubstitution:
    text: str = field(kw_only=True)


@dataclass
class ParameterValue:
    value: Any
    value_type: Any = field(kw_only=True)


@dataclass
class Node:
    package: str = field(kw_only=True)
    executable: str = field(kw_only=True)
    name: str = field(kw_only=True)
    namespace: str | None = field(kw_only=True)
    parameters: list[Any] = field(kw_only=True)
    remappings: list[tuple[str, str]] = field(kw_only=True)
    ros_arguments: list[str] = field(kw_only=True)
    output: str = field(kw_only=True)
    emulate_tty: bool = field(kw_only=True)


MODULES = {
    "launch": {
        "LaunchContext": LaunchContext,
        "LaunchDescription": LaunchDescription,
        "LaunchDescriptionEntity": object,
    },
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument,
        "OpaqueFunction": OpaqueFunction,
        "SetEnvironmentVariable": SetEnvironmentVariable,
    },
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration, "TextSubstitution": TextSubstitution},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
    "ament_index_python": {},
    "ament_index_python.packages": {"get_package_share_directory": lambda package: f"/share/{package}"},
}


@dataclass
class Launch:
    """The launch file as `ros2 launch` would run it."""

    description: LaunchDescription

    @property
    def arguments(self) -> dict[str, DeclareLaunchArgument]:
        return {each.name: each for each in self.description.entities if isinstance(each, DeclareLaunchArgument)}

    def run(self, **given: str) -> tuple[Node, dict[str, str]]:
        """The node and the environment variables that are set."""
        assert given.keys() <= {*self.arguments, "ros_namespace"}
        context = LaunchContext({name: argument.default_value for name, argument in self.arguments.items()} | given)
        (opaque,) = (each for each in self.description.entities if isinstance(each, OpaqueFunction))
        *variables, node = opaque.function(context)
        return node, {variable.name: variable.value for variable in variables}


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Launch:
    for name, content in MODULES.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)
    namespace: dict[str, Any] = {"__name__": "errseg_launch"}
    exec(compile(LAUNCH_FILE.read_text(), str(LAUNCH_FILE), "exec"), namespace)
    return Launch(namespace["generate_launch_description"]())


def test_arguments_are_parameters_of_the_node_or_about_the_launch(launch: Launch) -> None:
    about_the_launch = {"params_file", "namespace", "log_level", "image", "use_sim_time"}
    parameters = launch.arguments.keys() - about_the_launch
    assert parameters <= {declaration.name for declaration in DECLARATIONS}
    assert {"model", "checkpoint", "vocabulary_file", "device", "backend", "precision"} <= parameters
    assert {"cameras", "image_transport"} <= parameters
    assert all(argument.description for argument in launch.arguments.values())


def test_without_arguments_the_parameter_file_alone_counts(launch: Launch) -> None:
    node, environment = launch.run()
    assert (node.package, node.executable, node.name, node.namespace) == ("errseg_ros", "errseg_node", "errseg", None)
    assert node.parameters == ["/share/errseg_ros/config/errseg.param.yaml"]
    assert (node.remappings, node.ros_arguments) == ([], [])
    assert environment == {"FASTDDS_DEFAULT_PROFILES_FILE": "/share/errseg_ros/config/fastdds.xml"}


def test_files_that_it_names_are_in_the_package() -> None:
    assert (REPOSITORY / "config" / "errseg.param.yaml").is_file()
    assert (REPOSITORY / "config" / "fastdds.xml").is_file()


def test_given_arguments_come_after_the_file_with_their_types(launch: Launch) -> None:
    node, _ = launch.run(
        params_file="own.yaml",
        model="errseg-b",
        device="cuda:1",
        precision="bfloat16",
        cameras="on, off",
        autostart="false",
        use_sim_time="true",
    )
    assert node.parameters == [
        "own.yaml",
        {
            "model": ParameterValue("errseg-b", value_type=str),
            "device": ParameterValue("cuda:1", value_type=str),
            "precision": ParameterValue("bfloat16", value_type=str),
            "cameras": ParameterValue(TextSubstitution(text='["on", "off"]'), value_type=List[str]),  # noqa: UP006
            "autostart": ParameterValue(TextSubstitution(text="false"), value_type=bool),
            "use_sim_time": ParameterValue(TextSubstitution(text="true"), value_type=bool),
        },
    ]


@pytest.mark.parametrize(
    ("given", "remappings"),
    [
        (
            {"image": "/front/image_raw"},
            [
                ("camera/image", "/front/image_raw"),
                ("camera/image/compressed", "/front/image_raw/compressed"),
            ],
        ),
        (
            {"cameras": "a,b", "image": "/x, /y"},
            [
                ("a/image", "/x"),
                ("a/image/compressed", "/x/compressed"),
                ("b/image", "/y"),
                ("b/image/compressed", "/y/compressed"),
            ],
        ),
    ],
)
def test_images_are_remapped_in_the_order_of_the_cameras(
    launch: Launch, given: dict[str, str], remappings: list[tuple[str, str]]
) -> None:
    assert launch.run(**given)[0].remappings == remappings


ANY = "/**: {ros__parameters: {cameras: [left, right]}}\n"


@pytest.mark.parametrize(
    ("file", "namespace", "cameras"),
    [
        (ANY, "", ["left", "right"]),
        ("/errseg: {ros__parameters: {cameras: [rear]}}\n", "", ["rear"]),
        (
            "errseg: {ros__parameters: {cameras: [rear]}}\nrecorder: {ros__parameters: {cameras: [a, b]}}\n",
            "",
            ["rear"],
        ),
        (f"{ANY}errseg: {{ros__parameters: {{cameras: [rear]}}}}\n", "", ["rear"]),  # overrides, does not add
        (f"{ANY}lidar: {{driver: {{ros__parameters: }}}}\n", "", ["left", "right"]),
        ("car: {errseg: {ros__parameters: {cameras: [rear]}}}\n", "car", ["rear"]),
        ("/car/errseg: {ros__parameters: {cameras: [rear]}}\n", "/car", ["rear"]),
        ("/*/errseg: {ros__parameters: {cameras: [rear]}}\n", "/car", ["rear"]),
        ("/**/errseg: {ros__parameters: {cameras: [rear]}}\n", "", ["rear"]),
        ("/**/errseg: {ros__parameters: {cameras: [rear]}}\n", "a/b", ["rear"]),
        ("/errseg: {ros__parameters: {cameras: [rear]}}\n", "/", ["rear"]),
        ("car: {errseg: {ros__parameters: {cameras: [rear]}}}\n", "", ["camera"]),
        ("/**:\n  ros__parameters: {model: errseg-lite}\n", "", ["camera"]),
        ("/**:\n  ros__parameters: {cameras: left}\n", "", ["camera"]),  # which the node refuses, as the next ones
        ("[", "", ["camera"]),
        ("words", "", ["camera"]),
        (None, "", ["camera"]),
    ],
)
def test_images_are_those_of_the_cameras_that_the_parameter_file_names(
    launch: Launch, tmp_path: Path, file: str | None, namespace: str, cameras: list[str]
) -> None:
    if file is not None:
        (tmp_path / "own.yaml").write_text(file)
    topics = [f"/image_of_{camera}" for camera in cameras]
    node, _ = launch.run(params_file=str(tmp_path / "own.yaml"), image=",".join(topics), namespace=namespace)
    raw = node.remappings[::2]
    assert raw == [(f"{camera}/image", topic) for camera, topic in zip(cameras, topics, strict=True)]


@pytest.mark.parametrize(("namespace", "camera"), [("", "rear"), ("inner", "camera"), ("/car", "rear")])
def test_a_namespace_that_was_pushed_is_that_of_the_node(
    launch: Launch, tmp_path: Path, namespace: str, camera: str
) -> None:
    (tmp_path / "own.yaml").write_text("/car/errseg: {ros__parameters: {cameras: [rear]}}\n")
    pushed = {"ros_namespace": "/car", "namespace": namespace}
    node, _ = launch.run(params_file=str(tmp_path / "own.yaml"), image="/x", **pushed)
    assert node.remappings[0] == (f"{camera}/image", "/x")


@pytest.mark.parametrize("given", [{"image": "/x,/y"}, {"cameras": "a,b", "image": "/x"}], ids=str)
def test_a_wrong_number_of_image_topics_is_an_error(launch: Launch, given: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="one topic for each of the cameras"):
        launch.run(**given)


def test_namespace_and_log_level(launch: Launch) -> None:
    node, _ = launch.run(namespace="/car", log_level="debug")
    assert (node.namespace, node.ros_arguments) == ("/car", ["--log-level", "debug"])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ROS_DISTRO": "kilted"}, ["FASTDDS_DEFAULT_PROFILES_FILE"]),
        ({"ROS_DISTRO": "humble"}, ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]),
        ({"ROS_DISTRO": "humble", "FASTRTPS_DEFAULT_PROFILES_FILE": "own.xml"}, []),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "own.xml"}, []),
    ],
    ids=str,
)
def test_the_fast_dds_profile_is_set_unless_there_is_one(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert list(launch.run()[1]) == expected
