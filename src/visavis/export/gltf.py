"""Animated .glb: our head, or a user's avatar with ARKit morph targets, moved by a behaviour.

Times are the beginnings of frames. glTF's axes are ours. Our head's two joints move exactly as the
drawn head does; eyes and lids may differ from it by the corrections that `render.rig` makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, require
from visavis.export._clock import Frames, frames_at
from visavis.export._turn import quaternions
from visavis.files import atomic_path, existing_file, keep_apart
from visavis.render.looks import DEFAULT, Look

if TYPE_CHECKING:
    import pygltflib as gltf

    from visavis.export._gltf_buffer import Buffer
    from visavis.export._gltf_head import Rig


def write_glb(
    behaviour: Behaviour,
    path: str | Path,
    *,
    avatar: str | Path | None = None,
    head: str | None = None,
    look: Look = DEFAULT,
    rate: float | None = None,
) -> Path:
    """Write an animated glTF binary file.

    Args:
        behaviour: [T] with `blendshapes`, and `rotation`, `translation` where the head moves.
        avatar: a user's .glb with ARKit morph targets, found by name whatever their case, prefix
            or order; its other animations are kept. None takes our own head.
        head: name of the avatar's node to turn; None looks for one called head. An avatar's head
            turns, but is not shifted: how far it may move is its rig's affair.
        look: who our own head is.
        rate: frames a second; None keeps the behaviour's 25.

    Raises:
        MissingExtra: pygltflib is not installed.
        MissingChannel: no blendshapes.
        InputError: several persons, an avatar without ARKit targets or that cannot be read, a
            node that is not there, or a place that cannot be written.
    """
    require("pygltflib", extra="export")
    from visavis.export._gltf_buffer import Buffer
    from visavis.export._gltf_head import head_model

    frames = frames_at(behaviour, rate)
    if avatar is None:
        buffer = Buffer()
        rig = head_model(buffer, look)
        document, tracks = rig.document, _Tracks(buffer, frames)
        tracks.morph(document, {rig.mesh: _order(BLENDSHAPES)})
        _move_joints(tracks, rig)
    else:
        keep_apart(path, avatar)
        document = _read(avatar)
        buffer = Buffer(document)
        tracks = _Tracks(buffer, frames)
        tracks.morph(document, _targets(document, avatar))
        _turn_head(tracks, document, head)
    document.animations.append(tracks.animation)
    buffer.into(document)
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(document.save_to_bytes()))
    return Path(path)


class _Tracks:
    """One animation that grows, all of its channels on one clock."""

    def __init__(self, buffer: Buffer, frames: Frames) -> None:
        import pygltflib as gltf

        self.buffer, self.frames = buffer, frames
        times = (np.arange(len(frames)) / frames.rate).astype(np.float32)
        self.clock = buffer.add(times, "SCALAR", bounds=True)
        self.animation = gltf.Animation(name="reaction")

    def add(self, node: int, path: str, values: np.ndarray, kind: str) -> None:
        import pygltflib as gltf

        self.animation.samplers.append(
            gltf.AnimationSampler(
                input=self.clock,
                output=self.buffer.add(values.astype(np.float32), kind),
                interpolation="LINEAR",
            )
        )
        self.animation.channels.append(
            gltf.AnimationChannel(
                sampler=len(self.animation.samplers) - 1,
                target=gltf.AnimationChannelTarget(node=node, path=path),
            )
        )

    def morph(self, document: gltf.GLTF2, moving: Mapping[int, list[int]]) -> None:
        """Weights of every node that shows one of the meshes `moving`."""
        shapes = self.frames.blendshapes
        padded = np.concatenate([shapes, np.zeros((len(shapes), 1))], axis=1)
        for node, about in enumerate(document.nodes):
            if about.mesh in moving:
                self.add(node, "weights", padded[:, moving[about.mesh]].reshape(-1), "SCALAR")


def _move_joints(tracks: _Tracks, rig: Rig) -> None:
    from visavis.export._gltf_head import LEAN

    shift = tracks.frames.translation
    tracks.add(rig.body, "translation", LEAN * shift, "VEC3")
    tracks.add(rig.head, "translation", rig.pivot + shift, "VEC3")
    tracks.add(rig.head, "rotation", quaternions(tracks.frames.rotation), "VEC4")


# ------------------------------------------------------------------ a user's avatar


def _read(avatar: str | Path) -> gltf.GLTF2:
    import pygltflib as gltf

    path = existing_file(avatar, wanted="an avatar (.glb)")
    data = path.read_bytes()
    if data[:4] != b"glTF":
        raise InputError(f"{path} is no .glb file; a .gltf can be packed by any glTF tool.")
    try:
        document = gltf.GLTF2.load_from_bytes(data)
    except Exception as error:  # whatever the reader stumbles over in a damaged file
        raise InputError(f"{path} cannot be read as glTF ({error}).") from error
    if document is None or not document.buffers or document.buffers[0].uri is not None:
        raise InputError(f"{path} does not hold its arrays itself; pack it into one .glb.")
    return document


def _order(names: tuple[str, ...] | list[str]) -> list[int]:
    """Place of each target in `BLENDSHAPES`; 52, a column of zeros, for one that is none."""
    return [_KNOWN.get(plain(name), len(BLENDSHAPES)) for name in names]


def plain(name: str) -> str:
    """A target's name without case, prefix and underscores: "Face.M_mouthSmile_L" is a smile."""
    last = re.split(r"[.:|/]", name)[-1]
    last = re.sub(r"_L$", "Left", re.sub(r"_R$", "Right", last))
    bare = re.sub(r"[^a-z]", "", last.lower())
    found = [known for known in _KNOWN if bare.endswith(known)]
    return max(found, key=len, default=bare)


_KNOWN = {name.lower(): place for place, name in enumerate(BLENDSHAPES)}


def _targets(document: gltf.GLTF2, avatar: str | Path) -> dict[int, list[int]]:
    """Meshes with ARKit targets, and where each target's weight comes from."""
    found, seen = {}, []
    for number, mesh in enumerate(document.meshes):
        names = (mesh.extras or {}).get("targetNames") if isinstance(mesh.extras, dict) else None
        if not names:
            continue
        seen += names
        order = _order(names)
        if any(place < len(BLENDSHAPES) for place in order):
            found[number] = order
    if not found:
        came = ", ".join(seen[:6]) or "no named morph targets at all"
        raise InputError(
            f"{avatar} has none of the 52 ARKit targets (jawOpen, mouthSmileLeft, ...); it has "
            f"{came}. Rename its targets, or leave --avatar out for our own head."
        )
    return found


def _turn_head(tracks: _Tracks, document: gltf.GLTF2, name: str | None) -> None:
    node = _head_node(document, name)
    if node is None:
        return
    from visavis.export._turn import product

    parents = {child: up for up, n in enumerate(document.nodes) for child in n.children or ()}
    above = np.array([0.0, 0.0, 0.0, 1.0])
    up = parents.get(node)
    while up is not None:
        above = product(_rotation(document, up), above)
        up = parents.get(up)
    # the wanted turn is about the world's axes; the node's own are its parent's
    back = above * np.array([-1.0, -1.0, -1.0, 1.0])
    turn = product(product(back, quaternions(tracks.frames.rotation)), above)
    values = product(turn, _rotation(document, node))
    tracks.add(node, "rotation", values, "VEC4")


def _rotation(document: gltf.GLTF2, node: int) -> np.ndarray:
    about = document.nodes[node]
    if about.rotation is not None:
        return np.asarray(about.rotation, dtype=float)
    if about.matrix is None:
        return np.array([0.0, 0.0, 0.0, 1.0])
    from scipy.spatial.transform import Rotation

    block = np.asarray(about.matrix, dtype=float).reshape(4, 4).T[:3, :3]
    return np.asarray(Rotation.from_matrix(block / np.linalg.norm(block, axis=0)).as_quat())


def _head_node(document: gltf.GLTF2, name: str | None) -> int | None:
    names = [n.name or "" for n in document.nodes]
    if name is not None:
        if name not in names:
            known = ", ".join(n for n in names if n) or "no named nodes"
            raise InputError(f"the avatar has no node {name!r}; it has {known}.")
        return names.index(name)
    plainly = [re.sub(r"[^a-z]", "", re.split(r"[:|/]", n)[-1].lower()) for n in names]
    return next((i for i, n in enumerate(plainly) if n in ("head", "headbone", "jhead")), None)
