from __future__ import annotations

from itertools import permutations

import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Classification, ObjectHypothesis

from errseg_ros.answers import Answers, Parts
from errseg_ros.ros_time import SECOND


@pytest.mark.parametrize("order", permutations("mcs"))
def test_an_answer_is_complete_with_its_third_part_in_every_order(order: tuple[str, ...]) -> None:
    header = Header(stamp=Time(sec=1, nanosec=7))
    mask, confidence = Image(header=header, encoding="mono8"), Image(header=header, encoding="mono16")
    names = [ObjectHypothesis(class_id=name) for name in ("road", "sky")]
    answers = Answers()
    answers.add_mask(Image(header=Header(stamp=Time(sec=1, nanosec=8))), 3)  # of another image
    add = {
        "m": lambda: answers.add_mask(mask, 5),
        "c": lambda: answers.add_confidence(confidence),
        "s": lambda: answers.add_scores(Classification(header=header, results=names)),
    }
    assert [add[step]().are_complete for step in order] == [False, False, True]
    assert answers.parts[SECOND + 7] == Parts(SECOND + 7, mask, 5, confidence, ("road", "sky"))
    assert not answers.parts[SECOND + 8].are_complete
