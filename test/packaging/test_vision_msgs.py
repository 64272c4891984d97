"""The vision_msgs that set-up builds is the standard's, and travels over Fast DDS."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from vision_msgs import msg

REPOSITORY = Path(__file__).parent.parent.parent

# vision_msgs 4.1.1
FIELDS = {
    "Classification": {"header": "std_msgs/Header", "results": "sequence<vision_msgs/ObjectHypothesis>"},
    "LabelInfo": {
        "header": "std_msgs/Header",
        "class_map": "sequence<vision_msgs/VisionClass>",
        "threshold": "float",
    },
    "ObjectHypothesis": {"class_id": "string", "score": "double"},
    "VisionClass": {"class_id": "uint16", "class_name": "string"},
    "VisionInfo": {
        "header": "std_msgs/Header",
        "method": "string",
        "database_location": "string",
        "database_version": "int32",
    },
}

ROUND_TRIP = """
import json, time
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis, VisionClass, VisionInfo

messages = [
    LabelInfo(class_map=[VisionClass(class_id=65535, class_name="traffic sign")], threshold=0.25),
    VisionInfo(method="errseg-lite", database_location="a place", database_version=-7),
    Classification(results=[ObjectHypothesis(class_id="car", score=0.1)]),
]
for message in messages:
    message.header.frame_id = "camera"
    message.header.stamp.nanosec = 999_999_999
rclpy.init()
node = rclpy.create_node("round_trip")
received = []
publishers = []
for message in messages:
    node.create_subscription(type(message), type(message).__name__, received.append, 1)
    publishers.append(node.create_publisher(type(message), type(message).__name__, 1))
deadline = time.monotonic() + 20
while any(publisher.get_subscription_count() == 0 for publisher in publishers) and time.monotonic() < deadline:
    time.sleep(0.05)
for publisher, message in zip(publishers, messages):
    publisher.publish(message)
while len(received) < len(messages) and time.monotonic() < deadline:
    rclpy.spin_once(node, timeout_sec=0.2)
print(json.dumps({
    "equal": [any(message == other for other in received) for message in messages],
    "hashes": [str(node.get_publishers_info_by_topic(type(m).__name__)[0].topic_type_hash) for m in messages],
}))
rclpy.shutdown()
"""


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_vision_msgs", REPOSITORY / "tools" / "build_vision_msgs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_fields_are_the_standards(name: str) -> None:
    assert getattr(msg, name).get_fields_and_field_types() == FIELDS[name]


def test_messages_arrive_as_they_were_sent(ros_environment: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP],
        env=ros_environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(result.stdout)
    assert answer["equal"] == [True, True, True]
    assert all(digest.startswith("RIHS01_") for digest in answer["hashes"])


def test_an_environment_that_has_it_is_left_alone(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> None:
        raise AssertionError("builds although vision_msgs is there")

    monkeypatch.setattr(tool, "build", build)
    tool.main()


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("core", ["core", "_core"])
def test_builder_paths_become_this_pythons(version: str, core: str, tool: ModuleType, tmp_path: Path) -> None:
    tag = "cp" + version.replace(".", "")
    root = f"/opt/python/{tag}-{tag}"
    numpy = f"{root}/lib/python{version}/site-packages/numpy/{core}/include"
    export = tmp_path / "std_msgs" / "cmake" / "export.cmake"
    export.parent.mkdir(parents=True)
    export.write_text(f'  INTERFACE_INCLUDE_DIRECTORIES "{root}/include/python{version};{numpy}"\n')
    assert tool.repair_cmake_exports(tmp_path, "/here/python", "/here/numpy") == 1
    assert export.read_text() == '  INTERFACE_INCLUDE_DIRECTORIES "/here/python;/here/numpy"\n'
    assert tool.repair_cmake_exports(tmp_path, "/here/python", "/here/numpy") == 0


def test_an_unknown_builder_path_is_an_error(tool: ModuleType, tmp_path: Path) -> None:
    export = tmp_path / "std_msgs" / "cmake" / "export.cmake"
    export.parent.mkdir(parents=True)
    export.write_text('  INTERFACE_LINK_LIBRARIES "/opt/python/cp311-cp311/lib/libother.so"\n')
    with pytest.raises(ValueError, match=r"include directory of Python or numpy.*libother\.so"):
        tool.repair_cmake_exports(tmp_path, "/here/python", "/here/numpy")
