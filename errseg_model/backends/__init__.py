"""Who computes the two halves of the network: PyTorch itself, or what it is compiled or exported for."""

from errseg_model.backends.factory import BACKENDS, PRECISIONS, Backend, Precision, create_backend

__all__ = ["BACKENDS", "PRECISIONS", "Backend", "Precision", "create_backend"]
