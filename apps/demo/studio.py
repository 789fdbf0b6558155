"""The work behind the page, in plain Python: photographs in, maps, textures, swaps, turntables and layers out.

    studio = Studio.from_pretrained()
    anna, ben = studio.photo("anna.jpg"), studio.photo("ben.jpg")
    studio.swap(anna, ben, Looks("upper")).image

What was found out about a picture is kept, by the picture's content: the second question about it is quick.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from apps.demo.shelf import Shelf
from apps.demo.watch import QUIET, Cancelled, Watch
from apps.layered.predictor import LayeredBodyMap
from apps.layered.samples import visible_layer
from apps.rerender.avatar import Avatar, make_avatar, take_texture
from apps.rerender.pretrained import find as find_network
from apps.rerender.pretrained import load_completion, load_renderer
from apps.rerender.view import frame_camera, render
from apps.swap.transfer import Source, SwapResult, put_on, read_source
from bodymap.errors import UserError
from bodymap.photo import open_image, read_photo
from bodymap.predictor import BodyMap
from bodymap.surface import Template, load_template
from bodymap.types import Correspondence, LayerMaps
from bodymap.visual.video import write_film
from bodymap.warping.fill import FilledTexture, fill_texture
from bodymap.warping.image_to_texture import PartialTexture

if TYPE_CHECKING:
    from apps.rerender.pretrained import Completion
    from apps.rerender.renderer import RendererNet

_POLL = 0.1  # seconds between two looks whether a waiting job is still wanted
_LONGEST_STEP = 60.0  # seconds that closing waits at most
_FPS = 18.0  # of a turntable


@dataclass(frozen=True)
class StudioConfig:
    """What bounds time and memory.

    Attributes:
        longest: side to which larger photos are shrunk, pixels.
        texture: texels each way.
        memory: bytes of arrays that are kept, about 70 MB a map of the largest photo.
    """

    longest: int = 1600
    texture: int = 1024
    memory: int = 1 << 30


@dataclass(frozen=True)
class Photo:
    """A photograph as it is worked on.

    Attributes:
        pixels: (H, W, 3) uint8, upright, at most ``StudioConfig.longest`` each way.
        name: how the visitor knows it.
        key: of its content.
    """

    pixels: UInt8[np.ndarray, "height width rgb=3"]
    name: str
    key: str


@dataclass(frozen=True)
class Looks:
    """What a swap takes; see ``apps.swap.transfer.swap``."""

    what: str = "all"
    with_head: bool = False
    skin: str = "source"


WHOLE = Looks()


@dataclass(frozen=True)
class PersonTexture:
    """The person of a photo as a texture: what the photo shows, and all of it."""

    partial: PartialTexture
    filled: FilledTexture


class Studio:
    """The models, and what they said of the last photos. One job at a time: see ``alone``."""

    def __init__(
        self,
        model: BodyMap,
        completion: Completion | None = None,
        layered: Callable[[], LayeredBodyMap] | None = None,
        config: StudioConfig | None = None,
        renderer: RendererNet | None = None,
    ):
        """Args:
        completion: makes up what was not seen; None: a plain fill does.
        layered: loads the layered network, when that is first asked for; None: the shipped one, on ``model``.
        renderer: moves light and shade as people turn; None: they stay where they were.
        """
        self.model = model
        self.config = config or StudioConfig()
        self.shelf = Shelf(self.config.memory)
        self._completion = None if completion is None else completion.to(model.device)
        self._renderer = renderer
        self._load_layered = layered or (lambda: LayeredBodyMap.from_pretrained(bodymap=model))
        self._lock = threading.Lock()
        self._asked = 0  # jobs so far
        self._doing = "other work"
        self._closed = False

    @classmethod
    def from_pretrained(
        cls, weights: str | os.PathLike | None = None, device: str | None = None, config: StudioConfig | None = None
    ) -> Studio:
        """Raises:
        UserError: no such weights, damaged ones, no such device.
        """
        model = BodyMap.from_pretrained(weights, device=device)
        found = find_network("completion", None)
        completion = None if found is None else load_completion(found)
        found = find_network("renderer", None)
        renderer = None if found is None else load_renderer(found)
        # beside other weights than the shipped ones it needs those that it was trained on
        own = None if weights is None else (lambda: LayeredBodyMap.from_pretrained(device=model.device))
        return cls(model, completion, own, config, renderer)

    @cached_property
    def _layered(self) -> LayeredBodyMap:
        return self._load_layered()

    @contextmanager
    def alone(self, watch: Watch) -> Iterator[Watch]:
        """Holds the models for one job, which is to use the watch given back.

        While another job has them this one waits, shows what that one does, and can be cancelled.
        """
        self._asked += 1
        wanted = watch.stopped
        watch = replace(watch, stopped=lambda: self._closed or wanted())
        while not self._lock.acquire(timeout=_POLL):
            watch(0.0, f"Before this: {self._doing}")

        def show(share: float, text: str) -> None:
            self._doing = text
            watch.show(share, text)

        try:
            watch.check()
            yield replace(watch, show=show)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Cancels every job, waits until the present step is over, and takes on no more.

        A process that ends while a step is at work inside torch would be aborted.
        """
        self._closed = True
        self._lock.acquire(timeout=_LONGEST_STEP)

    def warm_up(self, paths: Sequence[str | os.PathLike]) -> None:
        """Answers beforehand what is asked of the examples first, until a visitor comes; missing files are no matter.

        Args:
            paths: of the picture whose looks are taken, and of the other one.
        """
        asked = self._asked
        watch = Watch(stopped=lambda: self._asked > asked + 1)
        try:
            photos = [self.photo(path) for path in paths]
            with self.alone(watch) as watch:
                self.swap(*photos, watch=watch)
                for photo in photos:
                    self.avatar(photo, watch)
        except (Cancelled, UserError):
            pass

    # ------------------------------------------------------------------------------------------------------- in

    @staticmethod
    def check(path: str | os.PathLike, name: str) -> None:
        """As ``photo``, but looks only at the file's head: cheap, but for damage further inside."""
        with _called(name, path):
            open_image(path).close()

    def photo(self, path: str | os.PathLike, name: str | None = None) -> Photo:
        """Reads a file.

        Args:
            name: how errors call it; None: the file's name.

        Raises:
            UserError: not a photograph, damaged, too small or too large.
        """
        name = name or Path(path).name
        with _called(name, path):
            pixels = _shrunk(read_photo(path), self.config.longest)
        content = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes())
        return Photo(pixels, name, content.hexdigest())

    # ------------------------------------------------------------------------------------------------------ out

    def person(self, photo: Photo, watch: Watch = QUIET) -> Correspondence:
        """The map of the largest person.

        Raises:
            UserError: nobody was found.
            Cancelled: see ``Watch``; so do all methods below.
        """

        def make() -> Correspondence:
            watch(0.0, f"{photo.name}: finding the person")
            found = self.model.find(photo.pixels, everyone=False)
            if not found:
                raise UserError(f"No person was found in {photo.name}; choose a photo that shows one larger.")
            watch(0.1, f"{photo.name}: mapping the person")
            reading = self.model.read(photo.pixels, found[0], found[1:])
            watch(0.7, f"{photo.name}: drawing the map")
            result = self.model.expand(photo.pixels, reading)
            if not result.mask.any():
                raise UserError(f"No person was found in {photo.name}; choose a photo that shows one larger.")
            return result

        return self.shelf.get(("person", photo.key), make)

    def texture(self, photo: Photo, watch: Watch = QUIET) -> PersonTexture:
        """The person's texture.

        Raises:
            UserError: nobody, or too little of somebody, is in the photo.
        """

        def make() -> PersonTexture:
            correspondence = self.person(photo, watch.part(0, 0.4))
            watch(0.4, f"{photo.name}: taking the texture")
            template = self.model.template
            partial = take_texture(template, [(photo.pixels, correspondence)], self.config.texture)
            watch(0.55, f"{photo.name}: completing what is not seen")
            if self._completion is None:
                return PersonTexture(partial, fill_texture(template, partial))
            return PersonTexture(partial, self._completion.complete(template, partial))

        return self.shelf.get(("texture", photo.key), make)

    def swap(
        self,
        source: Photo,
        target: Photo,
        looks: Looks = WHOLE,
        watch: Watch = QUIET,
    ) -> SwapResult:
        """The target's photo, its person in the source's looks.

        Raises:
            UserError: nobody in a photo, no such garment, nothing to replace.
        """

        def read(seen: Correspondence) -> Source:
            watch(0.45, f"{source.name}: taking the texture")
            return read_source(
                source.pixels,
                seen,
                with_head=with_head,
                template=self.model.template,
                texture_size=self.config.texture,
                completion=None if self._completion is None else _Watched(self._completion, watch, source.name),
            )

        def make() -> SwapResult:
            seen = self.person(source, watch.part(0.0, 0.22))
            worn = self.person(target, watch.part(0.22, 0.45))
            try:
                taken = self.shelf.get(("source", source.key, with_head), lambda: read(seen))
                watch(0.75, f"{target.name}: putting it on")
                return put_on(
                    taken,
                    target.pixels,
                    worn,
                    looks.what,
                    looks.with_head,
                    skin=looks.skin,
                    template=self.model.template,
                    renderer=self._renderer,
                )
            except UserError as error:
                raise UserError(_without_options(str(error), source, target)) from None

        # hair that lies on the clothes belongs to the head
        with_head = looks.with_head or looks.what == "hair"
        return self.shelf.get(("swap", source.key, target.key, looks), make)

    def avatar(self, photo: Photo, watch: Watch = QUIET) -> Avatar:
        """The person as a body that can be turned.

        Raises:
            UserError: nobody, or too little of somebody, is in the photo.
        """

        def make() -> Avatar:
            texture = self.texture(photo, watch.part(0.0, 0.6)).filled
            watch(0.6, f"{photo.name}: fitting a body")
            texture = FilledTexture(texture.colour.cpu(), texture.layer.cpu(), texture.origin.cpu())
            return make_avatar(photo.pixels, self.person(photo), template=load_template(), texture=texture)

        return self.shelf.get(("avatar", photo.key), make)

    def turntable(
        self,
        photo: Photo,
        path: str | os.PathLike,
        frames: int = 36,
        size: int = 360,
        watch: Watch = QUIET,
    ) -> Path:
        """Writes a film of the person turning once, which loops; nothing is left of one that is cancelled.

        Args:
            path: its ending chooses the format, as ``bodymap.visual.video.write_film`` has it.
            size: longer side, pixels.

        Raises:
            UserError: nobody, or too little of somebody, is in the photo.
        """
        avatar = self.avatar(photo, watch.part(0.0, 0.5))
        bodies = avatar.turning(360.0, frames)
        camera = frame_camera(avatar.fit.camera, [avatar.extent(body) for body in bodies], size)

        def pictures() -> Iterator[np.ndarray]:
            for number, body in enumerate(bodies):
                watch(0.5 + 0.5 * number / frames, f"Picture {number + 1} of {frames}")
                yield render(avatar, body, camera, renderer=self._renderer)

        # the same speed however many pictures a turn has
        return write_film(path, pictures(), _FPS * frames / 36)[0]

    def layers(self, photo: Photo, watch: Watch = QUIET) -> LayerMaps:
        """Body, upper and lower garment apart.

        Raises:
            UserError: nobody is in the photo, or the layered weights are missing.
        """

        def make() -> LayerMaps:
            single = self.person(photo, watch.part(0.0, 0.45))
            watch(0.45, f"{photo.name}: looking under the clothes")
            return self._layered.separate(photo.pixels, single, visible_layer(single.layer))

        return self.shelf.get(("layers", photo.key), make)

    @property
    def layer_code(self) -> str:
        """The surfaces that ``layers`` answers on; goes into saved files."""
        return self._layered.code_version


@dataclass(frozen=True)
class _Watched:
    """A completion that tells when its turn has come, inside work that knows no steps."""

    completion: Completion
    watch: Watch
    name: str

    def complete(self, template: Template, partial: PartialTexture) -> FilledTexture:
        self.watch(0.55, f"{self.name}: completing what is not seen")
        filled = self.completion.complete(template, partial)
        self.watch(0.7, f"{self.name}: evening the texture")
        return filled


@contextmanager
def _called(name: str, path: str | os.PathLike) -> Iterator[None]:
    """A file is called as the visitor knows it, not as it lies in a temporary folder."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from None


def _shrunk(pixels: np.ndarray, longest: int) -> UInt8[np.ndarray, "height width rgb=3"]:
    if max(pixels.shape[:2]) <= longest:
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _without_options(message: str, source: Photo, target: Photo) -> str:
    """A command's sentence for somebody who sees no command: no options, photos by their names."""
    message = message.replace(", or --what all", ", or the whole outfit")
    message = re.sub(r" with --what \S+(?=[;.])", "", message).replace(", or give a mask", "")
    return message.replace("The source's photo", source.name).replace("The target's photo", target.name)
