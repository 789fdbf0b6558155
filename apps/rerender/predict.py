"""The command: one photograph in, a film of its person out, turned, posed or moving.

python -m apps.rerender.predict PHOTO --turn 360 -o turn.mp4
python -m apps.rerender.predict PHOTO --pose OTHER_PHOTO -o posed.png --background photo
python -m apps.rerender.predict PHOTO --motion walk.bvh -o walk.mp4 --export person.glb
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError, run_command
from bodymap.layer_maps import LAYERS_HELP, LayerFiles

if TYPE_CHECKING:
    import numpy as np

    from apps.rerender.avatar import Avatar
    from bodymap.predictor import BodyMap
    from bodymap.types import Camera, Correspondence
    from bodymap.visual.video import Film

    Bodies = list[np.ndarray]

_SIZES, _TEXTURES = (64, 2048), (128, 4096)
_SIZE = 640
_MOST_FRAMES = 3000
_FRAMES, _FPS = 250, 25.0  # where nothing else is said


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0.

    Raises:
        UserError: bad input; nothing has been written then.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    from bodymap.photo import open_image, read_photo
    from bodymap.visual.video import check_film, open_film, write_film
    from bodymap.weights import find

    output = check_film(options.output)
    if options.size is not None and not _SIZES[0] <= options.size <= _SIZES[1]:
        raise UserError(f"--size must lie between {_SIZES[0]} and {_SIZES[1]} pixels, not {options.size}.")
    if not _TEXTURES[0] <= options.texture <= _TEXTURES[1]:
        raise UserError(f"--texture must lie between {_TEXTURES[0]} and {_TEXTURES[1]} texels, not {options.texture}.")
    if options.fps is not None and not 1 <= options.fps <= 240:
        raise UserError(f"--fps must lie between 1 and 240, not {options.fps:g}.")
    if options.frames is not None and not 1 <= options.frames <= _MOST_FRAMES:
        raise UserError(f"--frames must lie between 1 and {_MOST_FRAMES}, not {options.frames}.")
    scene = None if options.background in (None, "photo") else Path(options.background)
    for path in (options.photo, options.pose, scene, *options.also):
        if path is not None:
            open_image(path).close()
            if os.path.realpath(path) == os.path.realpath(output):
                raise UserError(f"The output {output} would replace a photo that is read; choose another name.")
    if options.export is not None:
        from apps.rerender.export import check_export

        check_export(options.export)
    bvh = None
    if options.motion is not None:
        from bodymap.people.assets.poses import read_bvh

        bvh = read_bvh(options.motion)
    film = None if options.driving is None else open_film(options.driving)
    if film is not None and os.path.realpath(film.path) == os.path.realpath(output):
        raise UserError(f"The output {output} would replace the film that is read; choose another name.")
    fps = options.fps or (_FPS if film is None else film.fps)
    find(options.weights)
    from bodymap.surface import load_template

    files = LayerFiles(options.layers, (options.photo, *options.also), load_template().code_version)
    from apps.rerender.pretrained import find as find_network
    from apps.rerender.pretrained import load_completion, load_renderer

    completion = find_network("completion", options.completion)
    renderer = find_network("renderer", options.renderer)
    photo = read_photo(options.photo)
    layers = files.of(options.photo, photo.shape[:2])

    # -- the slow part --
    from tqdm import tqdm

    from apps.rerender.avatar import make_avatar
    from apps.rerender.view import frame_camera, render
    from bodymap.predictor import BodyMap

    model = BodyMap.from_pretrained(options.weights, device=options.device)
    fill = None if completion is None else load_completion(completion)
    paint = None if renderer is None else load_renderer(renderer)
    more = [_also(model, path, files) for path in options.also]
    # whom the layers show is meant, unless a mask says more
    mask = layers.visible > 0 if options.mask is None and layers is not None else options.mask
    correspondence = model.predict(options.photo, mask)
    avatar = make_avatar(photo, correspondence, texture_size=options.texture, more=more, completion=fill, layers=layers)
    if options.pose is not None:
        bodies = _like_photo(avatar, model, options.pose)
    elif bvh is not None:
        bodies = _moving(avatar, bvh, fps, options.frames)
    elif film is not None:
        bodies = _driven(avatar, model, film, options.frames)
    else:
        bodies = _turning(avatar, options)
    if options.background is None:
        camera, behind = (
            frame_camera(avatar.fit.camera, [avatar.extent(body) for body in bodies], options.size or _SIZE),
            None,
        )
    else:
        camera, behind = _scene(avatar, model, photo, correspondence.mask, scene, options.size)
    frames = (
        render(avatar, body, camera, behind, paint) for body in tqdm(bodies, desc=str(output), disable=len(bodies) < 2)
    )
    written = write_film(output, frames, fps)
    if options.export is not None:
        from apps.rerender.export import write_mesh

        write_mesh(options.export, avatar, bodies[0])
        written.append(Path(options.export))
    seen = avatar.texture.origin
    share = [float((seen == kind).sum() / (seen > 0).sum()) for kind in (1, 2, 3)]
    print("texture: {:.0%} seen, {:.0%} mirrored, {:.0%} made up".format(*share), file=sys.stderr)
    for path in written[:3]:
        print(path)
    return 0


def _also(model: BodyMap, path: Path, files: LayerFiles) -> tuple[np.ndarray, Correspondence]:
    """Another photo and its map."""
    from bodymap.layer_maps import with_layers
    from bodymap.photo import read_photo

    photo = read_photo(path)
    layers = files.of(path, photo.shape[:2])
    return photo, with_layers(model.predict(path, None if layers is None else layers.visible > 0), layers)


def _scene(
    avatar: Avatar, model: BodyMap, photo: np.ndarray, person: np.ndarray, picture: Path | None, longest: int | None
) -> tuple[Camera, np.ndarray]:
    """The photo's own camera and what lies behind the person: ``picture``, or the photo without them."""
    from apps.rerender.background import covering, others_in, own_frame, without_person
    from bodymap.photo import read_photo

    own = avatar.fit.camera
    camera = own_frame(own, longest or min(max(own.size), _SIZES[1]))
    if picture is not None:
        return camera, covering(read_photo(picture), camera.size)
    return camera, covering(without_person(photo, person, others_in(model, photo, person)), camera.size)


def _turning(avatar: Avatar, options: argparse.Namespace) -> Bodies:
    count = options.frames or (1 if Path(options.output).suffix.lower() == ".png" else 72)
    return avatar.turning(options.turn, count)


def _like_photo(avatar: Avatar, model: BodyMap, path: Path) -> Bodies:
    from bodymap.fitting import fit_body

    return [avatar.posed(fit_body(model.predict(path)).state.local, own_root=True)]


def _moving(avatar: Avatar, bvh, fps: float, count: int | None) -> Bodies:
    import numpy as np

    from bodymap.people.assets.poses import retarget_bvh

    step = max(1, round(1 / (bvh.frame_time * fps)))
    every = np.arange(0, len(bvh.frames), step)[: count or _FRAMES]
    pack = avatar.fit.pack
    return [avatar.posed(local) for local in retarget_bvh(bvh, pack.bones, pack.base_heads, every)]


def _driven(avatar: Avatar, model: BodyMap, film: Film, count: int | None) -> Bodies:
    from itertools import islice

    from tqdm import tqdm

    from apps.rerender.driving import driven, fit_motion
    from bodymap.tracking import follow

    count = count or _FRAMES
    maps = (people.get(0) for people in follow(model, islice(film.frames(), count)))
    try:
        motion = fit_motion(tqdm(maps, total=min(count, film.count), desc=str(film.path), unit="frame"))
    except UserError as error:
        raise UserError(f"{film.path}: {error}") from None
    if motion.missing:
        print(f"note: nobody could be followed in {motion.missing} frames of {film.path}", file=sys.stderr)
    return driven(avatar, motion)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.rerender.predict", description="The person of a photograph in a new view or pose."
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument(
        "--also", type=Path, nargs="+", default=[], metavar="PHOTO", help="more photos of this person in these clothes"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--turn", type=float, default=360.0, metavar="DEG", help="about the vertical (%(default)s)")
    what.add_argument("--pose", type=Path, metavar="PHOTO", help="as the person of another photograph stands")
    what.add_argument("--motion", type=Path, metavar="BVH", help="a motion capture file")
    what.add_argument("--driving", type=Path, metavar="FILM", help="as the person of a film moves")
    parser.add_argument("-o", "--output", type=Path, default=Path("rerender.mp4"), help="mp4, gif, webp or png")
    parser.add_argument("--frames", type=int, metavar="N", help="of the result (72 of a turn, at most 250 of a motion)")
    parser.add_argument("--fps", type=float, help=f"pictures a second ({_FPS:g}, or those of the driving film)")
    parser.add_argument(
        "--size", type=int, metavar="PX", help=f"longer side of the film ({_SIZE}; with --background that of the photo)"
    )
    parser.add_argument(
        "--background", metavar="photo|FILE", help="where the photo shows them: in it, or before another picture"
    )
    parser.add_argument("--mask", type=Path, metavar="FILE", help="the person in white, where several are in the photo")
    parser.add_argument(
        "--layers",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"garments are where these have them: {LAYERS_HELP} (of PHOTO and --also)",
    )
    parser.add_argument("--texture", type=int, default=1024, metavar="PX", help="texels each way (%(default)s)")
    parser.add_argument(
        "--completion",
        metavar="SOURCE",
        help="what fills the unseen: plain, learned (if it ships, the default), weights of your own, diffusion:SOURCE",
    )
    parser.add_argument("--renderer", metavar="SOURCE", help="what corrects the pictures; as --completion")
    parser.add_argument("--export", type=Path, metavar="GLB", help="also write the textured mesh in the first pose")
    parser.add_argument("--weights", metavar="SOURCE", help="name, folder, file or hub id; without it the shipped ones")
    parser.add_argument("--device", help="cpu, cuda, ...; without it the GPU if there is one")
    return parser


if __name__ == "__main__":
    run_command(main)
