"""The dresser: puts one garment after another on a body and keeps account of the skin they hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from bodymap.people import shells
from bodymap.people.accessories import draw_hat, draw_scarf, press_hair
from bodymap.people.carried import carried_things
from bodymap.people.config import OutfitConfig
from bodymap.people.fabric import draw_cloth, made_cloth
from bodymap.people.hair import HAIR, draw_head, scalp_level
from bodymap.people.hosiery import draw_legwear
from bodymap.people.layers import Layers
from bodymap.people.mesh import Piece, at_all_corners, corner_normals, cut, keep_triangles, open_edges
from bodymap.people.overwear import draw_collar, outer_cloth
from bodymap.people.pack import SKIN_VERTICES, Garment, Pack
from bodymap.people.prints import place_print
from bodymap.people.shape import Body
from bodymap.people.skirts import Drape, SkirtCut, make_skirt
from bodymap.people.streams import choose, of_split, stream
from bodymap.people.wardrobe import Wardrobe
from bodymap.people.worn import worn_things
from bodymap.types import LAYER_NAMES

UPPER, LOWER, SHOES = (LAYER_NAMES.index(name) for name in ("upper", "lower", "shoes"))
_HEM_MARGIN = 0.03  # metres of skin kept under a hem: in some pose one looks that far up a sleeve


class Dresser:
    """Collects ``pieces`` and ``hidden`` (13380,) bool, the skin vertices that cloth covers."""

    def __init__(self, seed: int, pack: Pack, body: Body, config: OutfitConfig, split: str, clothes: int | None = None):
        self.clothes = seed if clothes is None else clothes  # the seed of what is worn
        self.seed, self.pack, self.body, self.config, self.split = seed, pack, body, config, split
        self.wardrobe = Wardrobe.of(pack)
        self.a = self.wardrobe.anatomy
        self.pieces: list[Piece] = []
        self.layers = Layers(self.wardrobe, body)
        self.hidden = np.zeros(SKIN_VERTICES, bool)
        self.hip = float(self.a.heads["upperleg01.L"][2])
        self.waist = float(self.a.heads["spine04"][2])
        self.neck = float(self.a.heads["neck01"][2])

    # ------------------------------------------------------------------ outfits
    def separates(self, rng: np.random.Generator) -> None:
        """A bottom and a top, perhaps a jacket over them."""
        tucked = rng.random() < 0.35
        self.bottom(rng, tucked)
        self.top(rng, tucked)
        if rng.random() < self.config.jacket:
            self.jacket(rng)

    def dress(self, rng: np.random.Generator) -> None:
        """A bodice and a skirt of one cloth: from summer dress to gown."""
        draw_legwear(self, shorts=False)  # first: what comes later keeps clear of what is there
        cloth = self.cloth(rng)
        sleeve = choose(rng, {"none": 0.4, "short": 0.28, "long": 0.32})
        level = self.top_level(rng, sleeve, self.waist - 0.03)
        self.shell(level, 0.004 + rng.uniform(0, 0.006), 0.0, cloth, UPPER, "bodice", "skin", int(rng.integers(3, 14)))
        self.skirt(rng, cloth, UPPER, top=-(self.waist - self.hip) - rng.uniform(-0.02, 0.06), dressy=True)
        if rng.random() < self.config.jacket * 0.8:
            self.jacket(rng)

    def one_piece(self, rng: np.random.Generator) -> None:
        """An overall, a suit that is one mesh, a tracksuit."""
        made = of_split(self.pack.garments_of("full", split="all"), self.split)
        if made and rng.random() < 0.5:
            self.made(rng, made[rng.integers(len(made))], cut_chance=0.1)
            return
        cloth = self.cloth(rng)
        level = np.maximum(
            self.top_level(rng, choose(rng, {"none": 0.2, "short": 0.3, "long": 0.5}), None),
            shells.legs(self.a, self.a.leg_length * rng.choice([0.2, 0.5, 0.97], p=[0.2, 0.1, 0.7])),
        )
        loose = rng.uniform(0, 0.03)
        self.shell(level, 0.005, loose, cloth, UPPER, "jumpsuit", "tights" if loose > 0.012 else "skin", 8)

    def coat(self, rng: np.random.Generator) -> None:
        """Trousers or a skirt, a top, and a long coat over them, open or closed."""
        self.bottom(rng, True)
        self.top(rng, True)
        cloth, thick = outer_cloth(rng, self)
        cloth = replace(cloth, folds=float(rng.uniform(0.2, 0.5)))
        gap = 0.0 if rng.random() < 0.45 else float(rng.uniform(0.02, 0.14))
        level = np.maximum(
            self.top_level(rng, "long", self.waist - 0.04), shells.open_front(self.a, gap) if gap else -1.0
        )
        offset = rng.uniform(0.02, 0.03) + thick
        inner = [piece.drape.cut for piece in self.pieces if isinstance(piece.drape, Drape)]
        skin = slice(0, SKIN_VERTICES)
        hips = (np.abs(self.a.rest[skin, 2] - self.hip) < 0.12) & (self.a.of("arm", "hand")[skin] < 0.3)
        worn = float(np.quantile(self.layers.height[hips], 0.98))
        self.shell(level, offset, rng.uniform(0.0, 0.02), cloth, UPPER, "coat", "tights", 10)
        length = rng.uniform(0.25, 0.95) * self.a.leg_length
        skirt = SkirtCut(
            top=-(self.waist - self.hip) - 0.03,
            hem=length,
            flare=float(rng.uniform(0.02, 0.16)),
            pleats=int(rng.integers(3, 8)),
            pleat_depth=float(rng.uniform(0, 0.04)),
            pleat_phase=float(rng.uniform(0, 6)),
            gap=gap / 0.14 if gap else 0.0,
            margin=max(offset, worn) + 0.01,
        )
        for under in inner:  # the coat hangs outside a skirt, in the same folds
            skirt = replace(
                skirt,
                flare=max(skirt.flare, under.flare),
                pleats=under.pleats,
                pleat_depth=under.pleat_depth,
                pleat_phase=under.pleat_phase,
                margin=skirt.margin + 0.01,
            )
        piece = make_skirt(self.wardrobe, self.body, skirt, cloth, UPPER, "coat skirt")
        self.pieces.append(place_print(piece, self.a))
        draw_collar(self, cloth)

    def bare(self, rng: np.random.Generator) -> None:
        """Swimwear, underwear, a bare chest with shorts, sports bra."""
        length = rng.choice([-0.03, 0.06, 0.2]) if rng.random() < 0.7 else self.a.leg_length * 0.97
        level = np.maximum(shells.below(self.a, self.waist - rng.uniform(-0.01, 0.06)), shells.legs(self.a, length))
        self.shell(level, 0.003, 0.0, self.cloth(rng), LOWER, "trunks", "skin", 2)
        if self.body.female or rng.random() < 0.25:
            hem = self.a.heads["spine01"][2] - rng.uniform(0.08, 0.2) if rng.random() < 0.7 else self.waist
            self.shell(self.top_level(rng, "none", hem), 0.003, 0.0, self.cloth(rng), UPPER, "bra", "skin", 3)

    # ------------------------------------------------------------------ garments
    def bottom(self, rng: np.random.Generator, tucked: bool) -> None:
        """Trousers, shorts, leggings or a skirt."""
        table = dict(self.config.bottom)
        if not self.body.female and "skirt" in table:
            table["skirt"] *= 0.08
        kind = choose(rng, table)
        if kind == "made":
            suits = [
                g for g in of_split(self.pack.garments_of("bottom", split="all"), self.split) if self.suits(rng, g)
            ]
            if suits:
                self.made(rng, suits[rng.integers(len(suits))], cut_chance=0.22, limb="leg")
                return
            kind = "shell"
        if kind == "skirt":
            draw_legwear(self, shorts=False)
            self.skirt(
                rng, self.cloth(rng), LOWER, top=-(self.waist - self.hip) + rng.uniform(-0.03, 0.08), dressy=False
            )
            return
        length = self.a.leg_length * rng.choice([0.25, 0.5, 0.78, 0.97], p=[0.14, 0.12, 0.1, 0.64]) + rng.uniform(
            -0.04, 0.02
        )
        top = self.waist + rng.uniform(-0.07, 0.04)
        level = np.maximum(shells.below(self.a, top), shells.legs(self.a, length))
        if length < 0.6 * self.a.leg_length:
            draw_legwear(self, shorts=True)
        if kind == "shell":
            self.shell(
                level,
                rng.uniform(0.003, 0.008),
                rng.uniform(0, 0.008),
                self.cloth(rng),
                LOWER,
                "slim trousers",
                "skin",
                5,
            )
        else:
            self.shell(level, 0.006, rng.uniform(0.008, 0.05), self.cloth(rng), LOWER, "trousers", "tights", 5)

    def top(self, rng: np.random.Generator, tucked: bool) -> None:
        """A shirt, T-shirt, sweater, vest."""
        kind = choose(rng, self.config.top)
        if kind == "made":
            suits = [g for g in of_split(self.pack.garments_of("top", split="all"), self.split) if self.suits(rng, g)]
            if suits:
                self.made(
                    rng,
                    suits[rng.integers(len(suits))],
                    cut_chance=0.28,
                    limb="arm",
                    bulge=0.004 + 0.008 * rng.random(),
                )
                return
            kind = "shell"
        sleeve = choose(rng, {"none": 0.14, "short": 0.36, "elbow": 0.12, "long": 0.38})
        hem = (
            rng.uniform(self.waist - 0.06, self.waist + 0.08)
            if tucked and rng.random() < 0.5
            else rng.uniform(self.hip - 0.04, self.waist)
        )
        level = self.top_level(rng, sleeve, hem)
        base = 0.009 if not tucked else 0.012
        if kind == "shell":
            self.shell(
                level, base, rng.uniform(0, 0.012), self.cloth(rng), UPPER, "shirt", "skin", int(rng.integers(4, 22))
            )
        else:
            self.shell(
                level,
                base + 0.003,
                rng.uniform(0.008, 0.035),
                self.cloth(rng),
                UPPER,
                "sweater",
                "tights",
                int(rng.integers(3, 12)),
            )

    def jacket(self, rng: np.random.Generator) -> None:
        """An open second layer: jacket, blazer, cardigan, waistcoat."""
        sleeve = "none" if rng.random() < 0.15 else "long"
        hem = rng.uniform(self.hip - 0.04, self.waist + 0.06)
        level = np.maximum(self.top_level(rng, sleeve, hem), shells.open_front(self.a, rng.uniform(0.015, 0.12)))
        loose = rng.uniform(0.002, 0.02)
        cloth, thick = outer_cloth(rng, self)
        self.shell(level, 0.026 + thick, loose, cloth, UPPER, "jacket", "tights", 8, hides=False)
        draw_collar(self, cloth)

    def skirt(self, rng: np.random.Generator, cloth, layer: int, top: float, dressy: bool) -> None:
        """Mini to floor, pencil to circle."""
        share = rng.uniform(0.2, 0.62) if rng.random() < 0.66 else rng.uniform(0.62, 1.02)
        flare = float(rng.choice([0.0, 0.12, 0.3, 0.6], p=[0.25, 0.35, 0.28, 0.12]) * rng.uniform(0.5, 1.2))
        skirt = SkirtCut(
            top=top,
            hem=share * self.a.leg_length,
            flare=flare,
            pleats=int(rng.integers(4, 14)),
            pleat_depth=float(rng.uniform(0.0, 0.05) + 0.12 * flare),
            pleat_phase=float(rng.uniform(0, 6)),
            margin=0.012 if layer == UPPER else 0.008,
            slope=float(rng.uniform(0, 0.12)) if dressy and rng.random() < 0.2 else 0.0,
        )
        self.add(make_skirt(self.wardrobe, self.body, skirt, cloth, layer, "skirt"), np.zeros(SKIN_VERTICES, bool))

    def head(self, rng: np.random.Generator) -> None:
        """Eyes, brows, lashes, hair, hat, scarf."""
        none = np.zeros(SKIN_VERTICES, bool)
        pieces = draw_head(rng, self.wardrobe, self.body, self.config, self.split)
        if rng.random() < self.config.hat:
            hat = draw_hat(rng, self.wardrobe, self.body, self.config, self.split)
            # hair gives way inside a hat; below a brim it shows
            brim = np.quantile(hat.rest[:, 2], 0.15 if hat.name != "cap" else 0.0)
            pressed = (scalp_level(self.wardrobe, -0.015) < 0) & (self.a.rest[:, 2] > brim)
            pieces = [
                press_hair(self._uncovered(piece, pressed[:SKIN_VERTICES]), hat, self.wardrobe, self.body)
                if piece.layer == HAIR
                else piece
                for piece in pieces
            ]
            pieces.append(hat)
        self.pieces += pieces
        if rng.random() < self.config.scarf:
            for piece in draw_scarf(rng, self):
                self.add(piece, none)

    def carried(self, rng: np.random.Generator) -> None:
        """What is worn besides clothes, bags and held things."""
        things = worn_things(stream(self.seed, "worn", self.split), self)
        for thing in things + carried_things(rng, self.wardrobe, self.body, self.config, self.split):
            # straps lie on the clothes; solid things keep their shape
            self.pieces.append(self.layers.above(thing.piece) if thing.on_cloth else thing.piece)
            if thing.hides is not None:
                self.hidden |= thing.hides

    # ------------------------------------------------------------------ helpers
    def cloth(self, rng: np.random.Generator, leather: bool = False):
        return draw_cloth(rng, self.config, self.split, leather)

    def suits(self, rng: np.random.Generator, garment: Garment) -> bool:
        """Made for this sex, or worn by the other all the same."""
        mine = "female" if self.body.female else "male"
        return garment.gender in ("any", mine) or rng.random() < 0.3

    def top_level(self, rng: np.random.Generator, sleeve: str, hem: float | None) -> np.ndarray:
        """The region of a top: sleeves, neckline, hem (None: no hem)."""
        a = self.a
        length = {
            "none": rng.uniform(-0.03, 0.02),
            "short": rng.uniform(0.08, 0.75) * a.elbow,
            "elbow": a.elbow + rng.uniform(-0.02, 0.1),
            "long": a.arm_length + rng.uniform(-0.05, 0.02),
        }[sleeve]
        pointed = rng.random() < 0.3
        width = rng.uniform(0.065, 0.11) if not (sleeve == "none" and rng.random() < 0.5) else rng.uniform(0.1, 0.14)
        front = rng.uniform(0.04, 0.09) if not pointed else rng.uniform(0.09, 0.2)
        level = np.maximum(
            shells.sleeves(a, length),
            shells.neckline(
                a, width, front, rng.uniform(0.03, 0.06) if rng.random() < 0.85 else rng.uniform(0.08, 0.25), pointed
            ),
        )
        high = a.heads["neck01"][2] + (rng.uniform(0.0, 0.035) if rng.random() < 0.8 else 0.07)
        level = np.maximum(level, np.minimum(a.rest[:, 2] - high, (0.5 - a.of("arm", "hand")) * 0.2 + 0.1))
        return level if hem is None else np.maximum(level, shells.above(a, hem))

    def shell(self, level, base, loose, cloth, layer, name, source, steps, extra=None, hides=True) -> None:
        """Grows a garment and hides the skin well inside it. ``loose``: further metres where cloth hangs free."""
        a = self.a
        arm, leg, trunk = self.hanging
        if layer == LOWER:  # held by a waistband, wide only below the seat
            trunk = trunk * 0.15 * np.clip((self.waist - a.rest[:, 2]) / (self.waist - self.hip), 0, 1)
        offset = base + loose * (0.75 * arm + 1.1 * leg + 0.9 * trunk)
        offset = offset if extra is None else offset + extra
        piece = shells.grow(
            self.wardrobe, self.body, level, offset.astype(np.float32), cloth, layer, name, source, steps
        )
        if len(piece.triangles) < 20:
            return
        self.add(piece, (level[:SKIN_VERTICES] < -(_HEM_MARGIN + base + loose)) & hides)

    @property
    def hanging(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How freely cloth hangs at every base vertex on arms, legs and trunk: 0 where a limb or the trunk begins."""
        kept, a = self.wardrobe.kept, self.a
        if "hanging" not in kept:
            kept["hanging"] = (
                np.clip(a.arm / a.arm_length, 0, 1) * a.of("arm", "hand"),
                np.clip(a.leg / a.leg_length, 0, 1) ** 0.8 * a.of("leg", "foot"),
                np.clip((self.neck - 0.08 - a.rest[:, 2]) / (self.neck - self.hip), 0, 1.2) * a.of("torso"),
            )
        return kept["hanging"]

    def made(self, rng, garment: Garment, cut_chance: float, limb: str = "", bulge: float = 0.0) -> None:
        """Wears a garment of the pack, now and then with shortened sleeves or legs."""
        cloth = made_cloth(rng, self.pack, garment, self.config, self.split)
        piece = self.wardrobe.wear(garment, self.body, cloth)
        bound = self.wardrobe.bound(garment)
        if bulge:
            piece = replace(
                piece, vertices=piece.vertices + corner_normals(piece.vertices, piece.triangles) * np.float32(bulge)
            )
        cover = None
        if limb and rng.random() < cut_chance:
            a = self.a
            if limb == "arm":
                length = rng.uniform(0.25, 0.95) * a.arm_length
                share = bound.share[:, [a.names.index("arm"), a.names.index("hand")]].sum(1)
                piece = cut(piece, np.minimum(bound.arm - length, (share - 0.5) * 0.2))
                cover = shells.sleeves(a, length)
            else:
                length = rng.uniform(0.2, 0.7) * a.leg_length
                share = bound.share[:, [a.names.index("leg"), a.names.index("foot")]].sum(1)
                piece = cut(piece, np.minimum(bound.leg - length, (share - 0.4) * 0.2))
                cover = shells.legs(a, length)
        hidden = self.under(garment)
        if cover is not None:
            hidden &= cover[:SKIN_VERTICES] < -_HEM_MARGIN
        self.add(piece, hidden)

    def under(self, garment: Garment) -> np.ndarray:
        """Skin that the garment says it hides, but for what one sees when one looks under its hems."""
        kept = self.wardrobe.kept
        if ("under", garment.name) not in kept:
            hidden = np.zeros(SKIN_VERTICES, bool)
            hidden[garment.hides[garment.hides < SKIN_VERTICES]] = True
            rest = self.wardrobe.bound(garment).rest
            hem = open_edges(rest, garment.triangles)
            skin = self.a.rest[:SKIN_VERTICES]
            if len(hem) and hidden.any() and garment.kind != "shoes":  # which fit closely
                # the wider a cuff stands off, the further one sees into it
                gap = cKDTree(skin).query(rest[hem])[0]
                away, which = cKDTree(rest[hem]).query(skin[hidden])
                hidden[hidden] = away > _HEM_MARGIN + np.minimum(1.5 * gap[which], 0.05)
            kept["under", garment.name] = hidden
        return kept["under", garment.name].copy()

    def add(self, piece: Piece, hidden: np.ndarray, over: bool = True) -> None:
        """Puts a piece on; ``hidden`` (13380,): the skin well under it. ``over``: so are earlier clothes, which lose
        what lies there (cloth under cloth would come through it in some pose)."""
        if over and hidden.any():
            inner = hidden
            for _ in range(2):  # well inside: from below one sees a little way up under a hem
                inner = inner & inner[self.wardrobe.skin_neighbours].all(0)
            self.pieces = [self._uncovered(earlier, inner) for earlier in self.pieces]
        piece = place_print(self.layers.above(piece), self.a)
        self.layers.record(piece)
        self.pieces.append(piece)
        self.hidden |= hidden

    def _uncovered(self, piece: Piece, inner: np.ndarray) -> Piece:
        if piece.drape is not None:
            return piece
        covered = at_all_corners(inner[self.wardrobe.nearest(piece.truth)], piece.triangles)
        return keep_triangles(piece, ~covered) if covered.any() else piece
