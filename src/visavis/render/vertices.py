"""What happens to vertices each frame: morphs, pose, normals, light, projection. For numba."""

from __future__ import annotations

import numpy as np

from visavis.render._jit import F32, I32, Scalar, compiled


@compiled
def morph(rest: F32, weights: F32, starts: I32, rows: I32, deltas: F32, out: F32) -> None:
    """`out` = `rest` plus weighted sparse deltas; shape i owns entries starts[i]:starts[i + 1]."""
    for v in range(rest.shape[0]):
        out[v, 0] = rest[v, 0]
        out[v, 1] = rest[v, 1]
        out[v, 2] = rest[v, 2]
    for shape in range(weights.shape[0]):
        weight = weights[shape]
        if weight == 0.0:
            continue
        for entry in range(starts[shape], starts[shape + 1]):
            v = rows[entry]
            out[v, 0] += weight * deltas[entry, 0]
            out[v, 1] += weight * deltas[entry, 1]
            out[v, 2] += weight * deltas[entry, 2]


@compiled
def keep_on_balls(points: F32, members: I32, ball: I32, low: F32, high: F32, centres: F32) -> None:
    """Push points[members] radially until their distance to a ball's centre is in [low, high].

    Eyeballs stay round under any mix of gaze shapes, and lids slide over them instead of through.
    """
    for entry in range(members.shape[0]):
        v = members[entry]
        b = ball[entry]
        x = points[v, 0] - centres[b, 0]
        y = points[v, 1] - centres[b, 1]
        z = points[v, 2] - centres[b, 2]
        distance = np.sqrt(x * x + y * y + z * z) + np.float32(1e-12)
        wanted = min(max(distance, low[entry]), high[entry])
        if wanted != distance:
            scale = wanted / distance
            points[v, 0] = centres[b, 0] + x * scale
            points[v, 1] = centres[b, 1] + y * scale
            points[v, 2] = centres[b, 2] + z * scale


@compiled
def pose(points: F32, follow: F32, rotation: F32, pivot: F32, translation: F32) -> None:
    """Turn points about `pivot` and shift them, each by its share `follow` in [0, 1].

    What does not turn (the body) still takes most of the shift, as a body does that leans.
    """
    rest = np.float32(0.7)
    for v in range(points.shape[0]):
        share = follow[v]
        shift = rest + (np.float32(1.0) - rest) * share
        if share == 0.0:
            for axis in range(3):
                points[v, axis] += rest * translation[axis]
            continue
        x = points[v, 0] - pivot[0]
        y = points[v, 1] - pivot[1]
        z = points[v, 2] - pivot[2]
        for axis in range(3):
            turned = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
            posed = turned + pivot[axis]
            points[v, axis] += share * (posed - points[v, axis]) + shift * translation[axis]


@compiled
def vertex_normals(points: F32, triangles: I32, out: F32) -> None:
    """Unit normals, area weighted."""
    out[:] = 0.0
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux = points[b, 0] - points[a, 0]
        uy = points[b, 1] - points[a, 1]
        uz = points[b, 2] - points[a, 2]
        wx = points[c, 0] - points[a, 0]
        wy = points[c, 1] - points[a, 1]
        wz = points[c, 2] - points[a, 2]
        nx = uy * wz - uz * wy
        ny = uz * wx - ux * wz
        nz = ux * wy - uy * wx
        for corner in range(3):
            v = triangles[f, corner]
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(points.shape[0]):
        x, y, z = out[v, 0], out[v, 1], out[v, 2]
        scale = np.float32(1.0) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-20))
        out[v, 0] = x * scale
        out[v, 1] = y * scale
        out[v, 2] = z * scale


@compiled
def light(
    points: F32,
    normals: F32,
    albedo: F32,
    occlusion: F32,
    sheen: F32,
    soft: F32,
    lamps: F32,
    eye_z: Scalar,
    out: F32,
) -> None:
    """Colour of each vertex in linear light, [V, 3].

    Args:
        points, normals: [V, 3] in the camera's axes.
        albedo: [V, 3] linear.
        occlusion: [V] share of the sky that is seen, 1 in the open.
        sheen: [V] strength of highlights.
        soft: [V] how far light creeps round the terminator (skin 1, cloth 0).
        lamps: [4, 6]: direction towards key, fill, rim and highlight lamp; linear colour of each.
        eye_z: where the camera sits on the z axis.
    """
    for v in range(points.shape[0]):
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        vx, vy, vz = -points[v, 0], -points[v, 1], eye_z - points[v, 2]
        scale = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx * scale, vy * scale, vz * scale
        facing = max(nx * vx + ny * vy + nz * vz, np.float32(0.0))
        key = nx * lamps[0, 0] + ny * lamps[0, 1] + nz * lamps[0, 2]
        fill = nx * lamps[1, 0] + ny * lamps[1, 1] + nz * lamps[1, 2]
        rim = nx * lamps[2, 0] + ny * lamps[2, 1] + nz * lamps[2, 2]
        hx, hy, hz = vx + lamps[3, 0], vy + lamps[3, 1], vz + lamps[3, 2]
        gleam = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
        gleam = max(gleam, np.float32(0.0))
        gleam = gleam * gleam
        gleam = gleam * gleam
        gleam = gleam * gleam * gleam * gleam * sheen[v]
        edge = 1.0 - facing
        edge = edge * edge * edge * max(rim + np.float32(0.35), np.float32(0.0))
        sky = (0.5 + 0.5 * ny) * occlusion[v]
        open_key = 0.35 + 0.65 * occlusion[v]
        for channel in range(3):
            # Red creeps furthest round the terminator, as it does in skin.
            wrap = soft[v] * (0.42 - 0.14 * channel) + 0.06
            lit = max(key + wrap, np.float32(0.0)) / (1.0 + wrap)
            filled = max(fill + 0.3, 0.0) / 1.3
            total = lamps[0, 3 + channel] * lit * open_key
            total += lamps[1, 3 + channel] * filled * occlusion[v]
            total += (0.16 + 0.14 * sky) * occlusion[v] * (1.0 + soft[v] * (0.1 - 0.1 * channel))
            out[v, channel] = (
                albedo[v, channel] * total
                + lamps[2, 3 + channel]
                * edge
                * occlusion[v] ** 2
                * (0.35 + 0.65 * albedo[v, channel])
                + lamps[3, 3 + channel] * gleam * occlusion[v]
            )


@compiled
def project(
    points: F32, eye_z: Scalar, focal: Scalar, centre: Scalar, drop: Scalar, out: F32
) -> None:
    """Screen x and y in samples and 1/z of each point, [V, 3]; 1/z is 0 behind the lens."""
    for v in range(points.shape[0]):
        z = eye_z - points[v, 2]
        if z > 0.05:
            inverse = 1.0 / z
            out[v, 0] = centre + focal * points[v, 0] * inverse
            out[v, 1] = centre - focal * (points[v, 1] - drop) * inverse
            out[v, 2] = inverse
        else:
            out[v, 2] = 0.0
