"""Ways from coefficients to attributes, chosen by name.

"linear" is the first map (`features/attributes.py`): frozen, and what the tracker, the corpora, the
simulator and every stored score use. "learned" reads valence, arousal and expressions with a small
network: valence and arousal were learned from the latent affect of simulated speakers, through
their articulation; expressions from faces made after the EMFACS prototypes. Its AUs are the first
map's. Both see what a face shows, not what a person feels. docs/attributes.md has both's errors.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES, EXPRESSION_LABELS
from visavis.errors import InputError, nearest
from visavis.features.attributes import attributes_from_coefficients

MAPS = ("linear", "learned")
FILE = "learned_map.safetensors"
SINGLES = tuple(n for n in BLENDSHAPES if not n.endswith(("Left", "Right")))
PAIRS = tuple(n.removesuffix("Left") for n in BLENDSHAPES if n.endswith("Left"))


def features(blendshapes: Tensor, rotation: Tensor) -> Tensor:
    """What the network reads: [..., 52] and [..., 3] to [..., F].

    Shapes of one side come in as their mean and the size of their difference: a face and its
    mirror image show the same.
    """
    at = {name: place for place, name in enumerate(BLENDSHAPES)}
    left = blendshapes[..., [at[f"{n}Left"] for n in PAIRS]]
    right = blendshapes[..., [at[f"{n}Right"] for n in PAIRS]]
    single = blendshapes[..., [at[n] for n in SINGLES if f"{n}Left" not in at]]
    parts = (single, (left + right) / 2, (left - right).abs(), rotation[..., :1])
    return torch.cat(parts, dim=-1)


def network(hidden: int = 48) -> torch.nn.Sequential:
    """Features to (valence, arousal, 8 expressions) before tanh and softmax; one hidden layer."""
    width = features(torch.zeros(52), torch.zeros(3)).shape[-1]
    return torch.nn.Sequential(
        torch.nn.Linear(width, hidden),
        torch.nn.SiLU(),
        torch.nn.Linear(hidden, 2 + len(EXPRESSION_LABELS)),
    )


@lru_cache(maxsize=1)
def _trained() -> torch.nn.Sequential:
    from safetensors.torch import load_file

    with as_file(files("visavis.features") / FILE) as path:
        tensors = load_file(path)
    made = network(len(tensors["0.bias"]))
    made.load_state_dict(tensors)
    return made.requires_grad_(False).eval()


def shown(
    blendshapes: Tensor, rotation: Tensor | None = None, *, map: str = "linear"
) -> dict[str, Tensor]:
    """Attributes that a face shows, by the map of that name.

    Args:
        blendshapes: [..., 52] in [0, 1].
        rotation: [..., 3] radians; None means the head at rest.
        map: "linear" or "learned".

    Returns:
        au [..., 15] in [0, 1], va [..., 2] in [-1, 1], expression [..., 8] that sums to 1;
        NaN frames stay NaN.

    Raises:
        InputError: an unknown map, or shapes that do not fit.
    """
    if map not in MAPS:
        raise InputError(f"there is no map {map!r} to attributes. {nearest(map, MAPS)}")
    first = attributes_from_coefficients(blendshapes, rotation)
    if map == "linear":
        return first
    turned = blendshapes.new_zeros(*blendshapes.shape[:-1], 3) if rotation is None else rotation
    made = _trained().to(blendshapes.device)
    out = made(features(blendshapes, turned).float()).to(blendshapes.dtype)
    return {
        "au": first["au"],
        "va": out[..., :2].tanh(),
        "expression": out[..., 2:].softmax(-1),
    }


def with_attributes(behaviour: Behaviour, *, map: str = "learned") -> Behaviour:
    """The behaviour with `au`, `va`, `expression` read anew from its coefficients, marked derived.

    AUs are soft, in [0, 1]; `person_occurrences` makes labels of them.

    Raises:
        MissingChannel: no blendshapes.
        InputError: an unknown map, or another convention than ARKit's.
    """
    if behaviour.layout.convention != "arkit":
        raise InputError(
            f"attributes are defined for the arkit convention, not "
            f"{behaviour.layout.convention!r}. Convert the coefficients first."
        )
    observed = behaviour.mask("blendshapes")
    rotation = behaviour.filled("rotation", 0.0) if behaviour.has("rotation") else None
    made = shown(behaviour.filled("blendshapes", 0.0), rotation, map=map)
    return behaviour.with_channels(made, observed=dict.fromkeys(made, observed), derived=True)


def person_occurrences(
    au: Tensor, *, rise: float = 0.3, fall: float = 0.2, rest: float = 0.25, least: float = 0.1
) -> Tensor:
    """AU labels with thresholds of this person's own.

    Faces differ at rest (a low brow is no frown) and in how far they move. Each AU's rest is a low
    quantile of its values in the clip; it is present from `rest + rise * room` until it falls below
    `rest + fall * room`, where room is what is left up to 1. With rest at 0 that is 0.3 and 0.2.

    Args:
        au: soft AUs of one person [..., T, 15]; NaN where unobserved.
        rise, fall: shares of the room; fall at most rise.
        rest: quantile that counts as rest: lower than the share of time an AU is present.
        least: an AU whose whole range in the clip is smaller is never labelled: noise.

    Returns:
        [..., T, 15] of 0 and 1 in the dtype of `au`; unobserved frames keep the state before.

    Raises:
        InputError: numbers outside [0, 1], or fall above rise.
    """
    if not 0.0 <= fall <= rise <= 1.0 or not 0.0 <= rest <= 1.0 or least < 0.0:
        raise InputError(
            f"need 0 <= fall <= rise <= 1 and rest in [0, 1], not fall={fall}, rise={rise}, "
            f"rest={rest}."
        )
    wide = au.double()
    low = torch.nanquantile(wide, rest, dim=-2, keepdim=True).nan_to_num(0.0)
    top = torch.nan_to_num(wide, nan=-1.0).amax(-2, keepdim=True)
    room = 1.0 - low
    on = torch.where(top - low < least, torch.inf, low + rise * room)
    frames = torch.arange(1, au.shape[-2] + 1, device=au.device).unsqueeze(-1)
    rises = torch.where(wide >= on, frames, 0).cummax(dim=-2).values
    falls = torch.where(wide < low + fall * room, frames, 0).cummax(dim=-2).values
    return (rises > falls).to(au.dtype)
