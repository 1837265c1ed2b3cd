"""Our drawn head as a glTF model: 52 morph targets and two joints, body and head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pygltflib as gltf
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.export._gltf_buffer import INDICES, VERTICES, Buffer
from visavis.render.draw import dressed
from visavis.render.looks import DEFAULT, Look
from visavis.render.mesh import PIVOT, Head
from visavis.render.shading import EYE, PAINTED

F32 = NDArray[np.float32]

LEAN = 0.7
"""Share of the head's shift that the body takes, as in the drawn head (`render.vertices.pose`)."""


@dataclass(frozen=True)
class Rig:
    """Which node carries what."""

    document: gltf.GLTF2
    mesh: int
    body: int
    head: int
    pivot: F32


def head_model(buffer: Buffer, look: Look = DEFAULT) -> Rig:
    """The head of a `Look`, in metres, at rest; its arrays go into `buffer`."""
    who = dressed(look)
    head = who.head
    document = gltf.GLTF2()
    primitive = gltf.Primitive(
        attributes=gltf.Attributes(
            POSITION=buffer.add(head.vertices, "VEC3", bounds=True, of=VERTICES),
            NORMAL=buffer.add(_normals(head), "VEC3", of=VERTICES),
            COLOR_0=buffer.add(_colours(head, who.albedo, who.inks), "VEC3", of=VERTICES),
            JOINTS_0=buffer.add(_joints(head), "VEC4", of=VERTICES),
            WEIGHTS_0=buffer.add(_weights(head), "VEC4", of=VERTICES),
        ),
        indices=buffer.add(head.triangles.astype(np.uint32).reshape(-1), "SCALAR", of=INDICES),
        material=0,
        targets=[gltf.Attributes(POSITION=buffer.add_sparse(delta)) for delta in head.deltas],
    )
    document.meshes.append(
        gltf.Mesh(
            name=f"listener {look.name}",
            primitives=[primitive],
            weights=[0.0] * len(BLENDSHAPES),
            extras={"targetNames": list(BLENDSHAPES)},
        )
    )
    document.materials.append(
        gltf.Material(
            name="painted",
            doubleSided=True,
            pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=0.0, roughnessFactor=0.65
            ),
        )
    )
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, :3] = -PIVOT  # column-major, as glTF stores matrices
    document.skins.append(
        gltf.Skin(inverseBindMatrices=buffer.add(inverse.reshape(2, 16), "MAT4"), joints=[1, 2])
    )
    document.nodes += [
        gltf.Node(name="face", mesh=0, skin=0),
        gltf.Node(name="body"),
        gltf.Node(name="head", translation=[float(x) for x in PIVOT]),
        gltf.Node(name="listener", children=[1, 2]),
    ]
    document.scenes.append(gltf.Scene(nodes=[0, 3]))
    document.scene = 0
    return Rig(document, mesh=0, body=1, head=2, pivot=PIVOT)


def _joints(head: Head) -> NDArray[np.uint8]:
    out = np.zeros((len(head.vertices), 4), np.uint8)
    out[:, 1] = head.follow > 0  # a joint without weight must be 0
    return out


def _weights(head: Head) -> F32:
    out = np.zeros((len(head.vertices), 4), np.float32)
    out[:, 1] = head.follow
    out[:, 0] = 1 - head.follow
    return out


def _normals(head: Head) -> F32:
    """Unit normals at rest, area weighted, [V, 3]."""
    a, b, c = (head.vertices[head.triangles[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)
    out = np.zeros_like(head.vertices)
    for corner in range(3):
        np.add.at(out, head.triangles[:, corner], area)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    flat = length[:, 0] < 1e-12
    out[flat], length[flat] = (0.0, 0.0, 1.0), 1.0
    return np.asarray(out / length, np.float32)


def _colours(head: Head, albedo: F32, inks: F32) -> F32:
    """Linear colour of each vertex with lips, irises and shade painted in, [V, 3] in [0, 1]."""
    out = albedo * (0.35 + 0.65 * head.occlusion[:, None])
    lips = _on(head, PAINTED)
    share = _ease(-0.05, 0.07, head.paint[:, 0])[:, None] * lips[:, None]
    out = out * (1 + share * (inks[0] - 1))
    reach = np.hypot(head.paint[:, 0], head.paint[:, 1])
    iris_radius, pupil_radius = float(inks[3, 0]), float(inks[3, 1])
    front = _on(head, EYE) & (head.paint[:, 2] > 0)
    iris = (1 - _ease(iris_radius - 0.025, iris_radius + 0.025, reach)) * front
    pupil = (1 - _ease(pupil_radius - 0.03, pupil_radius + 0.03, reach))[:, None]
    tint = inks[1] * (1 - pupil) + 0.006 * pupil
    out = out * (1 - iris[:, None]) + tint * iris[:, None]
    return np.asarray(np.clip(out, 0, 1), np.float32)


def _on(head: Head, kind: int) -> NDArray[np.bool_]:
    """Vertices of triangles of a kind."""
    out = np.zeros(len(head.vertices), bool)
    out[head.triangles[head.kind == kind]] = True
    return out


def _ease(low: float, high: float, x: F32) -> F32:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
