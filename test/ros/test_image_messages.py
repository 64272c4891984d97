from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header

from errseg_ros.image_messages import mask_message, score_message


@pytest.mark.parametrize(("dtype", "encoding", "unlabelled"), [("u1", "mono8", 255), ("u2", "mono16", 65535)])
def test_the_mask_holds_ids(dtype: str, encoding: str, unlabelled: int) -> None:
    header = Header(frame_id="front")
    ids = np.full(65536, unlabelled, dtype)
    ids[:3] = [7, 0, 200]
    got = mask_message(header, np.array([[0, 1], [2, 65535], [1, 1]], np.uint16), ids)
    assert (got.encoding, got.height, got.width, got.is_bigendian) == (encoding, 3, 2, 0)
    assert got.step == 2 * np.dtype(dtype).itemsize and len(got.data) == got.step * got.height
    assert np.frombuffer(got.data, dtype).tolist() == [7, 0, 200, unlabelled, 0, 0]
    assert got.header == header


@pytest.mark.parametrize(
    ("encoding", "dtype", "values"), [("mono8", "u1", [0, 128, 255, 1]), ("32FC1", "f4", [0.0, 0.5, 1.0, 0.0039])]
)
def test_scores_are_rounded_or_as_they_are(encoding: str, dtype: str, values: list[float]) -> None:
    scores = np.array([[0.0, 0.5], [1.0, 0.0039]], np.float32)
    got = score_message(Header(), scores, encoding)
    assert (got.encoding, got.step) == (encoding, 2 * np.dtype(dtype).itemsize)
    assert np.frombuffer(got.data, dtype) == pytest.approx(values)
