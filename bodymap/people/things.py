"""Every thing that may stand about in a picture, by name; weights: ``SceneConfig.occluders`` and ``distractors``.

A maker takes (random generator, ``Props``) and gives pieces or actors around the origin, standing on z = 0, facing -Y.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bodymap.errors import UserError
from bodymap.people import creatures, furniture, lookalikes, street
from bodymap.people.mesh import join
from bodymap.people.props import Props
from bodymap.people.stage import Actor
from bodymap.people.streams import choose

THINGS: dict[str, Callable[[np.random.Generator, Props], list]] = {
    make.__name__: make
    for make in (
        *(creatures.teddy, creatures.dog, creatures.cat, creatures.horse, creatures.sheep, creatures.bird),
        *(furniture.ball, furniture.block, furniture.counter, furniture.chair, furniture.table, furniture.plant),
        *(furniture.bush, furniture.luggage, furniture.balloons, furniture.lamp, furniture.parasol),
        *(
            street.post,
            street.bollard,
            street.sign,
            street.railing,
            street.bicycle,
            street.bin,
            street.bench,
            street.flag,
        ),
        *(lookalikes.statue, lookalikes.mannequin, lookalikes.poster),
        *(lookalikes.hanger, lookalikes.rack, lookalikes.coat_stand, lookalikes.laundry),
    )
}


def make_thing(kind: str, rng: np.random.Generator, props: Props) -> list[Actor]:
    """The named thing, around the origin.

    Raises:
        UserError: there is no such thing.
    """
    if kind not in THINGS:
        raise UserError(f'There is no thing "{kind}" to put into pictures; there are {", ".join(sorted(THINGS))}.')
    made = THINGS[kind](rng, props)
    return made if made and isinstance(made[0], Actor) else [Actor.thing(join(tuple(made)))]


def draw_thing(rng: np.random.Generator, table: dict[str, float], props: Props) -> list[Actor]:
    """A thing drawn by weight, around the origin."""
    return make_thing(choose(rng, table), rng, props)
