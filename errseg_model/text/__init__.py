"""Words become unit vectors: the text towers and the cache in front of them."""

from errseg_model.text.encoder import TextEncoder
from errseg_model.text.tower import TextTower

__all__ = ["TextEncoder", "TextTower"]
