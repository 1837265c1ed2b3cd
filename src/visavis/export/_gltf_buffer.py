"""The binary part of a .glb: arrays in, numbers of accessors out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pygltflib as gltf
from numpy.typing import NDArray

Array = NDArray[Any]
VERTICES, INDICES = gltf.ARRAY_BUFFER, gltf.ELEMENT_ARRAY_BUFFER
_KINDS = {
    "float32": gltf.FLOAT,
    "uint32": gltf.UNSIGNED_INT,
    "uint16": gltf.UNSIGNED_SHORT,
    "uint8": gltf.UNSIGNED_BYTE,
}


class Buffer:
    """Collects arrays behind what a file may already have, and hangs them into it."""

    def __init__(self, document: gltf.GLTF2 | None = None) -> None:
        self._accessors: list[gltf.Accessor] = []
        self._views: list[gltf.BufferView] = []
        self._first = 0 if document is None else len(document.accessors)
        self._first_view = 0 if document is None else len(document.bufferViews)
        blob = b"" if document is None else document.binary_blob()
        self._bytes = bytearray(blob or b"")

    def add(
        self,
        values: Array,
        kind: str,
        *,
        bounds: bool = False,
        of: int | None = None,
    ) -> int:
        """An array [N, ...] of a glTF kind ("SCALAR", "VEC3", ...); its accessor's number.

        Args:
            bounds: store the least and greatest values, which positions and times must have.
            of: VERTICES or INDICES of a mesh, or neither.
        """
        accessor = gltf.Accessor(
            bufferView=self._view(values, of),
            componentType=_KINDS[str(values.dtype)],
            count=len(values),
            type=kind,
        )
        if bounds:
            flat = values.reshape(len(values), -1)
            accessor.min, accessor.max = flat.min(0).tolist(), flat.max(0).tolist()
        self._accessors.append(accessor)
        return self._first + len(self._accessors) - 1

    def add_sparse(self, shifts: Array) -> int:
        """Shifts [V, 3] that are mostly zero, stored as the rows that are not."""
        rows = np.nonzero(np.abs(shifts).max(1) > 1e-5)[0]
        # a sparse accessor must have an entry
        rows = rows if len(rows) else np.array([0])
        accessor = gltf.Accessor(
            byteOffset=None,
            componentType=gltf.FLOAT,
            count=len(shifts),
            type="VEC3",
            min=np.minimum(shifts[rows].min(0), 0).tolist(),
            max=np.maximum(shifts[rows].max(0), 0).tolist(),
            sparse=gltf.Sparse(
                count=len(rows),
                indices=gltf.AccessorSparseIndices(
                    bufferView=self._view(rows.astype(np.uint32), None),
                    componentType=gltf.UNSIGNED_INT,
                ),
                values=gltf.AccessorSparseValues(
                    bufferView=self._view(shifts[rows].astype(np.float32), None)
                ),
            ),
        )
        self._accessors.append(accessor)
        return self._first + len(self._accessors) - 1

    def into(self, document: gltf.GLTF2) -> None:
        """Hang everything into the document, whose arrays must all be in its first buffer."""
        document.accessors += self._accessors
        document.bufferViews += self._views
        if document.buffers:
            document.buffers[0].byteLength = len(self._bytes)
        else:
            document.buffers = [gltf.Buffer(byteLength=len(self._bytes))]
        document.set_binary_blob(bytes(self._bytes))

    def _view(self, values: Array, target: int | None) -> int:
        self._bytes.extend(b"\0" * (-len(self._bytes) % 4))
        data = np.ascontiguousarray(values).tobytes()
        view = gltf.BufferView(buffer=0, byteOffset=len(self._bytes), byteLength=len(data))
        view.target = target
        self._bytes.extend(data)
        self._views.append(view)
        return self._first_view + len(self._views) - 1
