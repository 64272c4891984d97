"""The SROS 2 policy, held against what the running node has."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from errseg_ros.security import main

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "config" / "security" / "errseg.policy.xml"
DISCOVERY_SECONDS = 30

Grants = dict[str, set[str]]
"""DDS topics, with wildcards, that may be published and subscribed to."""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command prints."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def dds_grants(policy: str) -> Grants:
    """What `ros2 security create_permission` makes of a policy with one profile of allowed topics and services."""
    (profile,) = ElementTree.fromstring(policy).iter("profile")
    namespace = profile.attrib["ns"].rstrip("/")

    def full(expression: str) -> str:
        if expression.startswith("~"):
            return f"{namespace}/{profile.attrib['node']}{expression[1:]}"
        return expression if expression.startswith("/") else f"{namespace}/{expression}"

    grants: Grants = {"publish": set(), "subscribe": set()}
    for group in profile:
        for each in group:
            name = full(each.text or "")
            for rule in group.attrib:
                if rule in grants:
                    grants[rule].add(f"rt{name}")
                else:
                    assert rule == "reply"
                    grants["publish"].add(f"rr{name}Reply")
                    grants["subscribe"].add(f"rq{name}Request")
    return grants


def test_the_shipped_policy_is_the_one_of_a_node_with_its_defaults(printed: Callable[..., str]) -> None:
    assert SHIPPED.read_text(encoding="utf-8") == printed()


@pytest.mark.parametrize("arguments", [(), ("--cameras", "front", "rear", "--namespace", "/perception")])
def test_a_policy_has_the_form_of_version_0_2_0(printed: Callable[..., str], arguments: tuple[str, ...]) -> None:
    rules = {"topics": {"publish", "subscribe"}, "services": {"reply", "request"}}
    policy = ElementTree.fromstring(printed(*arguments))
    assert policy.tag == "policy" and policy.attrib == {"version": "0.2.0"}
    (enclaves,) = policy
    (enclave,) = enclaves
    (profiles,) = enclave
    (profile,) = profiles
    assert [each.tag for each in (enclaves, enclave, profiles, profile)] == [
        "enclaves", "enclave", "profiles", "profile"
    ]  # fmt: skip
    assert enclave.attrib == {"path": "/errseg"} and set(profile.attrib) == {"ns", "node"}
    assert {group.tag for group in profile} == rules.keys()
    for group in profile:
        assert set(group.attrib) <= rules[group.tag] and set(group.attrib.values()) == {"ALLOW"}
        assert len(group) > 0
        assert all(each.tag + "s" == group.tag and each.text and not each.attrib for each in group)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--cameras", "a b"], "a b"),
        (["--namespace", "perception"], "absolute"),
        (["--cameras", "front", "rear", "--images", "/front/image_raw"], "an image topic for each"),
    ],
)
def test_names_that_ros_does_not_allow_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert part in captured.err and not captured.out


CASES: dict[str, tuple[list[str], list[str], str]] = {
    # arguments of the policy, of the node, and the namespace
    "defaults": ([], [], "/"),
    "two compressed cameras and simulated time": (
        ["--cameras", "front", "rear", "--image-transport", "compressed", "--use-sim-time"],
        ["-p", "cameras:=[front, rear]", "-p", "image_transport:=compressed", "-p", "use_sim_time:=true"],
        "/",
    ),
    "a namespace and a remapped image": (
        ["--namespace", "/perception", "--images", "/front/image_raw"],
        ["-r", "__ns:=/perception", "-r", "camera/image:=/front/image_raw"],
        "/perception",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_policy_grants_all_that_the_running_node_has_and_nothing_else(
    ros_module_environment: dict[str, str],
    running_node: Callable[..., Any],
    tmp_path: Path,
    client: Any,
    printed: Callable[..., str],
    case: str,
) -> None:
    of_policy, of_node, namespace = CASES[case]
    grants = dds_grants(printed(*of_policy))
    small = ["-p", "input_size:=[64, 64]", "-p", "device:=cpu"]
    with running_node(ros_module_environment, tmp_path, *small, *of_node) as node:
        node.wait_for_log("ready")
        assert _differences(client, namespace, grants) == {}
        if namespace == "/":  # topics of other classes
            assert client.set_vocabulary(["道路", "sky", "2 cars", "sky!"]).successful
            client.wait_until(lambda: _has(client, "/c_2_cars") and not _has(client, "/road"), "the classes' topics")
            assert _differences(client, namespace, grants) == {}


def _has(client: Any, end: str) -> bool:
    topics = client.node.get_publisher_names_and_types_by_node("errseg", "/")
    return any(name.endswith(f"class_confidence{end}") for name, _ in topics)


def _differences(client: Any, namespace: str, grants: Grants) -> dict[str, list[str]]:
    """What is missing or surplus, once discovery has had its time."""
    end = time.monotonic() + DISCOVERY_SECONDS
    while True:
        client.spin(1.0)  # what comes late, too
        found = _compare(_graph(client.node, namespace), grants)
        if not found or time.monotonic() > end:
            return found


def _graph(node: Any, namespace: str) -> Grants:
    """The DDS topics of errseg, those of services and hidden ones included."""
    ask = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
    }
    try:
        return {rule: {name for name, _ in call("errseg", namespace, no_demangle=True)} for rule, call in ask.items()}
    except RuntimeError:  # not discovered yet
        return {rule: set() for rule in ask}


def _compare(graph: Grants, grants: Grants) -> dict[str, list[str]]:
    found = {}
    for rule, expressions in grants.items():
        names = graph[rule]
        found[f"{rule}: missing"] = sorted(n for n in names if not any(fnmatchcase(n, e) for e in expressions))
        found[f"{rule}: surplus"] = sorted(e for e in expressions if not any(fnmatchcase(n, e) for n in names))
    return {what: names for what, names in found.items() if names}
