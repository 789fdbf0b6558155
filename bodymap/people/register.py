"""A scan of a person becomes an identity: ``python -m bodymap.people.register scan.glb -o person.safetensors``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bodymap.errors import UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Fits the template to a mesh of one person (any place and direction, arms and legs apart) and writes a person
    that can be posed anew. What the scan wears stays on: it is one surface, and counts as skin unless --layer says
    where it is cloth."""
    from bodymap.people.scans.frame import AXES, UNITS

    parser = argparse.ArgumentParser(prog="python -m bodymap.people.register", description=main.__doc__)
    parser.add_argument("scan", help="a mesh: .glb, .gltf, .obj, .ply")
    parser.add_argument("-o", "--output", help="the person to write (default: the scan's name with .safetensors)")
    parser.add_argument("--pack", help="a people pack; default: the small one that ships")
    parser.add_argument("--steps", type=int, default=30, help="iterations of the fit (default: %(default)s)")
    parser.add_argument("--up", choices=tuple(AXES), help="the scan's up axis (default: found)")
    parser.add_argument("--unit", choices=tuple(UNITS), help="the scan's unit (default: m, cm or mm, by its size)")
    parser.add_argument("--height", type=float, help="the person's height in metres, where the unit means nothing")
    parser.add_argument("--texture", type=int, default=1024, help="the texture's side in texels (default: %(default)s)")
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="LAYER=PART,...",
        help="body parts that are cloth in the scan: upper=torso_front,torso_back,upper_arm (may be repeated)",
    )
    parser.add_argument("--preview", help="a PNG of the person in the scan's pose and in others")
    options = parser.parse_args(arguments)
    if not 3 <= options.steps <= 1000:
        raise UserError(f"--steps must lie between 3 and 1000, not {options.steps}.")
    if not 64 <= options.texture <= 8192:
        raise UserError(f"--texture must lie between 64 and 8192, not {options.texture}.")
    output = Path(options.output) if options.output else Path(options.scan).with_suffix(".safetensors")
    if output.suffix != ".safetensors":
        raise UserError(f"A person is a .safetensors file; choose such a name, not {output}.")
    if not output.parent.is_dir():
        raise UserError(f"The folder {output.parent} does not exist; create it, or choose another output.")
    if options.preview and not options.preview.lower().endswith(".png"):
        raise UserError(f"The preview is a PNG; give a name that ends in .png, not {options.preview}.")

    from bodymap.files import atomic_path
    from bodymap.people.pack import Pack
    from bodymap.people.scans.labels import parse_layers
    from bodymap.people.scans.picture import show
    from bodymap.people.scans.registration import register

    layers = parse_layers(options.layer)
    pack = Pack.load(options.pack)
    made = register(
        options.scan,
        pack,
        steps=options.steps,
        up=options.up,
        unit=options.unit,
        height=options.height,
        texture=options.texture,
        layers=layers,
        progress=print,
    )
    made.identity.save(output)
    print(f"wrote {output}")
    if options.preview:
        with atomic_path(options.preview) as path:
            show(made.identity, pack).save(path)
        print(f"wrote {options.preview}")
    return 0


if __name__ == "__main__":
    run_command(main)
