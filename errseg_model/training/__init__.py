"""Training of `errseg-lite`: recipe, words, crops, losses, loop."""
