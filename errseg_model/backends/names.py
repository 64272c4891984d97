"""What can be chosen. Imports no PyTorch, so that a command line that only asks for help is quick."""

from __future__ import annotations

BACKENDS = ("pytorch", "compiled", "onnxruntime", "tensorrt", "openvino")
PRECISIONS = ("float32", "bfloat16", "float16")
