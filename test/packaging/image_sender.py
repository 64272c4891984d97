"""Publish 90 pictures of 1280 x 720 at 30 Hz, best effort; they are numbered in their stamps."""

from __future__ import annotations

import array
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node("image_sender")
publisher = node.create_publisher(Image, "image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
deadline = time.monotonic() + 20
while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
    time.sleep(0.05)
time.sleep(0.5)  # the other side may know of us a little later

image = Image(height=720, width=1280, encoding="rgb8", step=1280 * 3)
image.data = array.array("B", bytes(1280 * 720 * 3))
due = time.monotonic()
for number in range(90):
    image.header.stamp.sec = number
    publisher.publish(image)
    due += 1 / 30
    time.sleep(max(0.0, due - time.monotonic()))
time.sleep(0.5)  # what is still under way
rclpy.shutdown()
