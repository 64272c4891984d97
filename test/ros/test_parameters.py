from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from errseg_model import InputError, Vocabulary
from errseg_model.config import model_config
from errseg_ros.declarations import DECLARATIONS
from errseg_ros.default_vocabulary import DEFAULT_VOCABULARY
from errseg_ros.parameters import Parameters, Values

CONFIG = Path(__file__).parents[2] / "config"
DECLARED = {declaration.name: declaration for declaration in DECLARATIONS}
LITE = model_config("errseg-lite")
OWN = {"input_size": [480, 640], "resize": LITE.resize, "max_classes": LITE.max_classes, "min_share": LITE.min_share}
"""Of errseg-lite."""
SCHEMA_TYPES = {
    Parameter.Type.BOOL: "boolean",
    Parameter.Type.STRING: "string",
    Parameter.Type.DOUBLE: "number",
    Parameter.Type.INTEGER: "integer",
    Parameter.Type.STRING_ARRAY: "array",
    Parameter.Type.INTEGER_ARRAY: "array",
}


@pytest.fixture
def start(ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes nodes in this process that were started with ROS arguments."""
    monkeypatch.setenv("ROS_LOG_DIR", ros_environment["ROS_LOG_DIR"])
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    contexts = []

    def make(*arguments: str) -> tuple[Node, Parameters]:
        context = Context()
        contexts.append(context)
        rclpy.init(args=["--ros-args", *arguments], context=context, domain_id=int(ros_environment["ROS_DOMAIN_ID"]))
        node = Node("errseg", context=context)
        return node, Parameters(node)

    yield make
    for context in contexts:
        rclpy.shutdown(context=context)


def settings(**values: str) -> list[str]:
    return [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]


def test_defaults(start: Callable[..., Any]) -> None:
    node, parameters = start()
    assert parameters.values == Values(
        vocabulary=Vocabulary.parse(DEFAULT_VOCABULARY),
        vocabulary_file="",
        model="errseg-lite",
        checkpoint="",
        device="auto",
        backend="pytorch",
        precision="float32",
        cameras=("camera",),
        image_transport="raw",
        input_size=(480, 640),
        resize=LITE.resize,
        image_size=(720, 1280),
        max_classes=LITE.max_classes,
        min_share=LITE.min_share,
        confidence_threshold=0.0,
        mask_encoding="mono8",
        class_confidence_encoding="32FC1",
        latency_warn_ms=500.0,
        latency_error_ms=2000.0,
        stale_seconds=3.0,
        autostart=True,
    )
    for name, declaration in DECLARED.items():
        descriptor = node.describe_parameter(name)
        assert descriptor.description
        assert descriptor.read_only is not declaration.at_run_time


def test_size_and_classes_default_to_the_model_s_own(start: Callable[..., Any]) -> None:
    values = start(*settings(model="errseg-l"))[1].values
    assert (values.input_size, values.resize) == ((768, 768), "stretch")
    assert (values.max_classes, values.min_share) == (32, 0.0)


def test_a_parameter_file_sets_them(start: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    vocabulary: [road, 'car, automobile']\n    cameras: [front, rear/left]\n"
        "    input_size: [64, 96]\n    resize: letterbox\n    image_size: [1080, 1920]\n"
        "    max_classes: 3\n    min_share: 0.125\n    confidence_threshold: 0.25\n    mask_encoding: mono16\n"
    )
    _, parameters = start("--params-file", str(file))
    values = parameters.values
    assert values.vocabulary.to_strings() == ["road", "car, automobile"]
    assert values.cameras == ("front", "rear/left")
    assert (values.input_size, values.resize, values.image_size) == ((64, 96), "letterbox", (1080, 1920))
    assert (values.max_classes, values.min_share, values.confidence_threshold) == (3, 0.125, 0.25)
    assert values.mask_encoding == "mono16"


def test_a_vocabulary_file_wins_and_is_what_the_parameter_shows(start: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "names.yaml"
    file.write_text("- tree\n- sky, heaven\n")
    node, parameters = start(*settings(vocabulary_file=str(file), vocabulary="[road]"))
    assert parameters.values.vocabulary.to_strings() == ["tree", "sky, heaven"]
    assert list(node.get_parameter("vocabulary").value) == ["tree", "sky, heaven"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"vocabulary": "[]"}, ["vocabulary", "string array", "empty list"]),
        ({"vocabulary": "[1, 2]"}, ["vocabulary", "string array"]),
        ({"vocabulary": "road"}, ["vocabulary", "string array"]),
        ({"vocabulary": "[road, ROAD]"}, ["vocabulary", "entry 2", "'ROAD'"]),
        ({"vocabulary": '[road, ""]'}, ["vocabulary", "entry 2", "empty"]),
        ({"vocabulary_file": "/nowhere/names.yaml"}, ["/nowhere/names.yaml", "no such file"]),
        ({"model": "errseg-xl"}, ["model", "'errseg-xl'", "errseg-lite"]),
        ({"device": "gpu"}, ["device", "'gpu'", "cuda:N"]),
        ({"backend": "onnx"}, ["backend", "'onnx'", "onnxruntime"]),
        ({"precision": "fp16"}, ["precision", "'fp16'", "float16"]),
        ({"cameras": "[]"}, ["cameras", "string array", "empty list"]),
        ({"cameras": '["front camera"]'}, ["cameras", "'front camera'"]),
        ({"cameras": "[/front]"}, ["cameras", "'/front'"]),
        ({"cameras": "[a, b, a]"}, ["cameras", "'a'", "twice"]),
        ({"image_transport": "theora"}, ["image_transport", "'theora'", "raw, compressed"]),
        ({"input_size": "[64]"}, ["input_size", "[64]", "multiples of 32"]),
        ({"input_size": "[64, 65]"}, ["input_size", "[64, 65]", "multiples of 32"]),
        ({"input_size": "64"}, ["input_size", "integer array"]),
        ({"resize": "crop"}, ["resize", "'crop'", "stretch, letterbox"]),
        ({"image_size": "[720]"}, ["image_size", "[720]", "[height, width]"]),
        ({"image_size": "[0, 1280]"}, ["image_size", "[0, 1280]", "1 to 32768"]),
        ({"image_size": "[1, 32769]"}, ["image_size", "[1, 32769]", "1 to 32768"]),
        ({"image_size": "[32768, 32768]"}, ["image_size", "[32768, 32768]", "67108864 pixels"]),
        ({"image_size": "[720.0, 1280.0]"}, ["image_size", "integer array", "[720, 1280]"]),
        ({"max_classes": "0"}, ["max_classes", "0", "Min: 1"]),
        ({"max_classes": "many"}, ["max_classes", "integer"]),
        ({"min_share": "-0.1"}, ["min_share", "-0.1"]),
        ({"min_share": ".nan"}, ["min_share", "nan"]),
        ({"min_share": "0"}, ["min_share", "double", "0.0"]),
        ({"confidence_threshold": "1.5"}, ["confidence_threshold", "1.5"]),
        ({"confidence_threshold": "1.0000001"}, ["confidence_threshold", "1.0000001"]),
        ({"confidence_threshold": ".nan"}, ["confidence_threshold", "nan"]),
        ({"confidence_threshold": "1"}, ["confidence_threshold", "double", "0.0"]),
        ({"mask_encoding": "mono32"}, ["mask_encoding", "'mono32'", "mono8, mono16"]),
        ({"class_confidence_encoding": "64FC1"}, ["class_confidence_encoding", "'64FC1'"]),
        ({"stale_seconds": "-1.0"}, ["stale_seconds", "-1.0"]),
        ({"latency_error_ms": ".inf"}, ["latency_error_ms", "inf"]),
    ],
    ids=lambda value: "".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_value_at_start_is_named(start: Callable[..., Any], setting: dict[str, str], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        start(*settings(**setting))
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text


class Applied:
    def __init__(self) -> None:
        self.values: list[Values] = []
        self.error: Exception | None = None

    def __call__(self, values: Values) -> None:
        if self.error is not None:
            raise self.error
        self.values.append(values)


def change(node: Node, **values: Any) -> Any:
    return node.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])


def test_parameters_set_together_take_effect_together(start: Callable[..., Any]) -> None:
    node, parameters = start()
    parameters.on_change(applied := Applied())
    assert change(node, vocabulary=["road"], max_classes=2, min_share=0.25, confidence_threshold=0.5).successful
    assert applied.values == [parameters.values]
    values = parameters.values
    assert (values.vocabulary.names, values.max_classes) == (("road",), 2)
    assert (values.min_share, values.confidence_threshold) == (0.25, 0.5)


@pytest.mark.parametrize(
    "limits",
    [{"latency_warn_ms": 3000.0, "latency_error_ms": 5000.0}, {"latency_error_ms": 20.0, "latency_warn_ms": 10.0}],
)
def test_both_limits_of_the_latency_may_be_set_one_by_one_in_any_order(
    start: Callable[..., Any], limits: dict[str, float]
) -> None:
    node, parameters = start()
    parameters.on_change(Applied())
    for order in (list(limits), list(limits)[::-1]):
        for name in order:
            assert change(node, **{name: limits[name]}).successful
    assert vars(parameters.values).items() >= limits.items()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"vocabulary": ["road", "Road "]}, ["entry 2", "Road"]),
        ({"vocabulary": ["road", "x" * 201]}, ["entry 2", "xxx", "201"]),
        ({"vocabulary": ["a\x07b"]}, ["entry 1", "U+0007"]),
        ({"vocabulary": [f"n{i}" for i in range(1001)]}, ["1001"]),
        ({"vocabulary": ["sky"], "confidence_threshold": math.nan}, ["confidence_threshold", "nan"]),
        ({"vocabulary": ["sky"], "confidence_threshold": 1.0000001}, ["confidence_threshold"]),
        ({"vocabulary": ["sky"], "max_classes": 0}, ["max_classes"]),
        ({"vocabulary": ["sky"], "min_share": 1.5}, ["min_share"]),
        ({"vocabulary": ["sky"], "min_share": math.nan}, ["min_share", "nan"]),
        ({"vocabulary": ["sky"], "stale_seconds": math.nan}, ["stale_seconds", "nan"]),
        ({"vocabulary": ["sky"], "mask_encoding": "mono16"}, ["read-only", "mask_encoding"]),
        ({"vocabulary": "sky"}, ["type"]),
        ({"vocabulary": None}, ["undeclared"]),
    ],
    ids=str,
)
def test_a_wrong_change_is_rejected_with_a_reason_and_nothing_changes(
    start: Callable[..., Any], values: dict[str, Any], words: list[str]
) -> None:
    node, parameters = start()
    parameters.on_change(applied := Applied())
    before = parameters.values
    result = change(node, **values)
    assert not result.successful
    assert all(word in result.reason for word in words), result.reason
    assert applied.values == [] and parameters.values is before
    assert list(node.get_parameter("vocabulary").value) == list(DEFAULT_VOCABULARY)


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        (Parameter("vocabulary", value=["road"]), None),
        (Parameter("use_sim_time", value=True), None),
        (
            Parameter("vocabulary", Parameter.Type.BOOL_ARRAY, []),
            "parameter vocabulary: expected a value of type string array, such as [road, sidewalk]; "
            "an empty list has no type in ROS parameters",
        ),
        (Parameter("vocabulary"), "parameter vocabulary: expected a value of type string array"),
        (
            Parameter("confidence_threshold", value=1),
            "parameter confidence_threshold: expected a value of type double, such as 0.0",
        ),
        (Parameter("max_classes", value=1.0), "parameter max_classes: expected a value of type integer, such as 48"),
        (Parameter("model", value="errseg-b"), "parameter model is read-only: it is taken when the node starts"),
        (Parameter("input_size", value=1), "parameter input_size is read-only"),
        (Parameter("resize", value="stretch"), "parameter resize is read-only"),
        (Parameter("image_size", value=[1, 1]), "parameter image_size is read-only"),
        (Parameter("x\n" * 100, value=1), "there is no parameter 'x\\nx\\n"),
    ],
    ids=str,
)
def test_what_rclpy_refuses_by_itself_is_refused_in_words(
    start: Callable[..., Any], parameter: Parameter, reason: str | None
) -> None:
    _, parameters = start()
    for others in ([], [Parameter("vocabulary", value=["sky"])]):
        refusal = parameters.refusal([*others, parameter])
        assert refusal is None if reason is None else refusal.startswith(reason), refusal
        assert len(refusal or "") < 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputError("no free id, use mono16"), "no free id, use mono16"),
        (
            RuntimeError("CUDA out of memory"),
            "the change failed, nothing has changed: RuntimeError: CUDA out of memory",
        ),
    ],
)
def test_a_change_that_cannot_be_applied_is_rejected(start: Callable[..., Any], error: Exception, reason: str) -> None:
    node, parameters = start()
    parameters.on_change(applied := Applied())
    applied.error = error
    before = parameters.values
    result = change(node, vocabulary=["road"])
    assert (result.successful, result.reason) == (False, reason)
    assert parameters.values is before
    assert list(node.get_parameter("vocabulary").value) == list(DEFAULT_VOCABULARY)


def test_parameters_of_others_are_left_to_them(start: Callable[..., Any]) -> None:
    node, parameters = start()
    parameters.on_change(applied := Applied())
    assert node.declare_parameter("qos_overrides./x.publisher.depth", 1).value == 1
    assert change(node, use_sim_time=True).successful
    assert applied.values == []


def test_the_default_vocabulary_is_the_cityscapes_file() -> None:
    assert Vocabulary.read(CONFIG / "vocabularies" / "cityscapes.yaml").to_strings() == list(DEFAULT_VOCABULARY)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    schema = json.loads((CONFIG / "errseg.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def documented() -> dict[str, Any]:
    """The parameters in the parameter file, with those that are commented out."""
    text = (CONFIG / "errseg.param.yaml").read_text()
    for name in (*OWN, "use_sim_time"):
        assert f"    # {name}: " in text
        text = text.replace(f"    # {name}: ", f"    {name}: ")
    return yaml.safe_load(text)["/**"]["ros__parameters"]


def test_the_parameter_file_has_every_parameter_with_its_default() -> None:
    defaults = {name: OWN.get(name, declaration.default) for name, declaration in DECLARED.items()}
    assert documented() == {**defaults, "use_sim_time": False}


def test_the_parameter_file_starts_the_node(start: Callable[..., Any]) -> None:
    assert start("--params-file", str(CONFIG / "errseg.param.yaml"))[1].values == start()[1].values


def test_the_schema_has_every_parameter_with_type_default_choices_and_bounds(schema: dict[str, Any]) -> None:
    properties = schema["$defs"]["parameters"]["properties"]
    assert properties.keys() == {*DECLARED, "use_sim_time"}
    for name, declaration in DECLARED.items():
        entry = properties[name]
        assert entry["type"] == SCHEMA_TYPES[declaration.type], name
        assert entry.get("default") == declaration.default, name
        assert sorted(entry.get("enum", ())) == sorted(declaration.choices), name
        assert (entry.get("minimum"), entry.get("maximum")) == (declaration.bounds or (None, None)), name


def test_the_schema_accepts_the_parameter_file(schema: dict[str, Any]) -> None:
    jsonschema.validate({"/**": {"ros__parameters": documented()}}, schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocabulary": []},
        {"modell": "errseg-lite"},
        {"device": "gpu"},
        {"input_size": [64, 65]},
        {"resize": "crop"},
        {"image_size": [0, 1280]},
        {"image_size": [720]},
        {"max_classes": 0},
        {"min_share": 1.5},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_node_refuses(schema: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"/**": {"ros__parameters": wrong}}, schema)
