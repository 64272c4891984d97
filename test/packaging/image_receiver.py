"""Print how many of image_sender's pictures arrive before it goes."""

from __future__ import annotations

import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node("image_receiver")
numbers: set[int] = set()
quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
node.create_subscription(Image, "image", lambda image: numbers.add(image.header.stamp.sec), quality)

deadline = time.monotonic() + 40
seen = False  # the sender; with no image arriving, its going is what ends this
while time.monotonic() < deadline and 89 not in numbers:
    rclpy.spin_once(node, timeout_sec=0.2)
    there = node.count_publishers("image") > 0
    if seen and not there:
        break
    seen = seen or there
print(len(numbers))
rclpy.shutdown()
