"""Training: recipe, data, words, losses, loop."""
