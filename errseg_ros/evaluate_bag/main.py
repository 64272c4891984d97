"""Command `evaluate_bag`: how good and how fast a model is on recorded drives."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from errseg_model.cli.options import add_model_options, count, input_size, model_choice, vocabulary
from errseg_model.errors import InputError
from errseg_model.files import in_the_way, shown
from errseg_model.memory import reuse_memory
from errseg_model.model_choice import ModelChoice
from errseg_model.openmp import wait_passively
from errseg_model.vocabulary import Vocabulary
from errseg_ros.evaluate_bag.fleet.options import add_fleet_options, fleet_options
from errseg_ros.evaluate_bag.labels import read_label_names, read_palette
from errseg_ros.evaluate_bag.live.options import LiveOptions, add_live_options, live_options
from errseg_ros.evaluate_bag.output_bag import OutputBags, check_output
from errseg_ros.evaluate_bag.results import Evaluation, VocabularyPeriod
from errseg_ros.evaluate_bag.run import Interrupt, evaluate_bags
from errseg_ros.evaluate_bag.settings import DEFAULT_TOLERANCE_SECONDS, Comparison, Settings
from errseg_ros.evaluate_bag.state import FOLDER

COMPARE_KEYS = (
    "model", "checkpoint", "vocabulary", "input-size", "max-classes", "resize", "min-share", "backend", "precision",
)  # fmt: skip


def make_parser() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(
        prog="evaluate_bag", description="Segment the images of recorded drives (rosbag2), and report."
    )
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="folder of a rosbag2, or its one file")
    parser.add_argument("--image-topic", metavar="T", help="raw or compressed; may be left out where there is but one")
    parser.add_argument("--label-topic", metavar="L", help="images of the true classes")
    names = parser.add_mutually_exclusive_group()
    names.add_argument("--labels", type=Path, metavar="FILE", help="YAML, id: name; else the bag's LabelInfo tells")
    names.add_argument("--palette", type=Path, metavar="FILE", help="YAML, name: [r, g, b], for labels in colours")
    parser.add_argument(
        "--tolerance",
        type=_at_least_zero,
        default=DEFAULT_TOLERANCE_SECONDS,
        metavar="SECONDS",
        help=f"between the stamps of image and label (default {DEFAULT_TOLERANCE_SECONDS})",
    )
    parser.add_argument("--stride", type=count, default=1, metavar="N", help="every N-th image (default: every one)")
    parser.add_argument(
        "--vocabulary",
        type=vocabulary,
        metavar="V",
        help="file, or entries separated by ';' (default: the labels' classes, without labels Cityscapes' 19)",
    )
    parser.add_argument(
        "--vocabulary-at",
        type=_period,
        action="append",
        default=[],
        metavar="SECONDS=V",
        help="another vocabulary from so long after a bag's first image on; may be repeated",
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="KEY=VALUE",
        help=f"compare masks with those of another model or vocabulary: {', '.join(COMPARE_KEYS)}",
    )
    add_model_options(parser)
    parser.add_argument(
        "--confidence-threshold", type=_share, default=0.0, metavar="X", help="a pixel below is unlabelled (default 0)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the report")
    parser.add_argument(
        "--output-bag",
        type=Path,
        metavar="DIR",
        help="write a bag with masks, confidences and overlays beside what was recorded; of several bags, a folder "
        "with one for each",
    )
    parser.add_argument("--resume", action="store_true", help="go on with an evaluation that was interrupted")
    add_fleet_options(parser)
    add_live_options(parser, _at_least_zero)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Console script; exit status 2 and one line for wrong input, 130 after Ctrl-C."""
    reuse_memory()
    wait_passively()
    parser = make_parser()
    arguments = parser.parse_args(argv)
    interrupt = Interrupt()
    try:
        live = live_options(arguments, parser)
        with interrupt:
            return _run(arguments, interrupt) if live is None else _run_live(arguments, live, interrupt)
    except InputError as error:
        print(f"evaluate_bag: error: {error}", file=sys.stderr)
        return 2 if interrupt.signal is None else 128 + interrupt.signal
    except KeyboardInterrupt:
        print("evaluate_bag: interrupted; what was kept can be gone on with by --resume", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(arguments: argparse.Namespace, interrupt: Interrupt) -> int:
    from errseg_ros.evaluate_bag.report import write_report

    output = arguments.output_bag
    if output is not None:
        check_output(output, arguments.resume)
    fleet = fleet_options(arguments)
    compute = None
    if fleet is not None:
        from errseg_ros.evaluate_bag.fleet.run import evaluate_on_ray

        compute = partial(evaluate_on_ray, fleet)
    evaluation = evaluate_bags(
        arguments.bags,
        settings_of(arguments),
        arguments.out,
        arguments.resume,
        interrupt,
        output_bags=None if output is None else OutputBags(output.absolute(), len(arguments.bags) > 1),
        report=lambda evaluation: write_report(evaluation, arguments.out),
        compute=compute,
    )
    print(_in_short(evaluation, arguments.out))
    if not evaluation.interrupted and os.path.isdir(arguments.out / FOLDER):
        print("What was done of the bags that were left out is kept: --resume with them goes on.")
    if not evaluation.interrupted:
        if output is not None:
            print(f"bag with masks and overlays: {shown(output)}")
        return 0
    without = ""
    if output is not None:
        print(f"evaluate_bag: of the bag in work nothing is left in {output}", file=sys.stderr)
        without = " and without --output-bag"
    print(
        "evaluate_bag: interrupted; the report is of the images until then. Give the same command with --resume"
        f"{without} to go on",
        file=sys.stderr,
    )
    return 128 + (interrupt.signal or signal.SIGINT)


def _run_live(arguments: argparse.Namespace, options: LiveOptions, interrupt: Interrupt) -> int:
    from errseg_ros.evaluate_bag.report import write_report

    _check_place(arguments.out)
    try:
        from errseg_ros.evaluate_bag.live.session import evaluate_live
    except ImportError as error:
        raise InputError(f"--live needs ROS 2 (rclpy, vision_msgs): {error}") from None
    evaluation = evaluate_live(
        arguments.bags[0], settings_of(arguments), options, interrupt, say=lambda line: print(line, flush=True)
    )
    write_report(evaluation, arguments.out)
    print(_in_short(evaluation, arguments.out))
    if not evaluation.interrupted and os.path.isdir(arguments.out / FOLDER):
        print("What was done of the bags that were left out is kept: --resume with them goes on.")
    return 0


def _check_place(out: Path) -> None:
    """Raises InputError where no folder can be made: a drive is not to be played in vain."""
    if (place := in_the_way(out)) is not None:
        raise InputError(f"--out {out} cannot be written: {place} is no folder that can be written to")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """What the options ask for. Raises InputError for those that contradict each other."""
    if arguments.label_topic is None and (arguments.labels or arguments.palette):
        raise InputError("--labels and --palette name the labels of a --label-topic, which is missing")
    key = read_label_names(arguments.labels) if arguments.labels else None
    if arguments.palette:
        key = read_palette(arguments.palette)
    model = model_choice(arguments)
    periods = sorted(arguments.vocabulary_at, key=lambda period: period.since)
    if arguments.vocabulary is not None:
        periods.insert(0, VocabularyPeriod(0.0, arguments.vocabulary))
    for earlier, later in zip(periods, periods[1:], strict=False):
        if earlier.since == later.since:
            raise InputError(f"two vocabularies are to come into force after {later.since:g} s")
    return Settings(
        model=model,
        periods=tuple(periods),
        image_topic=arguments.image_topic,
        label_topic=arguments.label_topic,
        label_key=key,
        tolerance_seconds=arguments.tolerance,
        stride=arguments.stride,
        confidence_threshold=arguments.confidence_threshold,
        comparison=None if arguments.compare is None else _comparison(arguments.compare, model),
    )


def _comparison(pairs: Sequence[str], evaluated: ModelChoice) -> Comparison:
    values = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [pair for pair in pairs if pair.partition("=")[0] not in COMPARE_KEYS or "=" not in pair]:
        raise InputError(f"--compare takes KEY=VALUE with {', '.join(COMPARE_KEYS)}, got {wrong[0]!r}")
    model = evaluated
    if "model" in values:
        model = ModelChoice(
            values["model"], device=evaluated.device, backend=evaluated.backend, precision=evaluated.precision
        )
    if "checkpoint" in values:
        model = replace(model, checkpoint=Path(values["checkpoint"]))
    try:
        if "input-size" in values:
            model = replace(model, input_size=input_size(values["input-size"]))
        if "max-classes" in values:
            model = replace(model, max_classes=int(values["max-classes"]))
        if "min-share" in values:
            model = replace(model, min_share=float(values["min-share"]))
        model = replace(
            model,
            resize=values.get("resize", model.resize),
            backend=values.get("backend", model.backend),
            precision=values.get("precision", model.precision),
        )
        words = Vocabulary.from_argument(values["vocabulary"]) if "vocabulary" in values else None
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise InputError(f"--compare: {error}") from None
    if model == evaluated and words is None:
        raise InputError("--compare names what is evaluated anyway: give another model or vocabulary")
    return Comparison(model, words)


def _in_short(evaluation: Evaluation, out: Path) -> str:
    parts = [f"{len(evaluation.frames)} images of {len(evaluation.bags)} bag{'s' * (len(evaluation.bags) > 1)}"]
    if evaluation.truth is not None and evaluation.truth.compared:
        confusion = evaluation.truth.confusion
        parts.append(f"mIoU {confusion.miou() * 100:.2f}, pixel accuracy {confusion.pixel_accuracy() * 100:.2f}")
    if evaluation.live is not None:
        parts.append(f"{evaluation.live.answered} of {evaluation.live.published} published images answered")
    if evaluation.frames_per_second is not None:
        parts.append(f"{evaluation.frames_per_second:.2f} images a second")
    problems = [f"{bag.name}: {problem}" for bag in evaluation.bags for problem in bag.problems]
    return "\n".join([*problems, f"{', '.join(parts)}; see {shown(out / 'report.html')}"])


def _at_least_zero(text: str) -> float:
    value = _number(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, got {text!r}")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def _period(text: str) -> VocabularyPeriod:
    seconds, equals, words = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected SECONDS=V such as '5=road; sky', got {text!r}")
    return VocabularyPeriod(_at_least_zero(seconds), vocabulary(words))


if __name__ == "__main__":
    sys.exit(main())
