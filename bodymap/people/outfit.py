"""What a person wears, from skin to hat; pieces come from the pack's garments, from shells and from skirts."""

from __future__ import annotations

import numpy as np

from bodymap.people.anatomy import Anatomy, template
from bodymap.people.config import OutfitConfig
from bodymap.people.dressing import Dresser
from bodymap.people.hosiery import seen_through
from bodymap.people.material import Material, Tint, brightness, procedural_skin, recolour, skin_colour, toned
from bodymap.people.mesh import Piece, at_all_corners
from bodymap.people.mouth import mouth_pieces
from bodymap.people.pack import SKIN_VERTICES, Pack
from bodymap.people.shape import Body
from bodymap.people.shoes import put_on_shoes
from bodymap.people.streams import choose, of_split, stream
from bodymap.people.wardrobe import Wardrobe
from bodymap.types import LAYER_NAMES

SKIN = LAYER_NAMES.index("skin")


def dress(
    seed: int, pack: Pack, body: Body, config: OutfitConfig, split: str, clothes: int | None = None
) -> list[Piece]:
    """The pieces of one person; the first is the skin, with all 13380 vertices and only the triangles that may show.

    Args:
        clothes: another person's seed: this one wears that one's clothes and shoes (cut to this body; the same as long
            as both are of one sex, and no children). None: their own.
    """
    clothes = seed if clothes is None else clothes
    dresser = Dresser(seed, pack, body, config, split, clothes)
    rng = stream(clothes, "outfit", split)
    kind = choose(rng, config.kind)
    if kind == "dress" and not body.female and rng.random() > config.male_dress:
        kind = "separates"
    if kind == "bare" and body.age < 16:  # children are always dressed
        kind = "separates"
    {
        "separates": dresser.separates,
        "dress": dresser.dress,
        "one_piece": dresser.one_piece,
        "coat": dresser.coat,
        "bare": dresser.bare,
    }[kind](rng)
    put_on_shoes(stream(clothes, "shoes", split), dresser)
    dresser.head(stream(seed, "head", split))
    dresser.carried(stream(seed, "carried", split))
    mouth = mouth_pieces(stream(seed, "mouth", split), dresser.wardrobe, body)
    skin = skin_piece(seed, pack, body, dresser.hidden, split, config.skin_tone)
    return [skin, *(seen_through(piece, skin) for piece in dresser.pieces), *mouth]


# By how much the mean of a skin's texture may change: further up, its blotches and what JPEG left of it show
_DARKER, _LIGHTER = 0.25, 1.6


def skin_piece(seed: int, pack: Pack, body: Body, hidden: np.ndarray, split: str, toned_share: float = 0.0) -> Piece:
    """The body itself: the template's triangles, less those whose corners are all under cloth.

    Args:
        toned_share: how many of the pack's skins take a tone of their own (``OutfitConfig.skin_tone``).
    """
    t = template()
    a: Anatomy = Wardrobe.of(pack).anatomy
    triangles = t.triangles.numpy()
    # the inside of the mouth is never an answer: where a face opens it, ``mouth_pieces`` draw it
    keep = ~at_all_corners(hidden, triangles) & (t.triangle_inner.numpy() == 0)
    rng = stream(seed, "skin", split)
    suits = [s for s in of_split(pack.skins, split) if s.gender in ("any", "female" if body.female else "male")]
    if suits:
        age = "young" if body.age < 35 else "middleage" if body.age < 58 else "old"
        suits = [s for s in suits if s.age in ("any", age)] or suits
        texture = pack.image(suits[rng.integers(len(suits))].texture)
        tint = recolour(rng, texture, None)
        other = stream(seed, "tone", split)
        if other.random() < toned_share:
            texture, tint = _other_tone(other, [pack.image(s.texture) for s in suits])
    else:
        texture, tint = procedural_skin(rng), None
    rest = a.rest[:SKIN_VERTICES]
    return Piece(
        name="skin",
        layer=SKIN,
        vertices=body.vertices[:SKIN_VERTICES],
        triangles=triangles[keep],
        uv=t.skin_uv.numpy(),
        uv_triangles=t.uv_triangles.numpy()[keep],
        skin_index=pack.skin_index[:SKIN_VERTICES],
        skin_weight=pack.skin_weight[:SKIN_VERTICES],
        truth=rest,
        rest=rest,
        cloth=np.zeros((SKIN_VERTICES, 2), np.float32),
        material=Material(np.ones(3), texture=texture, tint=tint, gloss=float(rng.uniform(0.03, 0.12)), shine=14.0),
        template_triangle=np.flatnonzero(keep),
    )


def _other_tone(rng: np.random.Generator, textures: list[np.ndarray]) -> tuple[np.ndarray, Tint]:
    """A tone from dark to light, and one of the textures that can carry it."""
    target = skin_colour(rng)
    change = np.array([target.mean() / brightness(texture) for texture in textures])
    fit = np.flatnonzero((change > _DARKER) & (change < _LIGHTER))
    chosen = textures[fit[rng.integers(len(fit))] if len(fit) else np.abs(np.log(change)).argmin()]
    return chosen, toned(rng, chosen, target)
