"""Files of weights that will not do: each is one line, nothing in it runs, and configure can be tried again."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from safetensors.torch import save_file
from sensor_msgs.msg import Image

WEIGHTS = Path(__file__).parents[3] / "errseg_model" / "weights" / "errseg-lite.safetensors"
MASK = "/errseg/camera/mask"
MEBIBYTE = 2**20


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def code_in_a_pytorch_file(path: Path, trace: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "hook": Code(trace)}, path)


def code_in_an_old_pytorch_file(path: Path, trace: Path) -> None:
    torch.save({"model": Code(trace)}, path, _use_new_zipfile_serialization=False)


def code_in_a_plain_pickle(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps({"model": Code(trace)}))


def another_model(path: Path, trace: Path) -> None:
    weights = {f"backbone.layer{number}.weight": torch.ones(2, 2) for number in range(100)}
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({"model": weights}, path)


def cut_off(path: Path, trace: Path) -> None:
    if path.suffix == ".safetensors":
        shutil.copyfile(WEIGHTS, path)
    else:
        torch.save({"model": {"a": torch.ones(100_000)}}, path)
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path, trace: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path, trace: Path) -> None:
    path.mkdir()


def absent(path: Path, trace: Path) -> None:
    pass


def not_downloaded(path: Path, trace: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n")


def a_pipe(path: Path, trace: Path) -> None:
    os.mkfifo(path)


def forbidden(path: Path, trace: Path) -> None:
    shutil.copyfile(WEIGHTS, path)
    path.chmod(0)


def huge_header(path: Path, trace: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63 - 1) + b'{"a":' + b" " * 1000)


def header_longer_than_the_file(path: Path, trace: Path) -> None:
    path.write_bytes(struct.pack("<Q", 90 * MEBIBYTE) + b"{}")


def huge_tensor(path: Path, trace: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def nested_header(path: Path, trace: Path) -> None:
    header = b'{"a":' + b"[" * MEBIBYTE
    path.write_bytes(struct.pack("<Q", len(header)) + header)


BY_SUFFIX: dict[str, list[Callable[[Path, Path], None]]] = {
    ".pth": [
        code_in_a_pytorch_file, code_in_an_old_pytorch_file, code_in_a_plain_pickle, another_model, cut_off, empty,
        folder, absent, not_downloaded, a_pipe, forbidden,
    ],
    ".safetensors": [
        code_in_a_plain_pickle, another_model, cut_off, empty, folder, not_downloaded, huge_header,
        header_longer_than_the_file, huge_tensor, nested_header,
    ],
}  # fmt: skip
EXPECTED = {
    code_in_a_pytorch_file: "never executed",
    code_in_an_old_pytorch_file: "never executed",
    another_model: "does not fit the model",
    folder: "is not a file",
    absent: "does not exist",
    a_pipe: "is not a file",
}


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module", params=BY_SUFFIX)
def scene(request: pytest.FixtureRequest, start_node: Any, tmp_path_factory: Any) -> Iterator[tuple[Any, Path]]:
    """A managed node for all files with a suffix, which lie at the same path one after the other."""
    path = tmp_path_factory.mktemp("weights") / f"file{request.param}"
    settings = {"vocabulary": "[road, sky]", "input_size": "[64, 64]", "device": "cpu"}
    with start_node(autostart="false", checkpoint=str(path), **settings) as node:
        node.wait_for_log("waiting to be configured")
        yield node, path


def change(client: Any, transition: str) -> bool:
    number = getattr(Transition, f"TRANSITION_{transition.upper()}")
    return client.call(
        ChangeState, "/errseg/change_state", ChangeState.Request(transition=Transition(id=number))
    ).success


def test_a_file_that_will_not_do_fails_to_configure_with_one_line_and_the_right_one_does_then(
    scene: tuple[Any, Path], client: Any, image: Callable[[], Image], watch: Callable[[Any], Any], tmp_path: Path
) -> None:
    """One test for all files: each tells that the node outlived the one before."""
    node, path = scene
    trace = tmp_path / "ran"
    client.subscribe(DiagnosticArray, "/diagnostics")
    seen = watch(node)
    memory = 0
    for make in BY_SUFFIX[path.suffix]:
        if make is forbidden and os.geteuid() == 0:
            continue  # root may read all
        remove(path)
        make(path, trace)
        seen.reset()
        assert not change(client, "configure"), make.__name__
        assert client.call(GetState, "/errseg/get_state", GetState.Request()).current_state.label == "unconfigured"
        (line,) = seen.trouble
        assert line.startswith("configure failed: ") and str(path) in line, line
        assert EXPECTED.get(make, "checkpoint") in line, (make.__name__, line)
        assert len(line) < 3000, "too long to be read"
        client.wait_until(
            lambda line=line: any(s.message == line for r in client.received["/diagnostics"] for s in r.message.status),
            f"the reason in the diagnostics: {line}",
        )
        memory = memory or seen.memory
        assert seen.memory < memory + 100 * MEBIBYTE, make.__name__
    assert not trace.exists(), "code of a file of weights was run"

    remove(path)
    if path.suffix == ".safetensors":
        shutil.copyfile(WEIGHTS, path)
        assert change(client, "configure") and change(client, "activate")
        client.subscribe(Image, MASK)
        client.answer(client.publisher("/camera/image"), image(), MASK)


def test_with_autostart_code_in_a_file_of_weights_is_one_fatal_line_and_exit_status_1(
    start_node: Callable[..., Any], watch: Callable[[Any], Any], tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    code_in_a_pytorch_file(tmp_path / "file.pth", trace)
    with start_node(checkpoint=str(tmp_path / "file.pth"), device="cpu") as node:
        assert node.process.wait(90) == 1
        (line,) = (line for line in node.log().splitlines() if not line.startswith("[INFO]"))
        assert line.startswith("[FATAL]") and "never executed" in line and str(tmp_path / "file.pth") in line, line
        assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("v.yaml", "- road\n- !!python/object/apply:os.system ['touch {trace}']\n", "entry 2 (line 2)"),
        ("v.json", '["road", {{"__reduce__": "touch {trace}"}}]', "entry 2"),
    ],
    ids=["YAML", "JSON"],
)
def test_code_in_a_vocabulary_file_is_one_fatal_line_and_exit_status_1(
    start_node: Callable[..., Any], tmp_path: Path, name: str, content: str, expected: str
) -> None:
    trace = tmp_path / "ran"
    file = tmp_path / name
    file.write_text(content.format(trace=trace))
    with start_node(vocabulary_file=str(file)) as node:
        assert node.process.wait(90) == 1
        (line,) = node.log().splitlines()
        assert line.startswith("[FATAL]") and str(file) in line and expected in line, line
        assert not trace.exists()
