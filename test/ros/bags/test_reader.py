from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import lz4.frame
import pytest
import yaml
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from errseg_ros.bags import BagError, BagMessage, BagReader, make_typestore
from errseg_ros.bags.storage import zstd
from errseg_ros.bags.writing import offered_qos
from errseg_ros.ros_time import SECOND

TEXTS, NUMBERS = "/texts", "/numbers"
STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]
PACKED = [  # sqlite3 has no compression of its own
    (storage, mode)
    for storage in STORAGES
    for mode in CompressionMode
    if (storage, mode) != (StoragePlugin.SQLITE3, CompressionMode.STORAGE)
]

NO_METADATA = "metadata.yaml is missing, as a recording that did not end leaves it"

WriteBag = Callable[..., Path]


def content(number: int) -> str:
    # So much that a bag has several chunks and pages, and so random that packing does not make it small.
    return f"{number:08d}{random.Random(number).randbytes(8000).hex()}"


@pytest.fixture
def write_bag(tmp_path: Path) -> WriteBag:
    """Writes a bag of texts and numbers, a message of each every tenth of a second."""

    def write(
        name: str = "bag",
        storage: StoragePlugin = StoragePlugin.MCAP,
        mode: CompressionMode = CompressionMode.NONE,
        numbers: Sequence[int] = range(200),
        qos: Sequence[Qos] = (),
    ) -> Path:
        store = make_typestore()
        writer = Writer(tmp_path / name, version=9, storage_plugin=storage)
        if mode != CompressionMode.NONE:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            kinds = {TEXTS: "std_msgs/msg/String", NUMBERS: "std_msgs/msg/Int32"}
            topics = {
                topic: writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=qos)
                for topic, kind in kinds.items()
            }
            for number in numbers:
                for topic, value in ((TEXTS, content(number)), (NUMBERS, number)):
                    message = store.types[kinds[topic]](value)
                    writer.write(topics[topic], number * SECOND // 10, store.serialize_cdr(message, kinds[topic]))
        return tmp_path / name

    return write


def storage_file(bag: Path) -> Path:
    (file,) = [path for path in bag.iterdir() if path.suffix != ".yaml"]
    return file


def read(path: Path) -> tuple[list[int], tuple[str, ...]]:
    """The texts by their numbers, each whole; and the problems."""
    with BagReader(path) as reader:
        messages = list(reader.messages([TEXTS]))
        texts = [reader.deserialize(message).data for message in messages]
        numbers = [int(text[:8]) for text in texts]
        assert texts == [content(number) for number in numbers]
        assert [message.time_ns for message in messages] == [number * SECOND // 10 for number in numbers]
        return numbers, reader.problems


@pytest.mark.parametrize(("storage", "mode"), PACKED)
def test_every_storage_and_compression_gives_all_messages(
    write_bag: WriteBag, storage: StoragePlugin, mode: CompressionMode
) -> None:
    path = write_bag("drive", storage, mode)
    assert read(path) == (list(range(200)), ())
    assert read(storage_file(path)) == (list(range(200)), ())


@pytest.mark.parametrize("storage", STORAGES)
def test_file_packed_with_lz4_is_unpacked(write_bag: WriteBag, storage: StoragePlugin) -> None:
    path = write_bag("drive", storage)
    file = storage_file(path)
    file.with_name(f"{file.name}.lz4").write_bytes(lz4.frame.compress(file.read_bytes()))
    file.unlink()
    (path / "metadata.yaml").unlink()
    numbers, problems = read(path)
    assert numbers == list(range(200))
    assert [line.partition(",")[0] for line in problems] == ["metadata.yaml is missing"]


@pytest.mark.parametrize("cut", [1.0, 0.6])
def test_chunks_packed_with_lz4_are_unpacked_also_of_a_file_that_was_cut(tmp_path: Path, cut: float) -> None:
    store = make_typestore()
    path = tmp_path / "drive.mcap"
    with path.open("wb") as file:
        writer = McapWriter(file, chunk_size=100_000, compression=CompressionType.LZ4)
        writer.start("ros2", "test")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel = writer.register_channel(TEXTS, "cdr", schema)
        for number in range(50):
            data = store.serialize_cdr(store.types["std_msgs/msg/String"](content(number)), "std_msgs/msg/String")
            writer.add_message(channel, number * SECOND // 10, bytes(data), number * SECOND // 10)
        writer.finish()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    numbers, problems = read(path)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == 50 if cut == 1 else 20 <= len(numbers) <= 32
    assert bool(problems) == (cut < 1)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", ["run #2", "what?", "100%20"])
def test_a_path_with_characters_of_a_uri_is_read(
    write_bag: WriteBag, tmp_path: Path, storage: StoragePlugin, name: str
) -> None:
    bag = write_bag(storage=storage, numbers=range(5)).rename(tmp_path / name)
    assert read(bag) == (list(range(5)), ())
    assert read(storage_file(bag)) == (list(range(5)), ())


def test_a_packed_file_with_characters_of_a_uri_is_read(write_bag: WriteBag) -> None:
    bag = write_bag("bag", StoragePlugin.SQLITE3, CompressionMode.FILE, range(5))
    packed = storage_file(bag)
    packed = packed.rename(packed.with_name("run #2.db3.zstd"))
    assert read(packed) == (list(range(5)), ())


def test_topics_tell_type_count_and_qos(write_bag: WriteBag) -> None:
    latched = offered_qos(depth=1, latched=True)
    with BagReader(write_bag(qos=[latched])) as reader:
        assert reader.name == "bag"
        assert reader.start_ns == 0
        assert list(reader.topics) == [NUMBERS, TEXTS]
        topic = reader.topics[TEXTS]
        assert (topic.type, topic.count, topic.qos) == ("std_msgs/msg/String", 200, (latched,))


def test_messages_of_all_topics_come_in_time_order(write_bag: WriteBag) -> None:
    with BagReader(write_bag()) as reader:
        messages = list(reader.messages())
    assert [message.topic for message in messages[:4]] == [TEXTS, NUMBERS, TEXTS, NUMBERS]
    assert len(messages) == 400


def split(write_bag: WriteBag, storage: StoragePlugin) -> Path:
    """A bag of three files, the last one with number 10."""
    parts = [write_bag(f"part{n}", storage, numbers=range(50 * n, 50 * n + 50)) for n in range(3)]
    path = parts[0].parent / "bag"
    path.mkdir()
    metadata = yaml.safe_load((parts[0] / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    names = [f"bag_{n}{storage_file(parts[0]).suffix}" for n in (0, 1, 10)]
    for part, name in zip(parts, names, strict=True):
        shutil.move(storage_file(part), path / name)
    information["relative_file_paths"] = names
    information["files"] = [
        {"path": name, "starting_time": {"nanoseconds_since_epoch": 0}, "duration": {"nanoseconds": 0}}
        | {"message_count": 100}
        for name in names
    ]
    for topic in information["topics_with_message_count"]:
        topic["message_count"] = 150
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return path


@pytest.mark.parametrize("storage", STORAGES)
def test_several_files_are_one_bag(write_bag: WriteBag, storage: StoragePlugin) -> None:
    path = split(write_bag, storage)
    assert read(path) == (list(range(150)), ())
    (path / "metadata.yaml").unlink()
    numbers, problems = read(path)
    assert numbers == list(range(150))
    assert len(problems) == 1 and "metadata.yaml is missing" in problems[0]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("suffix", [".zstd", ".zst", ".lz4"])
def test_of_a_file_and_its_packed_copy_the_plain_one_is_read(
    write_bag: WriteBag, storage: StoragePlugin, suffix: str
) -> None:
    bag = write_bag(storage=storage)
    (bag / "metadata.yaml").unlink()
    (file,) = bag.iterdir()
    pack = lz4.frame.compress if suffix == ".lz4" else zstd.compress
    packed = bag / f"{file.name}{suffix}"
    packed.write_bytes(pack(file.read_bytes())[:-400])
    assert read(bag) == (list(range(200)), (NO_METADATA, f"{packed.name} is left out: it is a copy of {file.name}"))
    packed.write_bytes(pack(file.read_bytes()))
    file.write_bytes(b"")
    numbers, (_, problem) = read(bag)
    assert numbers == list(range(200))
    assert problem.startswith(f"{file.name} cannot be read as a file of a rosbag2")


@pytest.mark.parametrize("storage", STORAGES)
def test_missing_file_is_named_and_the_others_are_read(write_bag: WriteBag, storage: StoragePlugin) -> None:
    path = split(write_bag, storage)
    (missing,) = path.glob("bag_1.*")
    missing.unlink()
    numbers, problems = read(path)
    assert numbers == [*range(50), *range(100, 150)]
    assert problems == (f"{missing.name} is missing, with 100 messages",)
    with BagReader(path) as reader:
        assert reader.topics[TEXTS].count == 150


@pytest.mark.parametrize(("storage", "mode"), PACKED)
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("share", [0.35, 0.8, 0.99])
def test_bag_cut_off_gives_what_is_there_and_names_the_rest(
    write_bag: WriteBag, storage: StoragePlugin, mode: CompressionMode, metadata: bool, share: float
) -> None:
    path = write_bag("drive", storage, mode)
    file = storage_file(path)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    if not metadata:
        (path / "metadata.yaml").unlink()
    numbers, problems = read(path)
    assert numbers == list(range(len(numbers)))
    packed = mode != CompressionMode.NONE  # which loses a block
    assert 200 * (share - (0.35 if packed else 0.08)) <= len(numbers) <= 200
    assert any("is damaged" in line for line in problems)
    assert any("metadata.yaml" in line for line in problems) != metadata


def test_every_message_before_the_cut_of_an_open_chunk_is_read(write_bag: WriteBag) -> None:
    path = storage_file(write_bag(numbers=range(40)))  # all of it is one chunk
    size = path.stat().st_size
    seen = []
    for share in (0.1, 0.3, 0.5, 0.7):
        cut = path.with_name(f"cut{share}.mcap")
        cut.write_bytes(path.read_bytes()[: int(size * share)])
        numbers, problems = read(cut)
        # Not how much is lost: of that record some messages are read.
        assert re.search(rf"breaks off in the record after byte \d+ of {cut.stat().st_size}$", problems[-1]), problems
        seen.append(len(numbers))
    assert seen == sorted(set(seen)) and seen[0] >= 3


@pytest.mark.parametrize("storage", STORAGES)
def test_damage_in_the_middle_ends_a_file_and_is_named(write_bag: WriteBag, storage: StoragePlugin) -> None:
    mcap = storage == StoragePlugin.MCAP
    path = write_bag("drive", storage, CompressionMode.STORAGE if mcap else CompressionMode.NONE)
    file = storage_file(path)
    data = bytearray(file.read_bytes())
    start = data.index(b"\x28\xb5\x2f\xfd", len(data) // 2) if mcap else len(data) // 2
    data[start : start + 20_000] = b"\xff" * 20_000
    file.write_bytes(data)
    numbers, problems = read(path)
    assert numbers == list(range(len(numbers))) and len(numbers) < 200
    assert len(problems) >= 1 and all("is damaged" in line for line in problems)


@pytest.mark.parametrize("column", ["name", "type", "serialization_format"])
def test_a_topic_whose_row_is_damaged_is_left_out(write_bag: WriteBag, column: str) -> None:
    file = storage_file(write_bag("drive", StoragePlugin.SQLITE3))
    with closing(sqlite3.connect(file)) as database:
        (schema,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'topics'").fetchone()
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'topics'", (schema.replace("NOT NULL", ""),))
        database.commit()
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"UPDATE topics SET {column} = NULL WHERE name != ?", (TEXTS,))
        database.commit()
    file.write_bytes(file.read_bytes()[: -(1 << 12)])  # so that it is read row by row
    with BagReader(file) as reader:
        assert list(reader.topics) == [TEXTS]
        assert len(list(reader.messages())) > 100


@pytest.mark.parametrize(
    "content",
    ["relative_file_paths: [null]", "relative_file_paths: abc", "relative_file_paths: [drive.mcap, 1]", "[]", "null"],
)
def test_metadata_of_other_types_is_left(write_bag: WriteBag, content: str) -> None:
    path = write_bag("drive")
    (path / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  {content}\n")
    numbers, problems = read(path)
    assert numbers == list(range(200))
    assert problems == ("metadata.yaml cannot be read; the files are taken as they are",)


@pytest.mark.parametrize("files", ["[x]", "3", "[{path: 3}]", "[{path: b.mcap}]"])
def test_a_missing_file_is_named_whatever_metadata_says_of_it(write_bag: WriteBag, files: str) -> None:
    path = write_bag("drive")
    text = f"relative_file_paths: [drive.mcap, b.mcap]\n  files: {files}"
    (path / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  {text}\n")
    assert read(path) == (list(range(200)), ("b.mcap is missing",))


@pytest.mark.parametrize("index", [IndexType.ALL, IndexType.CHUNK, IndexType.MESSAGE, IndexType.NONE])
@pytest.mark.parametrize("chunks", [True, False])
def test_indexes_of_mcap_may_be_missing(tmp_path: Path, index: IndexType, chunks: bool) -> None:
    store = make_typestore()
    with (tmp_path / "drive.mcap").open("wb") as file:
        writer = McapWriter(file, index_types=index, use_chunking=chunks, compression=CompressionType.NONE)
        writer.start(profile="ros2", library="")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel(TEXTS, "cdr", schema)
        for number in range(200):
            text = store.types["std_msgs/msg/String"](content(number))
            data = bytes(store.serialize_cdr(text, "std_msgs/msg/String"))
            writer.add_message(channel, number * SECOND // 10, data, number * SECOND // 10)
        writer.finish()
    path = tmp_path / "drive.mcap"
    assert read(path) == (list(range(200)), ())
    if index == IndexType.CHUNK and chunks:
        data = bytearray(path.read_bytes())
        start = data.index(content(120).encode()) - 38  # the length of that message's record
        data[start : start + 8] = b"\xff" * 8
        path.write_bytes(data)
        numbers, problems = read(path)
        assert numbers == list(range(len(numbers))) and len(numbers) < 200
        assert len(problems) == 1 and "is damaged" in problems[0]


def test_log_beside_a_database_is_named(write_bag: WriteBag) -> None:
    path = write_bag(storage=StoragePlugin.SQLITE3)
    file = storage_file(path)
    file.with_name(f"{file.name}-wal").write_bytes(b"rows that were never merged")
    numbers, problems = read(path)
    assert len(numbers) == 200
    assert "bag.db3-wal" in problems[0] and len(problems) == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("absent", None, "does not exist"),
        ("a" * 300, None, "cannot be read: File name too long"),
        ("notes.txt", b"words", "expected its folder, or an .mcap or .db3 file"),
        ("bad.mcap", b"words", "cannot be read"),
        ("bad.mcap", b"", "cannot be read"),
        ("bad.db3", b"words", "cannot be read"),
        ("bad.db3", b"", "cannot be read"),
        ("folder/notes.txt", b"words", "neither metadata.yaml nor .mcap or .db3"),
        ("folder/metadata.yaml", b"rosbag2_bagfile_information: {version: 5}", "neither"),
        ("folder/bad.mcap", b"words", "bad.mcap cannot be read"),
    ],
)
def test_what_is_no_bag_is_refused_with_a_reason(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    bag = path if path.parent == tmp_path else path.parent
    with pytest.raises(BagError, match=message) as caught, BagReader(bag):
        pass
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("drive_0.mcap", "drive_0"),
        ("2024.05.01_drive.mcap", "2024.05.01_drive"),
        ("2024.05.01_drive.mcap.zstd", "2024.05.01_drive"),
    ],
)
def test_a_file_is_called_as_it_is_without_its_suffixes(write_bag: WriteBag, file: str, name: str) -> None:
    path = storage_file(write_bag())
    assert BagReader(path.rename(path.with_name(file))).name == name


def test_a_bag_here_has_the_name_of_its_folder(write_bag: WriteBag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_bag("drive.1"))
    assert BagReader(".").name == "drive.1"


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_path_need_not_be_utf_8(write_bag: WriteBag, storage: StoragePlugin) -> None:
    path = write_bag(storage=storage)
    path = path.rename(path.with_name(os.fsdecode(b"caf\xe9")))
    assert read(path) == (list(range(200)), ())
    assert BagReader(path).name == "caf\\udce9"


def test_bag_whose_files_are_all_missing_is_refused(write_bag: WriteBag) -> None:
    path = write_bag()
    storage_file(path).unlink()
    with pytest.raises(BagError, match=r"bag\.mcap is missing"), BagReader(path):
        pass


def test_topic_that_is_not_there_is_refused(write_bag: WriteBag) -> None:
    with BagReader(write_bag()) as reader, pytest.raises(BagError, match="no topic /up; it has /numbers, /texts"):
        reader.messages(["/up"])


def write_own_type(path: Path, storage: StoragePlugin) -> None:
    store = make_typestore()
    store.register(get_types_from_msg("float64 volts\nstd_msgs/Header header\n", "acme_msgs/msg/Battery"))
    header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](1, 2), "rear")
    message = store.types["acme_msgs/msg/Battery"](12.5, header)
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connection = writer.add_connection("/battery", "acme_msgs/msg/Battery", typestore=store)
        writer.write(connection, 5, store.serialize_cdr(message, "acme_msgs/msg/Battery"))


@pytest.mark.parametrize("storage", STORAGES)
def test_types_that_only_the_bag_knows_are_read(tmp_path: Path, storage: StoragePlugin) -> None:
    write_own_type(tmp_path / "bag", storage)
    with BagReader(tmp_path / "bag") as reader:
        (message,) = reader.messages()
        assert reader.deserialize(message).volts == 12.5
        assert reader.deserialize(message).header.stamp.nanosec == 2


def test_type_that_nobody_knows_fails_only_when_it_is_asked_for(tmp_path: Path) -> None:
    write_own_type(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
        database.execute("DELETE FROM message_definitions")
    with BagReader(tmp_path / "bag") as reader:
        (message,) = reader.messages()
        with pytest.raises(BagError, match="/battery has the message type acme_msgs/msg/Battery, which is not known"):
            reader.deserialize(message)


def test_bytes_that_are_another_message_are_refused(write_bag: WriteBag) -> None:
    with BagReader(write_bag()) as reader:
        wrong = BagMessage(TEXTS, "std_msgs/msg/String", 0, b"\x00\x01\x00\x00\xff\xff\xff\xff")
        with pytest.raises(BagError, match="a message on /texts is no std_msgs/msg/String"):
            reader.deserialize(wrong)


def test_reader_imports_no_ros() -> None:
    code = "import sys, errseg_ros.bags; print(*(m for m in ('rclpy', 'sensor_msgs') if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == []
