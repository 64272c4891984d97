"""What errseg_node tells about itself, over real DDS."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

TOPIC, MASK = "/diagnostics", "/errseg/camera/mask"


def status(client: Any, name: str) -> tuple[Any, dict[str, str]]:
    """The last status of a name and its values."""
    found = [each for received in client.received[TOPIC] for each in received.message.status if each.name == name]
    return found[-1], {pair.key: pair.value for pair in found[-1].values}


def wait_for(client: Any, name: str, done: Callable[[Any, dict[str, str]], bool]) -> dict[str, str]:
    client.received[TOPIC].clear()
    client.wait_until(lambda: client.received[TOPIC] and done(*status(client, name)), f"a status of {name}")
    return status(client, name)[1]


def test_every_second_a_status_of_the_node_and_of_each_camera(
    start_node: Callable[..., Any], client: Any, image: Callable[..., Image]
) -> None:
    settings = {"input_size": "[64, 64]", "cameras": "[camera, rear]", "device": "cpu", "stale_seconds": "1.5"}
    with start_node(**settings, vocabulary="[road, sky]") as node:
        node.wait_for_log("ready")
        client.subscribe(DiagnosticArray, TOPIC)
        client.subscribe(Image, MASK)
        client.wait_until(lambda: len(client.received[TOPIC]) >= 3, "three reports")
        first, last = client.received[TOPIC][0].written, client.received[TOPIC][-1].written
        assert 0.8e9 < (last - first) / (len(client.received[TOPIC]) - 1) < 1.2e9
        message = client.received[TOPIC][-1].message
        assert [each.name for each in message.status] == ["errseg", "errseg: camera", "errseg: rear"]
        assert {each.hardware_id for each in message.status} == {"cpu"}
        assert abs(message.header.stamp.sec - time.time()) < 5
        assert status(client, "errseg")[1]["vocabulary version"] == "1"
        assert status(client, "errseg: camera")[0].message == "no image yet"

        publisher = client.publisher("/camera/image")
        timer = client.node.create_timer(0.1, lambda: publisher.publish(fresh(image())))
        values = wait_for(client, "errseg: camera", lambda each, values: float(values["rate out (Hz)"]) > 5)
        for stage in ("wait", "decode", "preprocess", "inference", "postprocess", "publish", "latency"):
            mean, worst = float(values[f"{stage} mean (ms)"]), float(values[f"{stage} worst (ms)"])
            assert 0 <= mean <= worst < 5000, stage
        assert float(values["inference mean (ms)"]) < float(values["latency mean (ms)"])
        level = lambda wanted: lambda each, values: each.level == wanted  # noqa: E731
        wait_for(client, "errseg: camera", level(DiagnosticStatus.OK))
        assert status(client, "errseg: rear")[0].level == DiagnosticStatus.WARN
        assert client.set_atomically(latency_warn_ms=0.0, latency_error_ms=0.001).successful
        wait_for(client, "errseg: camera", level(DiagnosticStatus.ERROR))
        assert "latency" in status(client, "errseg: camera")[0].message
        assert client.set_atomically(latency_warn_ms=500.0, latency_error_ms=2000.0).successful
        assert client.set_vocabulary(["tree"]).successful
        wait_for(client, "errseg", lambda each, values: values["vocabulary version"] == "2")
        client.node.destroy_timer(timer)
        wait_for(client, "errseg: camera", lambda each, values: "no image for" in each.message)

        broken = image()
        broken.data = array("B", b"short")
        publisher.publish(broken)
        values = wait_for(client, "errseg: camera", lambda each, values: values["dropped: undecodable"] == "1")
        counts = [int(value) for key, value in values.items() if key == "answered" or key.startswith("dropped")]
        assert sum(counts) == int(values["received"])


def fresh(message: Image) -> Image:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
    return message


def test_latency_goes_by_the_simulation_s_clock(
    start_node: Callable[..., Any], client: Any, image: Callable[..., Image]
) -> None:
    with start_node(input_size="[64, 64]", use_sim_time="true", vocabulary="[road, sky]") as node:
        node.wait_for_log("ready")
        client.subscribe(DiagnosticArray, TOPIC)
        client.subscribe(Image, MASK)
        publisher = client.publisher("/camera/image")
        clock = client.publisher("/clock", Clock)
        for second in (1000, 10):  # the bag starts again: the time jumps back
            tick = Clock()
            tick.clock.sec = second
            client.received[TOPIC].clear()
            timer = client.node.create_timer(0.1, lambda tick=tick: clock.publish(tick))
            client.wait_until(
                lambda second=second: [r for r in client.received[TOPIC] if r.message.header.stamp.sec == second],
                "diagnostics of that time",
            )
            message = image()
            message.header.stamp.sec, message.header.stamp.nanosec = second - 1, 250_000_000
            client.answer(publisher, message, MASK)
            wait_for(client, "errseg: camera", lambda each, values: values.get("latency mean (ms)") == "750.0")
            client.node.destroy_timer(timer)
