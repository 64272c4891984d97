"""A camera as a process of its own: `python image_sender.py TOPIC RATE COUNT WIDTH HEIGHT FRAME_ID`.

Sends COUNT noisy rgb8 images with the time as stamp, RATE a second; late ones are made up for. Then prints the count.
"""

from __future__ import annotations

import sys
import time
from array import array

import numpy as np
import rclpy
from sensor_msgs.msg import Image


def main() -> None:
    topic, frame_id = sys.argv[1], sys.argv[6]
    rate, count, width, height = (int(argument) for argument in sys.argv[2:6])
    message = Image(width=width, height=height, encoding="rgb8", step=3 * width)
    message.data = array("B", np.random.default_rng(0).bytes(3 * width * height))
    message.header.frame_id = frame_id
    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, topic, 1)
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    start = time.monotonic()
    for number in range(count):
        if not rclpy.ok():  # SIGTERM
            break
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        publisher.publish(message)
        time.sleep(max(0.0, start + (number + 1) / rate - time.monotonic()))
    print(count)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
