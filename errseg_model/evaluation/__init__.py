"""Measures a model on labelled images: what it gets right, how sure it is of it, and what time it takes."""
