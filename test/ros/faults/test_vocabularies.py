"""Storms of changes, a thousand names, and names of all kinds, while images flow."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from errseg_model.vocabulary import Vocabulary
from errseg_model.vocabulary import slugs as slugs_of

MASK, SCORES, LABELS = "/errseg/camera/mask", "/errseg/camera/class_scores", "/errseg/label_info"
INFO = "/errseg/vocabulary_info"
CLASS_TOPICS = "/errseg/camera/class_confidence/"
STORM_SECONDS = 20
CHANGES_PER_SECOND = 50
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """With 255 ids, which no test but the last uses up."""
    with start_node(vocabulary="[road, sky]", input_size="[64, 64]", device="cpu") as node:
        node.wait_for_log("ready")
        yield node


def value(name: str, of: Any) -> ParameterMessage:
    if isinstance(of, ParameterValue):
        return ParameterMessage(name=name, value=of)
    return Parameter(name, value=of).to_parameter_msg()


def class_map(received: Any) -> dict[int, str]:
    return {each.class_id: each.class_name for each in received.message.class_map}


def scored(received: Any) -> list[str]:
    return [result.class_id for result in received.message.results]


def versions(client: Any) -> list[int]:
    return [received.message.database_version for received in client.received[INFO]]


def assert_every_mask_is_described(client: Any) -> set[tuple[str, ...]]:
    """By the labels that were written last before it. Returns the vocabularies of the masks."""
    labels = sorted(client.received[LABELS], key=lambda received: received.written)
    scores = {received.stamp: received for received in client.received[SCORES]}
    used = set()
    for mask in client.received[MASK]:
        *_, info = (received for received in labels if received.written <= mask.written)
        names = class_map(info)
        unlabelled = 65535 if mask.message.encoding == "mono16" else 255
        pixels = np.frombuffer(mask.message.data, np.uint16 if mask.message.encoding == "mono16" else np.uint8)
        assert set(np.unique(pixels).tolist()) <= {*names, unlabelled}
        if mask.stamp in scores:
            assert scored(scores[mask.stamp]) == list(names.values())
        used.add(tuple(names.values()))
    return used


# Before there is the other node.
def test_a_thousand_classes_and_a_thousand_others_while_images_flow(
    start_node: Callable[..., Any], client: Any, image: Callable[[], Image], watch: Callable[[Any], Any]
) -> None:
    first, second = ([f"{kind} of thing {number}" for number in range(1000)] for kind in ("kind", "sort"))
    settings = {"mask_encoding": "mono16", "input_size": "[64, 64]", "device": "cpu"}
    with start_node(vocabulary=f"[{', '.join(first)}]", **settings) as node:
        node.wait_for_log("ready")
        seen = watch(node)
        client.subscribe_outputs()
        publisher = client.publisher("/camera/image")
        assert list(client.labels(first).values()) == list(range(1000))
        mask = client.answer(publisher, image(), MASK)
        assert mask.message.encoding == "mono16"
        topics = lambda: {name for name, _ in client.node.get_topic_names_and_types() if CLASS_TOPICS in name}  # noqa: E731
        client.wait_until(lambda: topics() == {CLASS_TOPICS + slug for slug in slugs_of(first)}, "1000 topics", 60)

        client.node.create_timer(1 / 30, lambda: publisher.publish(image()))
        earlier = len(client.received[SCORES])
        start = time.monotonic()
        assert client.set_vocabulary(second).successful
        took = time.monotonic() - start
        meanwhile = client.received[SCORES][earlier:]
        assert len(meanwhile) >= min(5, took), f"{len(meanwhile)} images in the {took:.1f} s of the change"
        assert list(client.labels(second).values()) == list(range(1000, 2000))
        client.wait_until(lambda: scored(client.received[SCORES][-1]) == second, "scores of the new names", 60)
        client.wait_until(lambda: topics() == {CLASS_TOPICS + slug for slug in slugs_of(second)}, "1000 others", 60)
        used = assert_every_mask_is_described(client)
        assert used == {tuple(Vocabulary.parse(names).names) for names in (first, second)}
        assert seen.trouble == []


# A pool that no storm leaves, as mono8 has 255 ids for the node's life.
POOL = [f"{colour} {thing}" for colour in ("red", "green", "blue", "grey") for thing in ("car", "wall", "sign", "hat")]
BAD: list[dict[str, Any]] = [
    {"vocabulary": ["road", "Road"]},
    {"vocabulary": ["road", "x" * 201]},
    {"vocabulary": ["a\x07b"]},
    {"vocabulary": 7},
    {"vocabulary": [f"thing {number}" for number in range(300)]},
    {"vocabulary": POOL[:3], "confidence_threshold": 2.0},
    {"vocabulary": POOL[:3], "max_classes": 0},
    {"vocabulary": POOL[:3], "confidence_threshold": float("nan")},
    {"vocabulary": POOL[:3], "mask_encoding": "mono16"},
    {"no_such_parameter": 1},
]


def good(chance: random.Random) -> dict[str, Any]:
    """A change that will do."""
    vocabulary = chance.sample(POOL, chance.randint(1, 6))
    threshold = {"confidence_threshold": chance.choice([0.0, 0.25, 1.0])}
    kept = {"max_classes": chance.choice([1, 4, 32])}
    return chance.choice([{"vocabulary": vocabulary}, threshold, {"vocabulary": vocabulary, **threshold, **kept}])


def test_a_storm_of_changes_good_and_bad_leaves_every_mask_described_and_memory_as_it_was(
    node: Any, client: Any, image: Callable[[], Image], watch: Callable[[Any], Any], record_property: Any
) -> None:
    """50 a second for 20 s, atomic and one by one, during images at 30 Hz."""
    client.subscribe_outputs()
    client.labels(["road", "sky"])
    publisher = client.publisher("/camera/image")
    client.node.create_timer(1 / 30, lambda: publisher.publish(image()))
    services = {
        kind: client.node.create_client(kind, f"/errseg/{name}")
        for kind, name in ((SetParameters, "set_parameters"), (SetParametersAtomically, "set_parameters_atomically"))
    }
    for service in services.values():
        client.wait_until(service.service_is_ready, "the parameter services")
    client.wait_until(lambda: client.received[MASK], "a mask")
    seen = watch(node)
    before = versions(client)[-1]
    chance = random.Random(5)
    asked: list[tuple[dict[str, Any], Any]] = []

    def ask() -> None:
        change = good(chance) if chance.random() < 0.6 else chance.choice(BAD)
        messages = [value(name, of) for name, of in change.items()]
        # One by one is another order of effects than atomically, unless there is one alone.
        kind = (
            chance.choice([SetParameters, SetParametersAtomically]) if len(messages) == 1 else SetParametersAtomically
        )
        asked.append((change, services[kind].call_async(kind.Request(parameters=messages))))

    def result(future: Any) -> Any:
        answer = future.result()
        return answer.result if hasattr(answer, "result") else answer.results[0]

    memory = 0
    client.node.create_timer(1 / CHANGES_PER_SECOND, ask)
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < STORM_SECONDS:
        client.spin(0.5)
        if not memory and elapsed > STORM_SECONDS / 3:  # by now all names of the pool had their turn
            memory = seen.memory
    for timer in list(client.node.timers):
        client.node.destroy_timer(timer)
    client.wait_until(lambda: all(future.done() for _, future in asked), "all replies", 60)

    # What every reply says decides what is in force at the end.
    vocabulary, threshold, kept, changes = ["road", "sky"], 0.0, 32, 0
    for change, future in asked:
        if change in BAD:
            assert not result(future).successful and result(future).reason, change
            continue
        assert result(future).successful, (change, result(future).reason)
        changes += change.get("vocabulary", vocabulary) != vocabulary
        vocabulary = change.get("vocabulary", vocabulary)
        threshold = change.get("confidence_threshold", threshold)
        kept = change.get("max_classes", kept)
    request = GetParameters.Request(names=["vocabulary", "confidence_threshold", "max_classes"])
    got = client.call(GetParameters, "/errseg/get_parameters", request).values
    assert [list(got[0].string_array_value), got[1].double_value, got[2].integer_value] == [vocabulary, threshold, kept]
    assert list(client.labels(vocabulary)) == vocabulary
    client.wait_until(lambda: client.received[LABELS][-1].message.threshold == threshold, "the last threshold")
    client.wait_until(lambda: versions(client)[-1] == before + changes, "the last version")
    client.answer(publisher, image(), MASK)

    used = assert_every_mask_is_described(client)
    grown = (seen.memory - memory) / MEBIBYTE
    for name, figure in {
        "changes a second": len(asked) / STORM_SECONDS,
        "accepted": sum(change not in BAD for change, _ in asked),
        "masks": len(client.received[MASK]),
        "vocabularies of masks": len(used),
        "MiB": memory / MEBIBYTE,
        "MiB grown": grown,
    }.items():
        record_property(name, round(figure, 1))
    assert len(used) > 10, f"{len(client.received[MASK])} masks under {len(used)} vocabularies tell little"
    assert grown < 0.05 * memory / MEBIBYTE  # a machine under load reaches the most that it takes late
    assert seen.trouble == []


REFUSED = [
    ("vocabulary", 7),
    ("vocabulary", "road"),
    ("vocabulary", [1, 2]),
    ("vocabulary", ParameterValue(type=ParameterType.PARAMETER_BYTE_ARRAY)),  # what `[]` is to rclpy
    ("vocabulary", ParameterValue(type=ParameterType.PARAMETER_BOOL_ARRAY)),  # and to `ros2 param set`
    ("vocabulary", ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY)),
    ("vocabulary", ParameterValue(type=ParameterType.PARAMETER_NOT_SET)),
    ("confidence_threshold", 1),
    ("confidence_threshold", "0.5"),
    ("max_classes", 2.0),
    ("max_classes", 2**62),
    ("model", "errseg-lite"),
    ("checkpoint", "/tmp/x.pth"),
    ("no_such_parameter", 1),
    ("qos_overrides./errseg/camera/mask.publisher.depth", 2),
]


def test_parameters_of_a_wrong_type_read_only_ones_and_unknown_ones_are_refused_by_name(node: Any, client: Any) -> None:
    before = client.get_vocabulary()
    request = SetParameters.Request(parameters=[value(name, of) for name, of in REFUSED])
    results = client.call(SetParameters, "/errseg/set_parameters", request).results
    for (name, of), result in zip(REFUSED, results, strict=True):
        assert not result.successful, (name, of)
        assert name in result.reason and "\n" not in result.reason, (name, of, result.reason)
    assert client.get_vocabulary() == before


def test_several_parameters_changed_at_once_are_one_label_info(node: Any, client: Any) -> None:
    client.subscribe_outputs()
    assert client.set(vocabulary=["road", "sky"], confidence_threshold=0.0)[0].successful
    client.labels(["road", "sky"])
    client.spin(0.5)
    before = len(client.received[LABELS])
    assert client.set_atomically(vocabulary=["sky", "hat"], confidence_threshold=0.5, max_classes=1).successful
    client.labels(["sky", "hat"])
    client.spin(0.5)
    (message,) = client.received[LABELS][before:]
    assert message.message.threshold == 0.5
    assert client.set_atomically(confidence_threshold=0.0, max_classes=32).successful


WORLD = {
    "Chinese": ["道路", "行人", "交通信号灯"],
    "Arabic with marks of direction": ["شارع", "\u0645\u064f\u0634\u0627\u0629", "سماء"],
    "emoji of several characters": ["👨\u200d👩\u200d👧", "🚗", "🚶🏽\u200d♀️", "🇩🇪"],
    "combining characters": ["e\u0301toile", "étoile", "ñandú"],
    "200 characters": ["x" * 200, "道" * 200, "🚗" * 200],
    "punctuation": ["!", "?", "...", "'; DROP TABLE", "$(reboot)", "%s%n", "{0}", "\\", "/", "~"],
    "slugs that collide": ["a b", "a-b", "a_b", "a b 2", "A/B", "2a", "c 2a"],
    "names that other names are made of": ["unlabelled", "255", "null", "true", "-", "#", "class_confidence"],
}


@pytest.mark.parametrize("names", WORLD.values(), ids=WORLD.keys())
def test_names_of_all_kinds_are_told_as_they_are_typed(
    node: Any, client: Any, image: Callable[[], Image], names: list[str], watch: Callable[[Any], Any]
) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    seen = watch(node)
    assert client.set_vocabulary(names).successful
    assert client.get_vocabulary() == names
    labels = client.labels(names)
    assert len(set(labels.values())) == len(names)
    mask = client.answer(publisher, image(), MASK)
    scores = lambda: [scored(received) for received in client.received[SCORES] if received.stamp == mask.stamp]  # noqa: E731
    client.wait_until(scores, "scores")
    assert scores()[0] == names
    assert_every_mask_is_described(client)
    # One topic each, and one that can be subscribed to.
    topics = {CLASS_TOPICS + slug for slug in slugs_of(names)}
    assert len(topics) == len(names)
    published = lambda: {name for name, _ in client.node.get_topic_names_and_types()}  # noqa: E731
    short = {topic for topic in topics if len(topic) <= 240}
    client.wait_until(lambda: short <= published(), "the topics of the classes")
    topic = min(topics, key=len)
    subscription = client.subscribe(Image, topic)
    client.wait_until(lambda: subscription.get_publisher_count() > 0, topic)
    client.answer(publisher, image(), topic)
    client.node.destroy_subscription(subscription)
    assert seen.trouble == []


BROKEN: list[tuple[list[str], list[str]]] = [
    (["道路", "道" * 201], ["entry 2", "201 characters"]),
    (["road", "a\nb"], ["entry 2", "U+000A"]),
    (["road", "a\u202eb"], ["entry 2", "U+202E"]),  # turns the text around it
    (["road", "\u200f"], ["entry 2", "U+200F"]),
    (["road", "a\u2028b"], ["entry 2", "U+2028"]),
    (["road", "\u200d"], ["entry 2", "empty"]),
    (["road", "\x1b[31mred"], ["entry 2", "U+001B"]),
    (["road", "\ufeff"], ["entry 2", "U+FEFF"]),
    (["road", "\ud7ff\ue000"], ["entry 2", "U+D7FF"]),
    (["STRASSE", "straße"], ["entry 2", "same name"]),
    (["road", ", , "], ["entry 2", "empty"]),
    (["road", ""], ["entry 2", "empty"]),
    ([f"n{number}" for number in range(1001)], ["1001"]),
]


def test_a_name_that_breaks_a_rule_is_refused_by_its_place(node: Any, client: Any) -> None:
    before = client.get_vocabulary()
    request = SetParameters.Request(parameters=[value("vocabulary", names) for names, _ in BROKEN])
    results = client.call(SetParameters, "/errseg/set_parameters", request).results
    for (_, words), result in zip(BROKEN, results, strict=True):
        assert not result.successful and all(word in result.reason for word in words), (words, result.reason)
        assert result.reason.isprintable(), "a line of a log must not carry control characters"
    assert client.get_vocabulary() == before


def test_a_null_byte_ends_a_name_on_its_way(node: Any, client: Any) -> None:
    """rclpy's strings end there: what comes in is the name before it."""
    assert client.set_vocabulary(["road", "sky\0box"]).successful
    assert client.get_vocabulary() == ["road", "sky"]


# Uses the ids up: the last one with this node.
def test_when_no_id_is_left_known_names_still_do_and_new_ones_are_refused(
    node: Any, client: Any, image: Callable[[], Image]
) -> None:
    client.subscribe_outputs()
    assert client.set_vocabulary(["road", "sky"]).successful
    known = client.labels(["road", "sky"])
    count = 0
    while (result := client.set_vocabulary(["road", *(f"new {count + n}" for n in range(20))])).successful:
        count += 20
    assert "mono16" in result.reason and "new" in result.reason
    while (result := client.set_vocabulary(["road", f"new {count}"])).successful:
        count += 1
    assert "0 of 255 are free" in result.reason
    assert client.set_vocabulary(["sky", f"new {count - 1}", "road"]).successful
    labels = client.labels(["sky", f"new {count - 1}", "road"])
    assert labels == {**known, f"new {count - 1}": 254}
    client.answer(client.publisher("/camera/image"), image(), MASK)
    assert_every_mask_is_described(client)
