"""What `ros2 lifecycle` and `ros2 param` ask a node for, over real DDS: the answers that their output is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, GetParameterTypes, ListParameters, SetParameters
from rclpy.parameter import Parameter

from errseg_ros.declarations import DECLARATIONS

CONFIG = Path(__file__).parents[2] / "config" / "errseg.param.yaml"
DECLARED = {declaration.name: declaration for declaration in DECLARATIONS}


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    with start_node(autostart="false", vocabulary="[road, sky]", input_size="[64, 64]", device="cpu") as node:
        node.wait_for_log("waiting to be configured")
        yield node


def values(client: Any, names: list[str], node: str = "/errseg") -> dict[str, Any]:
    answer = client.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names))
    messages = zip(names, answer.values, strict=True)
    return {name: plain(message) for name, message in messages}


def plain(message: Any) -> Any:
    """As `ros2 param` prints and dumps it."""
    value = {
        ParameterType.PARAMETER_BOOL: message.bool_value,
        ParameterType.PARAMETER_INTEGER: message.integer_value,
        ParameterType.PARAMETER_DOUBLE: message.double_value,
        ParameterType.PARAMETER_STRING: message.string_value,
        ParameterType.PARAMETER_INTEGER_ARRAY: message.integer_array_value,
        ParameterType.PARAMETER_STRING_ARRAY: message.string_array_value,
    }[message.type]
    return value if isinstance(value, (bool, int, float, str)) else list(value)


def every_name(client: Any) -> list[str]:
    return list(client.call(ListParameters, "/errseg/list_parameters", ListParameters.Request()).result.names)


def load(client: Any, file: dict[str, Any]) -> dict[str, Any]:
    """As `ros2 param load`: every parameter of the file by itself. Returns the results."""
    parameters = file["/**"]["ros__parameters"]
    request = SetParameters.Request(
        parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
    )
    results = client.call(SetParameters, "/errseg/set_parameters", request).results
    return dict(zip(parameters, results, strict=True))


def test_it_is_found_as_a_managed_node(node: Any, client: Any) -> None:
    """`ros2 lifecycle nodes` lists nodes by their service get_state."""

    def services() -> dict[str, list[str]]:
        return dict(client.node.get_service_names_and_types_by_node("errseg", "/"))

    client.wait_until(lambda: ("errseg", "/") in client.node.get_node_names_and_namespaces(), "the node")
    client.wait_until(lambda: len(services()) >= 11, "its services")
    assert {name: kinds for name, kinds in services().items() if "lifecycle_msgs" in str(kinds)} == {
        "/errseg/get_state": ["lifecycle_msgs/srv/GetState"],
        "/errseg/change_state": ["lifecycle_msgs/srv/ChangeState"],
        "/errseg/get_available_states": ["lifecycle_msgs/srv/GetAvailableStates"],
        "/errseg/get_available_transitions": ["lifecycle_msgs/srv/GetAvailableTransitions"],
        "/errseg/get_transition_graph": ["lifecycle_msgs/srv/GetAvailableTransitions"],
    }


def test_its_states_and_transitions_are_those_of_the_design(node: Any, client: Any) -> None:
    states = client.call(GetAvailableStates, "/errseg/get_available_states", GetAvailableStates.Request())
    assert {(each.id, each.label) for each in states.available_states} == {
        (getattr(State, constant), constant.split("_STATE_")[1].lower().replace("_", ""))
        for constant in dir(State)
        if constant.startswith(("PRIMARY_STATE_", "TRANSITION_STATE_"))
    }
    graph = client.call(
        GetAvailableTransitions, "/errseg/get_transition_graph", GetAvailableTransitions.Request()
    ).available_transitions
    edges = {(each.start_state.label, each.transition.label, each.goal_state.label) for each in graph}
    for start, transition, goal in [
        ("unconfigured", "configure", "configuring"),
        ("inactive", "activate", "activating"),
        ("active", "deactivate", "deactivating"),
        ("inactive", "cleanup", "cleaningup"),
        ("unconfigured", "shutdown", "shuttingdown"),
        ("inactive", "shutdown", "shuttingdown"),
        ("active", "shutdown", "shuttingdown"),
        ("configuring", "transition_failure", "unconfigured"),
        ("configuring", "transition_error", "errorprocessing"),
        ("errorprocessing", "transition_success", "unconfigured"),
    ]:
        assert (start, transition, goal) in edges


def test_every_change_of_state_is_an_event(node: Any, client: Any) -> None:
    """By label, as `ros2 lifecycle set /errseg configure` asks, and by id, as managers do."""
    client.subscribe(TransitionEvent, "/errseg/transition_event")
    topic = "/errseg/transition_event"
    client.wait_until(lambda: client.node.count_publishers(topic) > 0, topic)
    client.spin(0.5)
    by_label = [Transition(label=label) for label in ("configure", "activate")]
    by_id = [Transition(id=Transition.TRANSITION_DEACTIVATE), Transition(id=Transition.TRANSITION_CLEANUP)]
    for transition in [*by_label, *by_id]:
        assert client.call(ChangeState, "/errseg/change_state", ChangeState.Request(transition=transition)).success
    seen = lambda: [  # noqa: E731
        (r.message.start_state.label, r.message.goal_state.label) for r in client.received[topic]
    ]
    expected = [
        ("unconfigured", "configuring"), ("configuring", "inactive"),
        ("inactive", "activating"), ("activating", "active"),
        ("active", "deactivating"), ("deactivating", "inactive"),
        ("inactive", "cleaningup"), ("cleaningup", "unconfigured"),
    ]  # fmt: skip
    client.wait_until(lambda: len(seen()) >= len(expected), "the events")
    assert seen() == expected


def test_a_transition_that_the_state_does_not_have_is_refused(node: Any, client: Any) -> None:
    for transition in [
        Transition(label="activate"),
        Transition(label="no such transition"),
        Transition(id=99),
        Transition(id=Transition.TRANSITION_CALLBACK_SUCCESS),
        Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN),
        Transition(id=Transition.TRANSITION_DESTROY),
    ]:
        request = ChangeState.Request(transition=transition)
        assert not client.call(ChangeState, "/errseg/change_state", request).success, transition
    assert client.call(GetState, "/errseg/get_state", GetState.Request()).current_state.label == "unconfigured"


def test_every_parameter_is_listed_and_described(node: Any, client: Any) -> None:
    names = every_name(client)
    assert set(DECLARED) <= set(names)
    others = {name for name in names if name not in DECLARED}
    assert all(name.startswith(("use_sim_time", "start_type_description_service", "qos_overrides.")) for name in others)
    request = DescribeParameters.Request(names=list(DECLARED))
    descriptors = client.call(DescribeParameters, "/errseg/describe_parameters", request).descriptors
    types = client.call(
        GetParameterTypes, "/errseg/get_parameter_types", GetParameterTypes.Request(names=list(DECLARED))
    ).types
    for declaration, descriptor, kind in zip(DECLARED.values(), descriptors, types, strict=True):
        assert descriptor.name == declaration.name
        assert descriptor.type == kind == declaration.type.value
        assert descriptor.description == declaration.description
        assert descriptor.read_only is not declaration.at_run_time
        assert all(choice in descriptor.additional_constraints for choice in declaration.choices)
        limits = (*descriptor.integer_range, *descriptor.floating_point_range)
        assert [(each.from_value, each.to_value) for each in limits] == [declaration.bounds] * (
            declaration.bounds is not None
        )


def test_the_parameter_file_can_be_loaded_into_a_running_node(node: Any, client: Any) -> None:
    """What may change is changed; of the others each says that it is taken at start."""
    file = yaml.safe_load(CONFIG.read_text())
    for name, result in load(client, file).items():
        changeable = name not in DECLARED or DECLARED[name].at_run_time
        assert result.successful is changeable, (name, result.reason)
        assert changeable or result.reason == f"parameter {name} is read-only: it is taken when the node starts"
    vocabulary = file["/**"]["ros__parameters"]["vocabulary"]
    assert values(client, ["vocabulary", "stale_seconds"]) == {"vocabulary": vocabulary, "stale_seconds": 3.0}


def test_a_dump_starts_another_node_with_the_same_parameters(
    node: Any, client: Any, running_node: Any, ros_module_environment: dict[str, str], tmp_path: Path
) -> None:
    """`ros2 param dump`, and the file given to a new node, with names that YAML would take for something else."""
    vocabulary = ["no", "12", "a: b", "# hash", "道路, way", "{x}", "~"]
    assert client.set_vocabulary(vocabulary).successful
    dumped = values(client, every_name(client))
    assert dumped["vocabulary"] == vocabulary and dumped["input_size"] == [64, 64]
    file = tmp_path / "dump.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dumped}}, allow_unicode=True))
    arguments = ["--params-file", str(file), "-r", "__node:=again"]
    with running_node(ros_module_environment, tmp_path, *arguments) as again:
        again.wait_for_log("waiting to be configured")
        assert "[ERROR]" not in again.log() and "[WARN]" not in again.log()
        assert values(client, list(DECLARED), "/again") == {name: dumped[name] for name in DECLARED}
