"""Layer maps that users bring along with photographs: files of ``apps.layered.predict``, told apart by their names, and
what they say of a photograph's single map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bodymap.errors import UserError

if TYPE_CHECKING:
    from bodymap.types import Correspondence, LayerMaps

ENDING = ".npz"
LAYERS_HELP = "layer maps of apps.layered.predict: FILE.npz named as its photo, or a folder of them"


class LayerFiles:
    """Which photograph has layer maps, and where they lie.

    Args:
        given: files called as their photo (``front.npz`` is of ``front.jpg``), and folders of such. A single file
            beside a single photo may have any name.
        photos: those that are read.
        code_version: of the template that is going to be used.

    Raises:
        UserError: a file that is not there, of no photo, or of two; a folder without any.
    """

    def __init__(self, given: Sequence[Path], photos: Sequence[Path], code_version: str):
        self._code_version = code_version
        self._of: dict[Path, Path] = {}
        for path in given:
            if path.is_dir():
                found = {photo: path / f"{photo.stem}{ENDING}" for photo in photos}
                found = {photo: file for photo, file in found.items() if file.is_file()}
                if not found:
                    raise UserError(f"{path} has layer maps of no photo; {photos[0].stem}{ENDING} would be one.")
            else:
                found = {photo: path for photo in self._owners(path, given, photos)}
            for photo, file in found.items():
                if self._of.setdefault(photo, file) != file:
                    raise UserError(f"{self._of[photo]} and {file} would both be layer maps of {photo}; give one.")

    @staticmethod
    def _owners(path: Path, given: Sequence[Path], photos: Sequence[Path]) -> list[Path]:
        if not path.is_file():
            raise UserError(f"The layer maps {path} do not exist; python -m apps.layered.predict makes them.")
        distinct = list(dict.fromkeys(photos))
        if len(given) == len(distinct) == 1:
            return distinct
        named = [photo for photo in distinct if photo.stem == path.stem]
        if not named:
            raise UserError(
                f"{path} is called like none of the photos; name it as its photo, with the ending {ENDING}."
            )
        if len(named) > 1:
            raise UserError(f"{path} may be of {named[0]} or of {named[1]}; give one of them another name.")
        return named

    def of(self, photo: Path, size: tuple[int, int]) -> LayerMaps | None:
        """The layers of a photo of ``size`` (height, width); None: there are none.

        Raises:
            UserError: damaged, made for another template, or of a picture of another size.
        """
        from bodymap.correspondence_io import load_layer_maps

        if photo not in self._of:
            return None
        file = self._of[photo]
        maps = load_layer_maps(file, self._code_version)
        if maps.visible.shape != size:
            raise UserError(f"{file} is of a picture of {maps.visible.shape}, {photo} is {size}; make it anew from it.")
        if not (maps.visible > 0).any():
            raise UserError(f"{file} shows nobody; make it anew.")
        return maps


def with_layers(correspondence: Correspondence, layers: LayerMaps | None) -> Correspondence:
    """The map with its garments where the layers show them; None: as it is.

    Skin, hair, shoes and things carried, which the layers call one body, stay the map's; where it has a garment on what
    the layers call the body, that is as the nearest of these. The person's outline stays the map's.

    Raises:
        UserError: the layers are of a picture of another size.
    """
    import numpy as np
    from scipy import ndimage

    from bodymap.types import LAYER_NAMES

    if layers is None:
        return correspondence
    if layers.visible.shape != correspondence.size:
        raise UserError(
            f"The layer maps are of a picture of {layers.visible.shape}, the photo is {correspondence.size}; "
            "make them anew from it."
        )
    # what ``LayerMaps.visible`` counts, beside 0 for the background and 1 for the body
    garments = {2: LAYER_NAMES.index("upper"), 3: LAYER_NAMES.index("lower")}
    mask, layer = correspondence.mask, correspondence.layer.copy()
    for index, garment in garments.items():
        layer[mask & (layers.visible == index)] = garment
    is_garment = np.isin(layer, list(garments.values()))
    wrong, known = mask & (layers.visible == 1) & is_garment, mask & ~is_garment
    if wrong.any() and known.any():
        at = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        layer[wrong] = layer[at[0][wrong], at[1][wrong]]
    return replace(correspondence, layer=layer)
