"""`errseg_demo`: the node as a user meets it the first time, from images to masks, with a vocabulary change."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tqdm import tqdm

from errseg_model.cli.options import vocabulary
from errseg_model.errors import InputError
from errseg_model.files import write_json
from errseg_model.sample_drive import CLASSES, SampleDrive
from errseg_model.vocabulary import Vocabulary
from errseg_ros.class_ids import smallest_encoding
from errseg_ros.client import Client
from errseg_ros.demo.bags import BagSource
from errseg_ros.demo.frames import Pace, Source
from errseg_ros.demo.pictures import AFTER, ANIMATION, BEFORE, Pictures, answered
from errseg_ros.demo.recording import Recording, ReplayError
from errseg_ros.demo.replay import Camera
from errseg_ros.demo.report import LOG, SUMMARY, Report, Tally
from errseg_ros.demo.sources import open_source
from errseg_ros.demo.vocabularies import (
    RECORDING_AFTER,
    RECORDING_BEFORE,
    SAMPLE_DRIVE_AFTER,
    SAMPLE_DRIVE_BEFORE,
)
from errseg_ros.isolation import isolate
from errseg_ros.node_process import NodeError, NodeProcess
from errseg_ros.sample_bag import write_sample_bag

DRIVE = "drive"

MARK = ".errseg_demo"
"""An empty file in the folders that the demo made: what is in others is not removed."""

_IN_THE_WAY = (
    f"is in the way, and without {MARK} beside or in it may be somebody's own (a run before there was such a file has "
    "none): remove it, or choose another --out"
)

_FILES = (BEFORE, AFTER, ANIMATION, SUMMARY, LOG)
_OVERLAY = re.compile(r"overlay_\d{4,}\.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns 0 when masks came under both vocabularies, 1 when not, 2 for wrong input."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    try:
        _run(options)
    except InputError as error:
        print(f"errseg_demo: {error}", file=sys.stderr)
        return 2
    except (NodeError, ReplayError) as error:
        print(f"errseg_demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("errseg_demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="errseg_demo", description=__doc__)
    parser.add_argument(
        "--source",
        type=Path,
        metavar="FILE",
        help="video (.mp4), folder of pictures or rosbag2 (default: the embedded sample drive)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo_out"),
        metavar="DIR",
        help="folder of the results (default: demo_out)",
    )
    parser.add_argument(
        "--duration", type=_positive, default=10.0, metavar="S", help="seconds that are shown (default: 10)"
    )
    parser.add_argument(
        "--rate", type=_positive, default=10.0, metavar="HZ", help="images a second, at most (default: 10)"
    )
    parser.add_argument("--image-topic", metavar="T", help="of a bag (default: the first by name)")
    parser.add_argument(
        "--vocabulary",
        type=vocabulary,
        metavar="V",
        help="first vocabulary: a file, or entries separated by ';'",
    )
    parser.add_argument("--vocabulary-after", type=vocabulary, metavar="V", help="vocabulary after the change half way")
    return parser


def _run(options: argparse.Namespace) -> None:
    """Everything that can be wrong with the input is found before anything is started or written."""
    pace = Pace(options.rate, options.duration)
    if options.source is None and options.image_topic is not None:
        raise InputError("--image-topic: expected a --source that is a bag")
    own = None if options.source is None else open_source(options.source, pace, options.image_topic)
    before, after = _choose_vocabularies(options, CLASSES if own is None else own.label_names)
    out: Path = options.out
    make_room(out, options.source)
    with ExitStack() as stack:
        isolate(stack)
        # The node first: it loads its model while the drive is drawn.
        node = stack.enter_context(NodeProcess(_node_parameters(stack, before, after), out / LOG))
        _say("node", f"errseg_node starts as process {node.pid}, its log is {node.log}")
        source = _draw_drive(out / DRIVE, pace) if own is None else own
        _say("source", f"{'sample drive ' if own is None else ''}{source.name}")
        camera = Camera(stack.enter_context(Client(node)))
        camera.wait_until_ready()
        recording = camera.replay(source, before, after)
    report = _evaluate(source, recording, before, after, out)
    write_json(out / SUMMARY, report.to_json())
    print(f"\n{report.to_text()}")


def make_room(out: Path, source: Path | None) -> None:
    """Make the folder of the results, without those of an earlier run; files of others stay.

    Raises InputError where it cannot be written, where the source is among what would be removed, or where files of
    others have the names of ours.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        ours = [entry for entry in out.iterdir() if _OVERLAY.fullmatch(entry.name) or entry.name in _FILES]
        if source is not None and source.resolve() in [out.resolve(), *(entry.resolve() for entry in ours)]:
            raise InputError(f"source {source} is in --out {out}, which is made new; choose another --out")
        drive = out / DRIVE
        replaced = source is None and os.path.lexists(drive)
        if ours and not (out / MARK).is_file():
            raise InputError(f"{ours[0]} {_IN_THE_WAY}")
        if replaced and not (drive / MARK).is_file():
            raise InputError(f"{drive} {_IN_THE_WAY}")
        for entry in ours:
            entry.unlink()
        if replaced:
            shutil.rmtree(drive)
        (out / MARK).touch()
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror or error}") from None


def _choose_vocabularies(options: argparse.Namespace, labels: tuple[str, ...]) -> tuple[Vocabulary, Vocabulary]:
    is_drive = labels == CLASSES
    before = options.vocabulary or (SAMPLE_DRIVE_BEFORE if is_drive else RECORDING_BEFORE)
    after = options.vocabulary_after or (SAMPLE_DRIVE_AFTER if is_drive else RECORDING_AFTER)
    if before.names == after.names:
        raise InputError("the two vocabularies have the same names; choose another --vocabulary-after")
    return before, after


def _node_parameters(stack: ExitStack, before: Vocabulary, after: Vocabulary) -> dict[str, str]:
    """The first vocabulary in a file, as a command line has a limit; and masks that have room for all ids."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="errseg_demo_")))
    file = folder / "vocabulary.json"
    file.write_text(json.dumps(before.to_strings()), encoding="utf-8")
    return {"vocabulary_file": str(file), "mask_encoding": smallest_encoding((before, after))}


def _evaluate(source: Source, recording: Recording, before: Vocabulary, after: Vocabulary, out: Path) -> Report:
    """Go through the answers once: pictures and figures."""
    tallies = {words: Tally(source, words) for words in (before, after)}
    pictures = Pictures(out, recording.change)
    total = len(recording.answers)
    for frame, answer in tqdm(
        answered(source, recording), total=total, desc="  pictures", unit=" masks", disable=None, ncols=80
    ):
        tallies[answer.vocabulary].add(frame, answer)
        pictures.add(frame, answer)
    pictures.write_animation()
    first, second = (
        tallies[words].side(version, ids)
        for words, version, ids in zip((before, after), recording.versions, recording.ids, strict=True)
    )
    return Report(source, recording, first, second, out)


def _draw_drive(path: Path, pace: Pace) -> Source:
    write_sample_bag(path, SampleDrive(rate_hz=pace.rate, duration_s=pace.duration))
    try:
        (path / MARK).touch()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    return BagSource(path, pace)


def _say(name: str, value: str) -> None:
    print(f"  {name:<12}{value}", flush=True)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
