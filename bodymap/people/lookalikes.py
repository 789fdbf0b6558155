"""What looks like people and is none: statues, mannequins, pictures of people, clothes that nobody wears.

These are things (instance 0). A network that has never seen one calls every human shape a person.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8

from bodymap.people.anatomy import template
from bodymap.people.background import any_colour
from bodymap.people.config import SceneConfig
from bodymap.people.material import Material, hsv
from bodymap.people.mesh import Mesh, Piece, join
from bodymap.people.noise import tileable
from bodymap.people.pattern import draw_pattern
from bodymap.people.person import Person, build_person
from bodymap.people.pose import draw_pose
from bodymap.people.primitives import box, lathe, merge, moved, rod, rounded, tube
from bodymap.people.props import Props, metal, part, plain, wood
from bodymap.people.shape import draw_body
from bodymap.people.skinning import least_rotation, local_from_global, pose_skeleton, rotation_vector, skin
from bodymap.people.stage import Actor
from bodymap.people.streams import choose, pattern_seed, stream
from bodymap.types import PART_NAMES

if TYPE_CHECKING:
    from bodymap.people.pack import Pack

# Bystanders, statues and the people in pictures are a small troupe of their own, so that dressing is paid for once.
COMPANION_SEEDS = 3_000_000_000
_GARMENTS = 16  # different clothes on hangers
_PICTURES = 24  # different posters
_KEPT = 128  # people, meshes and pictures in memory: all that a split has of them

_kept: OrderedDict = OrderedDict()


def companion(number: int, props: Props) -> Person:
    """One of the troupe."""
    seed = COMPANION_SEEDS + number
    return _keep(("companion", number), props, lambda: build_person(seed, props.pack, props.config, props.split))


def _keep(key: tuple, props: Props, make):
    """What ``make()`` gave for this key, pack and settings; the last ones used stay in memory."""
    key = (*key, id(props.pack), repr((props.config.face, props.config.outfit)), props.split)
    if key not in _kept:
        _kept[key] = (make(), props.pack)  # holding the pack keeps its id unique
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key][0]


# ------------------------------------------------------------------ statues and mannequins
def statue(rng: np.random.Generator, props: Props) -> list[Actor]:
    """A companion in stone, bronze or plaster, from figurine to larger than life; most stand on a plinth."""
    number = int(rng.integers(props.config.scene.companions))
    person = companion(number, props)
    mesh = _keep(("statue", number), props, lambda: _cast(person, _stone(stream(number, "statue", props.split))))
    size = float(rng.choice([0.25, 0.6, 1.0, 1.2], p=[0.15, 0.2, 0.45, 0.2]) * rng.uniform(0.85, 1.15))
    actor = _standing(rng, person, mesh, props, size)
    half = 0.45 * size * rng.uniform(0.8, 1.2)
    tall = rng.uniform(0.1, 1.2) if size > 0.5 else rng.uniform(0.5, 1.1)
    if rng.random() < 0.3 and size > 0.5:
        return [actor]
    shape = (
        lathe([(0, 0), (half * 1.15, 0), (half * 1.1, 0.08), (half, 0.1), (half, tall), (0, tall)], 20)
        if rng.random() < 0.3
        else merge(
            moved(box((half, half, tall / 2)), (0, 0, tall / 2)),
            moved(box((half * 1.15, half * 1.15, 0.04)), (0, 0, 0.04)),
        )
    )
    plinth = part(shape, mesh.materials[0] if rng.random() < 0.5 else _stone(rng))
    return [moved_actor(actor, np.eye(3), np.array([0, 0, tall])), Actor.thing(join((plinth,)))]


def mannequin(rng: np.random.Generator, props: Props) -> list[Actor]:
    """A dressed figure of plastic on a foot plate, most often without a head."""
    number = int(rng.integers(props.config.scene.companions))
    person = companion(number, props)
    headless = number % 4 != 0
    own = stream(number, "mannequin", props.split)
    tone = np.full(3, own.choice([0.9, 0.75, 0.12])) if own.random() < 0.8 else hsv(0.07, 0.3, 0.8)
    plastic = plain(tone, 0.35, 30)
    mesh = _keep(("mannequin", number), props, lambda: _cast(person, plastic, clothes=True, headless=headless))
    actor = _standing(rng, person, mesh, props, 1.0, still=True)
    actors = [moved_actor(actor, np.eye(3), np.array([0, 0, 0.02]))]
    if headless:  # a knob closes the neck
        joint = person.body.heads[props.pack.bones.index("neck02")].astype(np.float32)
        knob = moved(rounded((0.055, 0.06, 0.035), 0.8, 14, 8), joint)
        bone = actor.bones[props.pack.bones.index("neck02")][None]
        actors.append(moved_actor(Actor(join((part(knob, plastic),)), bone, 0), np.eye(3), np.array([0, 0, 0.02])))
    plate = lathe([(0, 0), (0.22, 0), (0.22, 0.018), (0, 0.02)], 20)
    actors.append(Actor.thing(join((part(plate, metal(rng)),))))
    return actors


def moved_actor(actor: Actor, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " xyz=3"]) -> Actor:
    """Turned about the origin, then shifted; ``rotation`` may scale."""
    rotation, shift = np.asarray(rotation, np.float32), np.asarray(shift, np.float32)
    bones = rotation @ actor.bones
    bones[..., 3] += shift
    return replace(actor, bones=bones, draped=tuple((s, v @ rotation.T + shift) for s, v in actor.draped))


def _stone(rng: np.random.Generator) -> Material:
    """Marble, sandstone, granite, plaster, bronze, verdigris."""
    kind = choose(rng, {"marble": 0.3, "sand": 0.2, "granite": 0.15, "bronze": 0.2, "green": 0.08, "gold": 0.07})
    colour, gloss = {
        "marble": (np.array([0.88, 0.87, 0.84]) * rng.uniform(0.8, 1.08), 0.15),
        "sand": (hsv(rng.uniform(0.07, 0.12), rng.uniform(0.15, 0.4), rng.uniform(0.5, 0.8)), 0.0),
        "granite": (np.full(3, rng.uniform(0.2, 0.55)), 0.1),
        "bronze": (hsv(rng.uniform(0.06, 0.1), rng.uniform(0.3, 0.6), rng.uniform(0.12, 0.35)), 0.5),
        "green": (hsv(rng.uniform(0.38, 0.48), rng.uniform(0.2, 0.45), rng.uniform(0.35, 0.6)), 0.15),
        "gold": (hsv(0.12, 0.6, 0.7), 0.5),
    }[kind]
    stain = 1 + rng.uniform(0.1, 0.5) * tileable(rng, 64, int(rng.integers(2, 8)), 4)[..., None]
    tile = (np.clip(colour * stain, 0.01, 1) * 255).astype(np.uint8)
    return Material(
        np.asarray(colour, np.float32), pattern=tile, pattern_size=float(rng.uniform(0.4, 1.2)), gloss=gloss, shine=25.0
    )


def _cast(person: Person, material: Material, clothes: bool = False, headless: bool = False) -> Mesh:
    """The person's mesh in one material; hair cards, lashes and brows, which are cut out of textures, are left away.

    Args:
        clothes: keep what the clothes look like.  headless: end at the neck.
    """
    mesh = person.mesh
    cards = torch.tensor([m.alpha for m in mesh.materials])
    keep = ~cards[mesh.piece.long()]
    if headless:
        t = template()
        head = t.vertices[t.triangles[t.triangle_part == PART_NAMES.index("head")].unique()]
        # at the height of the chin's underside everything bound to the head or above it goes
        top = float(head[:, 2].quantile(0.02))
        low = mesh.truth[mesh.triangles.long()][..., 2].amin(1)
        keep &= low < top
    materials = []
    for layer, own in zip(mesh.layers, mesh.materials, strict=True):
        if clothes and layer not in (1, 2):
            materials.append(own)
        else:  # the folds of cloth stay, in stone
            materials.append(replace(material, folds=own.folds, relief=own.relief, waves=own.waves, phases=own.phases))
    flat = torch.stack([mesh.rest[:, 0] + 0.7 * mesh.rest[:, 1], -mesh.rest[:, 2]], 1)
    own_cloth = torch.tensor([clothes and layer not in (1, 2) for layer in mesh.layers])[mesh.vertex_piece.long()]
    return replace(
        mesh,
        triangles=mesh.triangles[keep],
        uv_triangles=mesh.uv_triangles[keep],
        piece=mesh.piece[keep],
        template_triangle=torch.full((int(keep.sum()),), -1, dtype=mesh.template_triangle.dtype),
        cloth=torch.where(own_cloth[:, None], mesh.cloth, flat),
        materials=tuple(materials),
    )


def _standing(rng, person: Person, mesh: Mesh, props: Props, size: float, still: bool = False) -> Actor:
    """In a pose around the origin, on the floor."""
    config = props.config.pose
    config = replace(config, procedural_kind={**config.procedural_kind, "sit": 0.0})  # nothing to sit on
    if still:
        config = replace(config, pack=0.0, procedural_kind={"stand": 1.0}, arms={"down": 0.7, "hips": 0.3})
    local = draw_pose(rng, props.pack, person.body.heads, config, props.split)
    placed = person.place(props.pack, local)
    middle = (placed.probe.min(0) + placed.probe.max(0)) / 2 * np.array([1, 1, 0])
    placed = placed.moved(np.eye(3), -middle)
    return moved_actor(Actor(mesh, placed.posed.transform, 0, placed.draped), np.eye(3) * size, np.zeros(3))


# ------------------------------------------------------------------ pictures
def poster(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A picture of a person, of a print or of nothing in particular: on a stand, on a wall, on a screen."""
    image = picture(int(rng.integers(_PICTURES)), props)
    tall = rng.uniform(0.4, 2.2)
    wide = tall * image.shape[1] / image.shape[0]
    foot = 0.0 if rng.random() < 0.3 else rng.uniform(0.2, 1.2)
    u, v = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 4))
    face = np.stack([(u - 0.5) * wide, np.full_like(u, -0.021), foot + (1 - v) * tall], -1)
    rows = np.arange(16).reshape(4, 4)
    a = rows[:-1, :-1].ravel()
    triangles = np.concatenate([np.stack([a, a + 1, a + 4], 1), np.stack([a + 1, a + 5, a + 4], 1)])
    shown = Material(np.ones(3, np.float32), texture=image, gloss=float(rng.uniform(0, 0.3)), shine=40.0)
    # the texture repeats at its borders: stay half a texel away from them
    uv = np.stack([u, v], -1).reshape(-1, 2) * 0.98 + 0.01
    rim = rng.uniform(0.0, 0.06)
    board = [moved(box((wide / 2 + rim, 0.02, tall / 2 + rim)), (0, 0, foot + tall / 2))]
    if foot > 0.0 and rng.random() < 0.6:
        board += [rod((x * wide * 0.4, 0.02, 0), (x * wide * 0.4, 0.02, foot), 0.02, 6) for x in (-1, 1)]
    finish = plain(np.full(3, rng.choice([0.05, 0.6, 0.9])), 0.2) if rng.random() < 0.6 else wood(rng)
    return [part((face.reshape(-1, 3).astype(np.float32), triangles), shown, uv), part(merge(*board), finish)]


def picture(number: int, props: Props) -> UInt8[np.ndarray, "height width rgb=3"]:
    """What poster ``number`` shows; most show a companion. Made once, then kept."""
    return _keep(("picture", number), props, lambda: _photographed(number, props))


def _photographed(number: int, props: Props) -> np.ndarray:
    from bodymap.people.studio import sample  # which itself puts posters into pictures

    rng = stream(number, "picture", props.split)
    size = (144, 108) if rng.random() < 0.7 else (108, 144)
    if rng.random() < 0.2:
        tile, _ = draw_pattern(pattern_seed(rng, props.split))
        return tile
    empty = SceneConfig(
        panorama=props.config.scene.panorama, bystander=0, occluder=0, distractor=0, nobody=0, studio=0.5
    )
    config = replace(props.config, size=size, scene=empty)
    shot = sample(
        COMPANION_SEEDS + number % props.config.scene.companions,
        *(int(s) for s in rng.integers(1 << 30, size=3)),
        pack=props.pack,
        config=config,
        split=props.split,
    )
    image = shot.image.copy()
    if rng.random() < 0.4:  # a headline
        rows = slice(int(size[0] * rng.uniform(0.0, 0.15)), int(size[0] * rng.uniform(0.2, 0.3)))
        image[rows] = np.asarray(any_colour(rng)) * 255
    if rng.random() < 0.15:
        image[:] = image.mean(-1, keepdims=True)
    return image


# ------------------------------------------------------------------ clothes without people
def hanger(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A garment on a hanger, from a hook on a thin stand."""
    height = rng.uniform(1.5, 2.0)
    clothes, shoulder = _hanging(rng, props)
    pieces = [_shift(piece, (0, 0, height - 0.18)) for piece in clothes]
    wire = _hook(shoulder, height)
    pole = merge(
        wire, rod((0, 0.16, 0), (0, 0.16, height + 0.1), 0.015, 6), rod((0, 0.16, height), (0, 0, height), 0.01, 6)
    )
    foot = lathe([(0, 0), (0.18, 0), (0.17, 0.02), (0, 0.03)])
    return [*pieces, part(merge(pole, moved(foot, (0, 0.16, 0))), metal(rng))]


def rack(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A rail with two to five garments, sides or fronts to the viewer."""
    height, count = rng.uniform(1.5, 1.9), int(rng.integers(2, 6))
    step = rng.uniform(0.12, 0.3)
    half = step * count / 2 + 0.2
    turn = rotation_vector(np.array([0, 0, 1.57 + rng.normal(0, 0.2)]))
    pieces, wires = [], []
    for k in range(count):
        clothes, shoulder = _hanging(rng, props)
        place = ((k - (count - 1) / 2) * step, 0, 0)
        pieces += [_shift(_turn(piece, turn), np.array(place) + [0, 0, height - 0.18]) for piece in clothes]
        wires.append(moved(_hook(shoulder, height), place, turn))
    frame = [tube(np.array([(-half, 0, 0.04), (-half, 0, height), (half, 0, height), (half, 0, 0.04)]), 0.015, 6)]
    frame += [rod((x, -0.25, 0.03), (x, 0.25, 0.03), 0.02, 6) for x in (-half, half)]
    return [*pieces, part(merge(*frame, *wires), metal(rng))]


def coat_stand(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A pole with pegs, a garment or two and perhaps a hat-like knob."""
    height = rng.uniform(1.6, 1.9)
    pegs = []
    pieces = []
    turns = rng.permutation(6)
    for k in range(6):
        a = k * np.pi / 3
        out = np.array([np.cos(a), np.sin(a), 0])
        pegs.append(rod([0, 0, height - 0.1], out * 0.12 + [0, 0, height - 0.05], 0.012, 6))
    for k in turns[: rng.integers(1, 3)]:
        a = k * np.pi / 3
        clothes, _ = _hanging(rng, props)
        turn = rotation_vector(np.array([0, 0, a + np.pi / 2]))
        place = 0.13 * np.array([np.cos(a), np.sin(a), 0]) + [0, 0, height - 0.12]
        pieces += [_shift(_turn(piece, turn), place) for piece in clothes]
    feet = [rod([0, 0, 0.15], [0.25 * np.cos(a), 0.25 * np.sin(a), 0.02], 0.015, 6) for a in (0.3, 2.4, 4.5)]
    frame = merge(rod((0, 0, 0.1), (0, 0, height), 0.02), *pegs, *feet, moved(rounded((0.04,) * 3), (0, 0, height)))
    return [*pieces, part(frame, wood(rng) if rng.random() < 0.7 else metal(rng))]


def laundry(rng: np.random.Generator, props: Props) -> list[Piece]:
    """A garment that lies flat on the floor, or on a low bed of cloth."""
    clothes, _ = _hanging(rng, props)
    flat = rotation_vector(np.array([-np.pi / 2, 0, 0]))
    low = min(float((piece.vertices @ flat.T)[:, 2].min()) for piece in clothes)
    tall = rng.choice([0.0, rng.uniform(0.3, 0.55)])
    pieces = [_shift(_turn(piece, flat), (0, 0, 0.004 - low + tall)) for piece in clothes]
    if tall:
        pieces.append(part(moved(rounded((0.6, 0.8, tall / 2), 0.2), (0, -0.4, tall / 2)), props.paint(rng, 0.5)))
    return pieces


def _hook(shoulder: float, height: float):
    """A hanger's wire below a rail."""
    t = np.linspace(-0.5, np.pi, 7)
    hook = np.stack([0.02 * np.cos(t), 0 * t, height + 0.02 * np.sin(t)], 1)
    neck = np.array([[0.0, 0, height - 0.1]])
    arms = np.array([[-shoulder, 0, height - 0.2], [0, 0, height - 0.1], [shoulder, 0, height - 0.2]])
    return merge(tube(np.concatenate([hook[::-1], neck])[1:], 0.004, 5), tube(arms, 0.006, 5))


def _turn(piece: Piece, rotation: np.ndarray) -> Piece:
    return replace(piece, vertices=(piece.vertices @ np.asarray(rotation).T).astype(np.float32))


def _shift(piece: Piece, offset) -> Piece:
    return replace(piece, vertices=(piece.vertices + np.asarray(offset)).astype(np.float32))


def _hanging(rng: np.random.Generator, props: Props) -> tuple[list[Piece], float]:
    """A flat empty garment that hangs from the origin, and half the width of its shoulders."""
    number = int(rng.integers(_GARMENTS))
    return _keep(("garment", number), props, lambda: _emptied(number, props))


def _emptied(number: int, props: Props) -> tuple[list[Piece], float]:
    from bodymap.people.dressing import Dresser

    pack, config, split = props.pack, props.config.outfit, props.split
    rng = stream(number, "garment", split)
    body = draw_body(stream(COMPANION_SEEDS + number, "body", split), pack, split)
    dresser = Dresser(COMPANION_SEEDS + number, pack, body, config, split)
    kind = choose(rng, {"top": 0.4, "jacket": 0.3, "dress": 0.15, "bottom": 0.15})
    if kind == "top":
        dresser.top(rng, False)
    elif kind == "jacket":
        dresser.jacket(rng)
    elif kind == "dress":
        dresser.dress(rng)
    else:
        dresser.bottom(rng, False)
    pieces = [p for p in dresser.pieces if p.name != "stockings" and not p.material.alpha]
    posed = _arms_down(pack, body)
    out = []
    for piece in pieces:
        vertices = skin(piece.vertices, piece.skin_index, piece.skin_weight, posed.transform)
        out.append(replace(piece, vertices=vertices, drape=None))
    everything = np.concatenate([p.vertices for p in out])
    middle = everything[:, 1].mean()
    top = everything[:, 2].max()
    near = everything[everything[:, 2] > top - 0.14]
    shoulder = float(np.clip(np.abs(near[:, 0]).max() * 0.8, 0.1, 0.25))
    flat = np.array([1.0, rng.uniform(0.25, 0.5), 1.0])
    hung = []
    for piece in out:
        count = len(piece.vertices)
        weight = np.zeros((count, 6), np.float32)
        weight[:, 0] = 1
        vertices = (piece.vertices - np.array([0, middle, top])) * flat
        hung.append(
            replace(
                piece,
                layer=0,
                vertices=vertices.astype(np.float32),
                skin_index=np.zeros((count, 6), np.int64),
                skin_weight=weight,
                template_triangle=None,
            )
        )
    return hung, shoulder


def _arms_down(pack: Pack, body):
    """The skeleton of an empty garment: sleeves hang."""
    bones = pack.bones
    wanted = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        rest = body.heads[bones.index(f"lowerarm01.{side}")] - body.heads[bones.index(f"upperarm01.{side}")]
        wanted[f"upperarm01.{side}"] = least_rotation(rest.astype(float), np.array([sign * 0.2, 0.0, -1.0]))
    return pose_skeleton(bones.parents, body.heads, local_from_global(bones.parents, bones.labels, wanted))
