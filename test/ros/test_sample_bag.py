from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader

from errseg_model.errors import InputError
from errseg_model.sample_drive import CLASSES, DriveFrame, SampleDrive
from errseg_ros.bags import make_typestore
from errseg_ros.bags.writing import NewBag
from errseg_ros.sample_bag import main, write_sample_bag

# As computed by rosidl for vision_msgs 4.1.1.
LABEL_INFO_HASH = "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783"


@pytest.fixture(scope="module")
def drive() -> SampleDrive:
    return SampleDrive(1, 60, 80, rate_hz=10.0, duration_s=0.4)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_holds_the_drive_byte_for_byte(tmp_path: Path, drive: SampleDrive, storage: str) -> None:
    write_sample_bag(tmp_path / "town", drive, storage)
    store = make_typestore()
    with Reader(tmp_path / "town") as reader:
        found = [(c.topic, t, store.deserialize_cdr(raw, c.msgtype)) for c, t, raw in reader.messages()]
    assert sum(topic == "/camera/label_info" for topic, _, _ in found) == 1
    for topic, attribute, encoding in (("/camera/image", "image", "rgb8"), ("/camera/labels", "labels", "mono8")):
        messages = [(t, m) for name, t, m in found if name == topic]
        assert len(messages) == len(drive)
        for frame, (t, message) in zip(drive, messages, strict=True):
            pixels = getattr(frame, attribute)
            assert bytes(message.data) == pixels.tobytes()
            assert (message.height, message.width, message.encoding) == (60, 80, encoding)
            assert message.step == pixels.nbytes // 60
            assert t == frame.stamp_ns == message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            assert message.header.frame_id == "camera_optical_frame"
    infos = [m for name, _, m in found if name == "/camera/camera_info"]
    assert len(infos) == len(drive)
    for info in infos:
        np.testing.assert_array_equal(info.k, drive.intrinsics.matrix)
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3].reshape(-1), drive.intrinsics.matrix)
        assert (info.height, info.width) == (60, 80)


def test_label_names_come_first_and_latched(tmp_path: Path, drive: SampleDrive) -> None:
    write_sample_bag(tmp_path / "town", drive)
    store = make_typestore()
    with Reader(tmp_path / "town") as reader:
        connection, _, raw = next(iter(reader.messages()))
        qos = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert connection.topic == "/camera/label_info" and connection.digest == LABEL_INFO_HASH
    message = store.deserialize_cdr(raw, connection.msgtype)
    assert [(c.class_id, c.class_name) for c in message.class_map] == list(enumerate(CLASSES))
    assert message.threshold == 0.0
    assert qos["/camera/label_info"].durability == QosDurability.TRANSIENT_LOCAL
    assert qos["/camera/image"].durability == QosDurability.VOLATILE
    assert {q.reliability for q in qos.values()} == {QosReliability.RELIABLE}


def test_metadata_is_version_9_and_names_the_file(tmp_path: Path, drive: SampleDrive) -> None:
    write_sample_bag(tmp_path / "town", drive)
    assert {p.name for p in (tmp_path / "town").iterdir()} == {"metadata.yaml", "town.mcap"}
    data = yaml.safe_load((tmp_path / "town" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert data["version"] == 9 and data["storage_identifier"] == "mcap"
    assert data["relative_file_paths"] == ["town.mcap"]
    assert data["message_count"] == 3 * len(drive) + 1


class _Broken(SampleDrive):
    """Fails after two frames, as a full disk would."""

    def __iter__(self) -> Iterator[DriveFrame]:
        yield self.frame(0)
        yield self.frame(1)
        raise OSError("no space left on device")


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="town cannot be written: no space left"):
        write_sample_bag(tmp_path / "town", _Broken(0, 48, 64, duration_s=1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_an_existing_path_is_refused_and_kept(tmp_path: Path, drive: SampleDrive, kind: str) -> None:
    path = tmp_path / "town"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="town exists already"):
        write_sample_bag(path, drive)
    assert [p.name for p in tmp_path.iterdir()] == ["town"]


def test_unknown_storage_is_refused(tmp_path: Path, drive: SampleDrive) -> None:
    with pytest.raises(InputError, match="storage must be one of mcap, sqlite3, got 'zip'"):
        write_sample_bag(tmp_path / "town", drive, "zip")


def test_the_command_writes_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seed", "4", "--duration", "0.2", "--rate", "20", "--size", "48x64", "--storage", "sqlite3"]
    assert main(["--out", str(tmp_path / "town"), *arguments]) == 0
    assert "4 frames of 48x64" in capsys.readouterr().out
    expected = SampleDrive(4, 48, 64, rate_hz=20.0, duration_s=0.2).frame(3)
    store = make_typestore()
    with Reader(tmp_path / "town") as reader:
        images = [store.deserialize_cdr(r, c.msgtype) for c, _, r in reader.messages() if c.topic == "/camera/image"]
    assert bytes(images[3].data) == expected.image.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "{tmp}"], "exists already"),
        (["--out", "{tmp}/missing/town"], "missing is not a folder: create it first"),
        (["--out", "{tmp}/town", "--size", "360"], "expected HEIGHTxWIDTH"),
        (["--out", "{tmp}/town", "--size", "5x5"], "at least 48x64"),
        (["--out", "{tmp}/town", "--rate", "0"], "rate_hz must be a number above 0"),
        (["--out", "{tmp}/town", "--duration", "inf"], "got inf"),
        (["--out", "{tmp}/town", "--seed", "-3"], "seed must be 0 or more"),
    ],
)
def test_wrong_input_ends_in_one_message_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status: object = main([a.format(tmp=tmp_path) for a in arguments])
    except SystemExit as end:  # argparse
        status = end.code
    assert status == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run#2", "what?", "100%20"])
def test_sqlite_is_not_written_where_it_would_go_elsewhere(tmp_path: Path, name: str) -> None:
    """SQLite is given a URI: `run#2/drive.db3` would be the file `run`."""
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="which sqlite3 cannot have: choose another, or use mcap"):
        NewBag(tmp_path / name / "drive", "sqlite3")
    assert not any((tmp_path / name).iterdir())
    with NewBag(tmp_path / name / "drive"):
        pass
    assert (tmp_path / name / "drive" / "metadata.yaml").is_file()
