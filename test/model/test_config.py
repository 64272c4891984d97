from __future__ import annotations

import pytest

from errseg_model.config import ModelConfig, check_input_size, list_models, model_config
from errseg_model.errors import InputError


def test_models() -> None:
    assert list_models() == ("errseg-b", "errseg-l", "errseg-lite")


@pytest.mark.parametrize(
    ("name", "embedding", "widths", "side"),
    [("errseg-b", 640, (128, 256, 512, 1024), 640), ("errseg-l", 768, (192, 384, 768, 1536), 768)],
)
def test_published_sizes(name: str, embedding: int, widths: tuple[int, ...], side: int) -> None:
    config = model_config(name)
    assert (config.embedding_size, config.stage_widths, config.input_size) == (
        embedding,
        widths,
        (side, side),
    )
    assert (config.width, config.layers, config.heads, config.decoder_widths) == (128, 4, 4, (64, 32, 16))


def test_unknown_model_names_the_models() -> None:
    with pytest.raises(InputError, match="'errseg-x': expected one of errseg-b, errseg-l, errseg-lite"):
        model_config("errseg-x")


def test_fields_must_be_complete_and_known() -> None:
    values = dict(vars(model_config("errseg-lite")))
    with pytest.raises(InputError, match="lacks heads"):
        ModelConfig.from_dict({key: value for key, value in values.items() if key != "heads"})
    with pytest.raises(InputError, match="unknown fields colour"):
        ModelConfig.from_dict(values | {"colour": 1})


@pytest.mark.parametrize("size", [(0, 32), (-32, 32), (33, 64), (32,), (32, 32, 32)])
def test_wrong_input_size(size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        check_input_size(size)  # type: ignore[arg-type]
