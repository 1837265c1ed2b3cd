"""A `.task` bundle put together from the wheel's own models: it loads, and fails at a picture.

Detector and mesh are mediapipe's, with the metadata that Tasks wants; a stand-in with constant
scores takes the place of the blendshape model, which no wheel holds. The wheel's mesh gives seven
outputs where Tasks' has two, so the graph stops when it first sees a face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

POINTS, SCORES = 146, 52
"""Landmarks that the blendshape model reads (x and y), and scores that it gives."""


def score(number: int) -> float:
    """What the stand-in gives for score `number`."""
    return number / 100


def write_task(path: Path) -> Path:
    """Write the bundle to `path`."""
    import mediapipe
    from mediapipe.tasks.python.metadata.metadata_writers import (
        metadata_writer,
        model_asset_bundle_utils,
    )

    modules = Path(mediapipe.__file__).parent / "modules"

    def ready(name: str, mean: float, std: float) -> Any:
        writer = metadata_writer.MetadataWriter(bytearray((modules / name).read_bytes()))
        writer.add_general_info("model", "a model of the wheel")
        writer.add_image_input([mean], [std])
        return writer.populate()[0]

    models = {
        "face_detector.tflite": ready(
            "face_detection/face_detection_short_range.tflite", 127.5, 127.5
        ),
        "face_landmarks_detector.tflite": ready(
            "face_landmark/face_landmark_with_attention.tflite", 0.0, 255.0
        ),
        "face_blendshapes.tflite": _constant(),
    }
    model_asset_bundle_utils.create_model_asset_bundle(
        {name: bytes(model) for name, model in models.items()}, str(path)
    )
    return path


def _constant() -> bytes:
    """A TFLite model [1, 146, 2] -> [1, 52]: a layer whose weights are zero."""
    import flatbuffers
    from mediapipe.tasks.metadata import schema_py_generated as schema

    def tensor(name: str, shape: tuple[int, ...], buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, list(shape), buffer
        made.type = schema.TensorType.FLOAT32
        return made

    def buffer(values: np.ndarray | None = None) -> Any:
        made = schema.BufferT()
        if values is not None:
            made.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
        return made

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    layer = schema.OperatorT()
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = schema.FullyConnectedOptionsT()
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("points", (1, POINTS, 2), 0),
        tensor("weights", (SCORES, 2 * POINTS), 1),
        tensor("bias", (SCORES,), 2),
        tensor("scores", (1, SCORES), 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [layer]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [
        buffer(),
        buffer(np.zeros((SCORES, 2 * POINTS))),
        buffer(np.array([score(number) for number in range(SCORES)])),
    ]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
