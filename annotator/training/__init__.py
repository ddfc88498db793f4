"""Training: the only part of the library that imports torch and transformers (extra ``train``)."""

from importlib.util import find_spec

from annotator.errors import MissingExtraError

for _module in ("torch", "transformers", "datasets", "accelerate", "safetensors", "onnx", "onnxscript"):
    if find_spec(_module) is None:
        raise MissingExtraError("training", "train", _module)
