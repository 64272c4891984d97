"""Data sets in their published folder layouts."""
