"""Who computes the two halves of the network: PyTorch itself, or what it is compiled or exported for."""
