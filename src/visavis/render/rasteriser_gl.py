"""Triangles to samples on OpenGL (moderngl over EGL): a machine's GPU, or Mesa in software.

It fills the same two arrays as `rasteriser.rasterise`, from the same projected points, so
everything before and after is shared and pictures differ only where two triangles meet within
rounding. A context belongs to the thread that made it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from visavis.errors import InputError, require
from visavis.render._jit import F32, I32

_VERTEX = """
#version 330
uniform float side;
in vec3 at;
noperspective out float near;
void main() {
    near = at.z;
    // 1/z is linear over the screen, so depth needs no division; 20 is a point 5 cm away
    gl_Position = vec4(2.0 * at.xy / side - 1.0, 1.0 - at.z / 10.0, 1.0);
}
"""
_FRAGMENT = """
#version 330
noperspective in float near;
layout(location = 0) out float depth;
layout(location = 1) out int face;
void main() {
    depth = near;
    face = gl_PrimitiveID;
}
"""


class _Canvas(threading.local):
    """One thread's context and what it draws into."""

    context: Any = None
    side = 0
    triangles: I32 | None = None
    vertices = 0

    def begin(self) -> None:
        if self.context is not None:
            return
        moderngl = require("moderngl", extra="render")
        try:
            self.context = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:  # whatever a driver throws
            raise InputError(
                f"no OpenGL over EGL here ({error}). On Debian: apt-get install libegl1 libgl1 "
                "libgl1-mesa-dri; or draw with rasteriser='numba'."
            ) from error
        self.program = self.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)

    def fit(self, side: int, vertices: int, triangles: I32) -> None:
        if side != self.side:
            self.near = self.context.texture((side, side), 1, dtype="f4")
            self.face = self.context.texture((side, side), 1, dtype="i4")
            depth = self.context.depth_renderbuffer((side, side))
            self.target = self.context.framebuffer([self.near, self.face], depth)
            self.side = side
            self.program["side"] = float(side)
        if triangles is not self.triangles or vertices != self.vertices:
            self.points = self.context.buffer(reserve=vertices * 12, dynamic=True)
            index = self.context.buffer(np.ascontiguousarray(triangles))
            self.mesh = self.context.vertex_array(
                self.program, [(self.points, "3f", "at")], index_buffer=index
            )
            self.triangles, self.vertices = triangles, vertices


_CANVAS = _Canvas()


def rasterise_gl(screen: F32, triangles: I32, near: F32, face: I32) -> None:
    """Fill `near` (1/z) and `face` (triangle, -1 for none), both [N, N]; front faces only.

    Raises:
        MissingExtra: moderngl is not installed.
        InputError: there is no OpenGL on this machine.
    """
    canvas = _CANVAS
    canvas.begin()
    canvas.fit(len(near), len(screen), triangles)
    context = canvas.context
    canvas.points.write(np.ascontiguousarray(screen))
    canvas.target.use()
    canvas.target.clear(depth=1.0)
    context.enable_only(context.DEPTH_TEST | context.CULL_FACE)
    context.front_face = "cw"  # the screen's y points down
    canvas.mesh.render()
    canvas.near.read_into(near)
    canvas.face.read_into(face)
    face[near == 0.0] = -1


def renderer() -> str:
    """What draws: the name of the GPU, or Mesa's llvmpipe."""
    _CANVAS.begin()
    return str(_CANVAS.context.info["GL_RENDERER"])
