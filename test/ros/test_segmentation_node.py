"""errseg_node as its own process, over real DDS."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import LabelInfo, VisionInfo

HEIGHT, WIDTH = 96, 128
FIRST = ["road", "car, automobile", "sky"]
MASK, CONFIDENCE, SCORES = "/errseg/camera/mask", "/errseg/camera/confidence", "/errseg/camera/class_scores"


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Any]) -> Iterator[Any]:
    """One node for the tests of this module, which may leave it with any vocabulary. It keeps K classes."""
    with start_node(
        vocabulary='["road", "car, automobile", "sky"]',
        cameras="[camera, rear/left]",
        input_size="[64, 64]",
        min_share="0.0",
    ) as node:
        node.wait_for_log("ready")
        yield node


def pixels(message: Image) -> np.ndarray:
    dtype = {"mono8": "u1", "mono16": "u2", "32FC1": "f4"}[message.encoding]
    assert (message.height, message.width) == (HEIGHT, WIDTH)
    assert message.step == WIDTH * np.dtype(dtype).itemsize and not message.is_bigendian
    return np.frombuffer(message.data, dtype).reshape(HEIGHT, WIDTH)


def names(received: Any) -> list[str]:
    return [result.class_id for result in received.message.results]


def same_stamp(client: Any, topic: str, stamp: int) -> Any:
    """The output with a stamp; waits for it."""
    find = lambda: [r for r in client.received[topic] if r.stamp == stamp]  # noqa: E731
    client.wait_until(find, topic)
    return find()[0]


# First in this file: the ids of the first vocabulary are 0, 1, 2.
def test_an_image_becomes_mask_confidence_scores_and_labels(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    sent = image("front_optical")
    mask = client.answer(publisher, sent, MASK)
    confidence = same_stamp(client, CONFIDENCE, mask.stamp)
    scores = same_stamp(client, SCORES, mask.stamp)
    for output in (mask, confidence, scores):
        assert output.message.header == sent.header
    assert client.labels(["road", "car", "sky"]) == {"road": 0, "car": 1, "sky": 2}
    ids = pixels(mask.message)
    assert mask.message.encoding == "mono8" and confidence.message.encoding == "mono8"
    assert set(np.unique(ids)) <= {0, 1, 2}
    assert names(scores) == ["road", "car", "sky"]
    assert pixels(confidence.message).any()
    for position, result in enumerate(scores.message.results):
        own = pixels(confidence.message)[ids == position]
        expected = own.mean() / 255 if own.size else 0.0
        assert result.score == pytest.approx(expected, abs=1 / 255)
    info = client.received["/errseg/label_info"][-1].message
    assert info.threshold == 0.0
    vocabulary = client.received["/errseg/vocabulary_info"][-1].message
    assert (vocabulary.method, vocabulary.database_version) == ("errseg-lite", 1)
    assert vocabulary.database_location == "parameter vocabulary of /errseg"


def test_labels_are_latched(node: Any, client: Any) -> None:
    client.subscribe(LabelInfo, "/errseg/label_info", latched=True)
    client.subscribe(VisionInfo, "/errseg/vocabulary_info", latched=True)
    client.wait_until(lambda: all(client.received.values()), "latched labels")
    assert [len(messages) for messages in client.received.values()] == [1, 1]


def test_each_camera_has_its_own_outputs(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    client.subscribe(Image, "/errseg/rear/left/mask")
    rear = client.publisher("/rear/left/image")
    sent = image("rear_optical")
    mask = client.answer(rear, sent, "/errseg/rear/left/mask")
    assert mask.message.header.frame_id == "rear_optical"
    assert not [r for r in client.received[MASK] if r.stamp == mask.stamp]


def test_ids_are_stable_and_a_change_is_in_force_after_its_reply(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    versions = lambda: [r.message.database_version for r in client.received["/errseg/vocabulary_info"]]  # noqa: E731
    client.wait_until(versions, "the version")
    expected = versions()[0] + 3 + (client.get_vocabulary() != FIRST)
    assert client.set_vocabulary(FIRST).successful
    first = client.labels(["road", "car", "sky"])
    for vocabulary in (["tree", "Sky"], ["sky", "dog", "road"], FIRST):
        assert client.set_vocabulary(vocabulary).successful
        assert client.get_vocabulary() == vocabulary
        mask = client.answer(publisher, image(), MASK)
        plain = [entry.split(",")[0] for entry in vocabulary]
        labels = client.labels(plain)
        assert names(same_stamp(client, SCORES, mask.stamp)) == plain
        assert set(np.unique(pixels(mask.message))) <= set(labels.values())
        for name, label in labels.items():
            assert first.setdefault(name.lower(), label) == label
    client.wait_until(lambda: versions()[-1] >= expected, "the last version")
    assert versions() == list(range(versions()[0], expected + 1))
    assert len(set(first.values())) == len(first)


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (["road", "ROAD "], ["entry 2", "ROAD"]),
        (["road", " "], ["entry 2", "empty"]),
        (["road", "x" * 201], ["entry 2", "201"]),
        ([f"thing {number}" for number in range(256)], ["mono16", "thing 0"]),
    ],
    ids=["twice", "empty", "long", "no free id"],
)
def test_a_wrong_change_is_rejected_and_nothing_changes(
    node: Any, client: Any, image: Any, vocabulary: list[str], words: list[str]
) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    assert client.set_vocabulary(FIRST).successful
    client.labels(["road", "car", "sky"])
    client.spin(0.3)
    before = [len(client.received[topic]) for topic in ("/errseg/label_info", "/errseg/vocabulary_info")]
    result = client.set_vocabulary(vocabulary)
    assert not result.successful
    assert all(word in result.reason for word in words), result.reason
    assert client.get_vocabulary() == FIRST
    mask = client.answer(publisher, image(), MASK)
    assert names(same_stamp(client, SCORES, mask.stamp)) == ["road", "car", "sky"]
    assert before == [len(client.received[topic]) for topic in ("/errseg/label_info", "/errseg/vocabulary_info")]


def test_parameters_set_atomically_take_effect_together(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    assert client.set_atomically(vocabulary=["road", "sky"], confidence_threshold=1.0, max_classes=1).successful
    mask = client.answer(publisher, image(), MASK)
    assert set(np.unique(pixels(mask.message))) == {255}
    scores = same_stamp(client, SCORES, mask.stamp)
    assert [(result.class_id, result.score) for result in scores.message.results] == [("road", 0.0), ("sky", 0.0)]
    client.labels(["road", "sky"])
    assert client.received["/errseg/label_info"][-1].message.threshold == 1.0
    bad = client.set_atomically(confidence_threshold=0.0, vocabulary=["a", "A"])
    assert not bad.successful
    assert set(np.unique(pixels(client.answer(publisher, image(), MASK).message))) == {255}
    assert client.set(confidence_threshold=0.0, max_classes=32)[0].successful
    client.wait_until(
        lambda: client.received["/errseg/label_info"][-1].message.threshold == 0.0, "labels with the threshold"
    )
    assert 255 not in pixels(client.answer(publisher, image(), MASK).message)


def class_topics(client: Any) -> set[str]:
    prefix = "/errseg/camera/class_confidence/"
    topics = [name for name, _ in client.node.get_topic_names_and_types() if name.startswith(prefix)]
    return {name.removeprefix(prefix) for name in topics if client.node.count_publishers(name) > 0}


def test_class_confidence_comes_and_goes_with_the_vocabulary(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    vocabulary = ["Traffic light", "2nd lane", "traffic-light", "道路", "天空"]
    assert client.set_vocabulary(vocabulary).successful
    slugs = {"traffic_light", "c_2nd_lane", "traffic_light_2", "_", "__2"}
    client.wait_until(lambda: class_topics(client) == slugs, "the topics of the classes")
    topic = "/errseg/camera/class_confidence/traffic_light"
    subscription = client.subscribe(Image, topic)
    client.wait_until(lambda: subscription.get_publisher_count() > 0, topic)
    scores = client.answer(publisher, image(), topic)
    assert scores.message.encoding == "32FC1"
    values = pixels(scores.message)
    assert 0 < values.max() <= 1
    mask = pixels(same_stamp(client, MASK, scores.stamp).message)
    confidence = pixels(same_stamp(client, CONFIDENCE, scores.stamp).message)
    own = mask == client.labels(vocabulary)["Traffic light"]
    assert np.abs(values[own] * 255 - confidence[own]).max(initial=0) < 8  # two ways to the same interpolation
    assert client.set_vocabulary(["road", "traffic light"]).successful
    client.wait_until(lambda: class_topics(client) == {"road", "traffic_light"}, "the topics of the classes")
    assert client.answer(publisher, image(), topic).message.encoding == "32FC1"


def test_an_overlay_is_the_picture_in_colours_raw_and_as_jpeg(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    raw, jpeg = "/errseg/camera/overlay", "/errseg/camera/overlay/compressed"
    subscriptions = [client.subscribe(Image, raw), client.subscribe(CompressedImage, jpeg)]
    publisher = client.publisher("/camera/image")
    client.wait_until(lambda: all(each.get_publisher_count() for each in subscriptions), "the overlays")
    sent = image("front_optical")
    picture = client.answer(publisher, sent, raw).message
    compressed = same_stamp(client, jpeg, client.received[raw][-1].stamp).message
    assert picture.header == compressed.header == sent.header
    assert (picture.encoding, picture.height, picture.width, picture.step) == ("rgb8", HEIGHT, WIDTH, 3 * WIDTH)
    expected = np.frombuffer(picture.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    decoded = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - expected).mean() < 8
    assert client.set(confidence_threshold=1.0)[0].successful  # all is unlabelled: the picture, and no legend
    sent = image()
    assert client.answer(publisher, sent, raw).message.data == sent.data
    assert client.set(confidence_threshold=0.0)[0].successful


def test_after_bad_images_the_next_good_one_is_answered(node: Any, client: Any, image: Any) -> None:
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    known = len(node.log().splitlines())
    bad = []
    for changes in ({"encoding": "h264"}, {"width": 0}, {"step": 5}, {"data": array("B", b"short")}):
        message = image()
        for name, value in changes.items():
            setattr(message, name, value)
        bad.append(message)
    for message in bad * 5:
        publisher.publish(message)
        client.spin(0.05)
    assert client.answer(publisher, image(), MASK)
    lines = node.log().splitlines()[known:]
    assert all("[ERROR]" in line and "image of camera dropped" in line for line in lines), lines
    for word in ("h264", "width 0", "step of 384", "36864 bytes"):
        assert len([line for line in lines if word in line]) == 1, lines


def test_under_load_no_mask_is_ever_labelled_by_the_wrong_vocabulary(node: Any, client: Any, image: Any) -> None:
    """30 Hz images and 15 changes or more between vocabularies that share no name, and so no id.

    Topics have no common order on the way, but the node stamps each message when it writes it. So for every mask:
    the labels written last before it describe it, and so do the scores that came with it.
    """
    client.subscribe_outputs()
    publisher = client.publisher("/camera/image")
    vocabularies = [[f"{word} {number}" for word in ("red", "green", "blue")] for number in range(5)]
    sent: list[int] = []

    def send() -> None:
        message = image()
        sent.append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
        publisher.publish(message)

    timer = client.node.create_timer(1 / 30, send)
    first_after_reply: list[tuple[int, list[str]]] = []
    earlier = len(client.received[MASK])
    # 15 changes; more on a machine so busy that there are not enough masks by then.
    while len(first_after_reply) < 15 or (len(client.received[MASK]) - earlier < 40 and len(first_after_reply) < 100):
        vocabulary = vocabularies[len(first_after_reply) % 5]
        assert client.set_vocabulary(vocabulary).successful
        first_after_reply.append((len(sent), vocabulary))
        client.spin(0.2)
    client.node.destroy_timer(timer)
    client.spin(0.5)

    masks = [mask for mask in client.received[MASK] if mask.stamp in set(sent)]
    scores = {received.stamp: names(received) for received in client.received[SCORES]}
    labels = sorted(client.received["/errseg/label_info"], key=lambda received: received.written)
    assert len(masks) >= 30, f"{len(masks)} masks of {len(sent)} images are too few to tell"
    used = set()
    for mask in masks:
        *_, info = (received.message for received in labels if received.written <= mask.written)
        ids = {each.class_id for each in info.class_map}
        assert set(np.unique(pixels(mask.message)).tolist()) <= ids
        assert scores.get(mask.stamp) in (None, [each.class_name for each in info.class_map])
        used.add(tuple(sorted(ids)))
    assert len(used) >= 5 and len(set().union(*used)) >= 15
    # What was sent after a reply, and before the next request, was computed under what the reply accepted.
    order = {stamp: number for number, stamp in enumerate(sent)}
    for mask in masks:
        accepted = [vocabulary for first, vocabulary in first_after_reply if first <= order[mask.stamp]]
        later = [vocabulary for first, vocabulary in first_after_reply if first > order[mask.stamp]]
        if mask.stamp in scores and accepted:
            assert scores[mask.stamp] in [accepted[-1], *later[:2]]
