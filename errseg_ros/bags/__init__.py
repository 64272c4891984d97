"""rosbag2 without ROS: reading (also of damaged bags), message types, messages, and new bags."""

from errseg_ros.bags.reader import BagMessage, BagReader, BagTopic, is_bag
from errseg_ros.bags.storage import BagError
from errseg_ros.bags.typestore import make_typestore

__all__ = ["BagError", "BagMessage", "BagReader", "BagTopic", "is_bag", "make_typestore"]
