"""Facial attributes from coefficients, and coefficients from attributes: the one documented map.

Linear with saturation. Every weight stands in the tables below; `docs/attributes.md` prints them
and says what the map cannot tell. It is a geometric estimate, not a measurement: no muscle is
seen, and valence, arousal and expressions are those that a face *shows*.

Sources of the correspondences:

- AUs: Ekman, Friesen and Hager (2002), Facial Action Coding System, for what each AU moves; the
  ARKit shape that moves the same thing as in public translation lists (M. Ozel, "ARKit to FACS
  cheat sheet"; Apple's descriptions of `ARFaceAnchor.BlendShapeLocation`).
- Expressions: the EMFACS prototypes (Friesen and Ekman 1983): Happy 6+12, Sad 1+4+15, Surprise
  1+2+5+26, Fear 1+2+4+5+20, Disgust 9+10, Anger 4+5+7+23+24, Contempt 14.
- Valence and arousal: signs as in Russell's circumplex (1980) for those prototypes; head bowed
  or raised after Mignault and Chaudhuri (2003). Sizes are chosen, so that a full conversational
  expression (half to two thirds of a shape's range) comes near the end of the scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import AU_LABELS, BLENDSHAPES, EXPRESSION_LABELS, GROUPS, STANDARD
from visavis.errors import InputError, MissingChannel

Row = Mapping[str, float]
"""Weights by shape. A name without its side means the mean of the left and the right shape."""

AU_WEIGHTS: Mapping[str, Row] = {
    "AU1": {"browInnerUp": 1.5},  # inner brow raiser
    "AU2": {"browOuterUp": 1.5},  # outer brow raiser
    "AU4": {"browDown": 1.5},  # brow lowerer
    "AU6": {"cheekSquint": 1.5},  # cheek raiser
    "AU7": {"eyeSquint": 1.5},  # lid tightener
    "AU9": {"noseSneer": 1.5},  # nose wrinkler
    "AU10": {"mouthUpperUp": 1.5},  # upper lip raiser
    "AU12": {"mouthSmile": 1.5},  # lip corner puller
    "AU14": {"mouthDimple": 1.5},  # dimpler
    "AU15": {"mouthFrown": 1.5},  # lip corner depressor
    "AU17": {"mouthShrugLower": 1.5},  # chin raiser
    # ARKit has no lip tightener: rolled lips (AU28) narrow the red parts most like it
    "AU23": {"mouthRollLower": 0.9, "mouthRollUpper": 0.6},
    "AU24": {"mouthPress": 1.5},  # lip pressor
    # lips part where the jaw falls and the lips do not follow (mouthClose undoes jawOpen)
    "AU25": {"jawOpen": 3.0, "mouthClose": -3.0, "mouthLowerDown": 0.75, "mouthUpperUp": 0.75},
    "AU26": {"jawOpen": 2.0},  # jaw drop
}
"""AU by blendshapes. At 1.5, an AU is labelled present (0.5) from a third of its shape's range."""

VA_WEIGHTS: Mapping[str, Row] = {
    "valence": {
        "mouthSmile": 0.9,
        "cheekSquint": 0.3,
        "mouthFrown": -0.7,
        "browDown": -0.5,
        "noseSneer": -0.4,
        "mouthPress": -0.3,
        "mouthUpperUp": -0.2,
        "mouthStretch": -0.3,
        "mouthShrugLower": -0.15,
    },
    "arousal": {
        "eyeWide": 0.6,
        "browOuterUp": 0.4,
        "browInnerUp": 0.1,
        "jawOpen": 0.3,
        "mouthStretch": 0.3,
        "mouthSmile": 0.25,
        "browDown": 0.2,
        "noseSneer": 0.2,
        "mouthFrown": -0.35,
        "eyeSquint": -0.1,
        "mouthDimple": -0.1,
    },
}

ROTATION_WEIGHTS: Mapping[str, Row] = {
    "valence": {"pitch": -0.2},
    "arousal": {"pitch": -0.2},
}
"""V/A by head rotation, per radian: a bowed head (positive pitch) reads as sadder and calmer."""

EXPRESSION_WEIGHTS: Mapping[str, Row] = {
    "Happy": {"mouthSmile": 1.2, "cheekSquint": 0.4, "browDown": -0.3, "noseSneer": -0.3},
    "Sad": {
        "mouthFrown": 1.0,
        "browInnerUp": 0.6,
        "mouthShrugLower": 0.2,
        "browDown": 0.2,
        "browOuterUp": -0.6,
        "mouthSmile": -0.6,
        "eyeWide": -0.3,
    },
    "Surprise": {
        "browOuterUp": 0.7,
        "browInnerUp": 0.4,
        "eyeWide": 0.6,
        "jawOpen": 0.4,
        "browDown": -0.7,
        "mouthSmile": -0.3,
        "mouthFrown": -0.4,
        "mouthStretch": -0.3,
    },
    "Fear": {
        "mouthStretch": 0.8,
        "eyeWide": 0.3,
        "browInnerUp": 0.2,
        "browDown": 0.1,
        "mouthSmile": -0.5,
        "jawOpen": -0.1,
        "noseSneer": -0.3,
    },
    "Disgust": {
        "noseSneer": 1.0,
        "mouthUpperUp": 0.5,
        "mouthSmile": -0.4,
        "browInnerUp": -0.3,
        "jawOpen": -0.2,
    },
    "Anger": {
        "browDown": 0.9,
        "mouthPress": 0.5,
        "mouthRollLower": 0.2,
        "eyeSquint": 0.2,
        "browInnerUp": -0.5,
        "mouthSmile": -0.5,
        "noseSneer": -0.3,
        "mouthDimple": -0.4,
    },
    "Contempt": {
        "mouthDimple": 1.1,
        "mouthSmile": -0.5,
        "mouthFrown": -0.2,
        "noseSneer": -0.2,
        "browInnerUp": -0.2,
    },
}
"""Shares of the expressions. What they leave of 1 is Neutral; beyond 1 they are scaled down."""

RIDGE = 0.02
"""Regularisation of the way back: keeps weakly determined shapes small."""


def attributes_from_coefficients(
    blendshapes: Tensor, rotation: Tensor | None = None
) -> dict[str, Tensor]:
    """Facial attributes that a face with these coefficients shows.

    AU = clamp(b A, 0, 1); V/A = clamp(b V + r R, -1, 1); an expression's share is clamp(b E, 0, 1),
    scaled down where they exceed 1 together, and Neutral is what is left.

    Args:
        blendshapes: [..., 52] in [0, 1], alphabetical ARKit order.
        rotation: [..., 3] pitch, yaw, roll in radians; None means the head at rest.

    Returns:
        au [..., 15] in [0, 1], soft (labels are values of at least 0.5); va [..., 2] in [-1, 1];
        expression [..., 8], which sums to 1. A face at rest gives 0, (0, 0) and Neutral = 1.
        Differentiable; unobserved (NaN) frames stay NaN.

    Raises:
        InputError: the last axis is not 52 (or 3), or the leading axes differ.
    """
    _check(blendshapes, "blendshapes", len(BLENDSHAPES))
    linear = blendshapes @ _forward(blendshapes.dtype, blendshapes.device)
    au, va, shares = linear[..., :15], linear[..., 15:17], linear[..., 17:]
    if rotation is not None:
        _check(rotation, "rotation", 3)
        if rotation.shape[:-1] != blendshapes.shape[:-1]:
            raise InputError(
                f"rotation {tuple(rotation.shape)} and blendshapes {tuple(blendshapes.shape)} "
                "must have the same leading axes."
            )
        va = va + rotation @ _rotation_weights(rotation.dtype, rotation.device)
    shares = shares.clamp(0.0, 1.0)
    total = shares.sum(-1, keepdim=True)
    shares = shares / total.clamp(min=1.0)
    neutral = (1.0 - shares.sum(-1, keepdim=True)).clamp(min=0.0)
    return {
        "au": au.clamp(0.0, 1.0),
        "va": va.clamp(-1.0, 1.0),
        "expression": torch.cat((neutral, shares), dim=-1),
    }


def coefficients_from_attributes(au: Tensor, va: Tensor, expression: Tensor) -> dict[str, Tensor]:
    """Coefficients of a face that shows about these attributes.

    One fixed matrix, the ridge-regularised least squares inverse of the linear part of
    `attributes_from_coefficients`, then a clamp. Left and right come out equal; gaze, blinks,
    head pose and speech shapes are in no attribute and stay at rest.

    Args:
        au: [..., 15] in [0, 1].
        va: [..., 2] in [-1, 1].
        expression: [..., 8] summing to 1; Neutral itself carries nothing.

    Returns:
        blendshapes [..., 52] in [0, 1]; rotation and translation [..., 3], zeros.

    Raises:
        InputError: a last axis has the wrong width, or the leading axes differ.
    """
    for name, value in (("au", au), ("va", va), ("expression", expression)):
        _check(value, name, len(STANDARD[name].labels))
    if not au.shape[:-1] == va.shape[:-1] == expression.shape[:-1]:
        raise InputError(
            f"au {tuple(au.shape)}, va {tuple(va.shape)} and expression "
            f"{tuple(expression.shape)} must have the same leading axes."
        )
    target = torch.cat((au, va.to(au.dtype), expression[..., 1:].to(au.dtype)), dim=-1)
    blendshapes = (target @ _backward(au.dtype, au.device)).clamp(0.0, 1.0)
    rest = torch.zeros(*au.shape[:-1], 3, dtype=au.dtype, device=au.device)
    return {"blendshapes": blendshapes, "rotation": rest, "translation": rest.clone()}


def occurrences(au: Tensor, *, on: float = 0.5, off: float = 0.35) -> Tensor:
    """AU labels with hysteresis: present from `on`, absent again from below `off`.

    A plain threshold makes labels flicker where the intensity hovers around it, as no human
    coder would. Before the first crossing an AU is present if it starts at `on` or above.

    Args:
        au: soft AUs [..., T, 15].

    Returns:
        [..., T, 15] of 0 and 1 in the dtype of `au`; NaN counts as no evidence (state is kept).

    Raises:
        InputError: not 0 <= off <= on <= 1.
    """
    if not 0.0 <= off <= on <= 1.0:
        raise InputError(f"need 0 <= off <= on <= 1, not off={off}, on={on}.")
    frames = torch.arange(1, au.shape[-2] + 1, device=au.device).unsqueeze(-1)
    rises = torch.where(au >= on, frames, 0).cummax(dim=-2).values
    falls = torch.where(au < off, frames, 0).cummax(dim=-2).values
    return (rises > falls).to(au.dtype)


def complete(behaviour: Behaviour) -> Behaviour:
    """Add the missing half of a face: attributes from coefficients, or the other way round.

    What is there is never touched. Added channels are observed exactly where all that they come
    from is observed, except that an unobserved or absent head rotation counts as rest. They are
    marked derived, so that tables can show it. Lengths, words and source are kept. Coefficients
    that are only partly there (blendshapes without rotation) are left so: nothing tells the rest.

    Raises:
        MissingChannel: neither blendshapes nor all of au, va and expression are there.
        InputError: the coefficients follow another convention than ARKit's.
    """
    attributes = GROUPS["attributes"]
    missing = tuple(name for name in attributes if name not in behaviour)
    if not missing and "blendshapes" in behaviour:
        return behaviour
    if behaviour.layout.convention != "arkit":
        raise InputError(
            f"attributes are defined for the arkit convention, not "
            f"{behaviour.layout.convention!r}. Convert the coefficients first."
        )
    if "blendshapes" in behaviour:
        observed = behaviour.mask("blendshapes")
        rotation = behaviour.filled("rotation", 0.0) if "rotation" in behaviour else None
        made = attributes_from_coefficients(behaviour.filled("blendshapes", 0.0), rotation)
    elif not missing:
        observed = torch.stack([behaviour.mask(name) for name in attributes]).all(0)
        made = coefficients_from_attributes(*(behaviour.filled(name, 0.0) for name in attributes))
        missing = tuple(name for name in GROUPS["coefficients"] if name not in behaviour)
    else:
        raise MissingChannel(
            "completing a face needs blendshapes, or all of au, va and expression; "
            f"this behaviour has {', '.join(behaviour.layout.names)}."
        )
    return behaviour.with_channels(
        {name: made[name] for name in missing},
        observed=dict.fromkeys(missing, observed),
        derived=True,
    )


def _check(value: Tensor, name: str, width: int) -> None:
    if value.ndim == 0 or value.shape[-1] != width:
        raise InputError(f"{name} must be [..., {width}], not {tuple(value.shape)}.")


def _column(row: Row) -> Tensor:
    column = torch.zeros(len(BLENDSHAPES), dtype=torch.float64)
    for name, weight in row.items():
        sides = (name,) if name in BLENDSHAPES else (f"{name}Left", f"{name}Right")
        for side in sides:
            column[BLENDSHAPES.index(side)] += weight / len(sides)
    return column


@lru_cache(maxsize=1)
def _tables() -> tuple[Tensor, Tensor]:
    """The linear part [52, 24] (15 AUs, V/A, 7 expressions) and its inverse [24, 52], float64."""
    rows = (
        *(AU_WEIGHTS[label] for label in AU_LABELS),
        *(VA_WEIGHTS[label] for label in STANDARD["va"].labels),
        *(EXPRESSION_WEIGHTS[label] for label in EXPRESSION_LABELS[1:]),
    )
    forward = torch.stack([_column(row) for row in rows], dim=1)
    gram = forward.T @ forward
    inverse = torch.linalg.solve(gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype), forward.T)
    return forward, inverse


@lru_cache(maxsize=16)
def _forward(dtype: torch.dtype, device: torch.device) -> Tensor:
    return _tables()[0].to(device, dtype)


@lru_cache(maxsize=16)
def _backward(dtype: torch.dtype, device: torch.device) -> Tensor:
    return _tables()[1].to(device, dtype)


@lru_cache(maxsize=16)
def _rotation_weights(dtype: torch.dtype, device: torch.device) -> Tensor:
    weights = torch.zeros(3, 2, dtype=torch.float64)
    for column, label in enumerate(STANDARD["va"].labels):
        for name, weight in ROTATION_WEIGHTS[label].items():
            weights[STANDARD["rotation"].index(name), column] = weight
    return weights.to(device, dtype)
