"""Reads folders of real photographs with whatever is known about them, in a format simple enough to bring one's own.

A photo set is one folder of pictures (``.jpg .jpeg .png .webp``), in which every further file is optional::

    photos.csv            a table with the column ``file`` and perhaps ``person`` (the same word for the same person)
    masks/<stem>.png      the true foreground (the person with everything worn or carried): white, or above half
    <stem>_labels.png     8-bit class ids per pixel, the picture's size; 0 is background
    classes.csv           columns ``id,name,group``: what the ids mean; groups below
    keypoints.json        {file name: 33 x [x, y, z, visibility]}, x and y in shares of width and height; may also lie
                          one folder up. 0 nose, 7/8 ears, 11/12 shoulders, 13/14 elbows, 15/16 wrists, 19/20 index
                          fingers, 23/24 hips, 25/26 knees, 27/28 ankles, 31/32 toes: the person's left first

A folder without pictures whose subfolders have some is read as several sets. Groups in classes.csv: ``background``,
``hair``, ``skin``, ``upper``, ``lower``, ``full`` (a one-piece), ``shoes``, ``carried``, ``accessory``. The groups
``body`` and ``accessory`` are sorted by the class' name: hair, skin (with stockings and tights), everything on the feet
(shoes), bags (carried); what is left is accessory.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from bodymap.errors import UserError
from bodymap.files import read_json
from bodymap.types import LAYER_NAMES

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_LABELS = "_labels"

GROUPS: tuple[str, ...] = ("background", "hair", "skin", "upper", "lower", "full", "shoes", "carried", "accessory")

# Which layer a group's pixels must get; accessories (hats, glasses, belts, jewellery) have no layer of their own
GROUP_LAYER: dict[str, str] = {
    "hair": "hair",
    "skin": "skin",
    "upper": "upper",
    "lower": "lower",
    "full": "upper",
    "shoes": "shoes",
    "carried": "carried",
}
_SYNONYMS = {"footwear": "shoes", "bag": "carried", "bags": "carried", "null": "background"}
_SKIN = {"skin", "stockings", "tights"}
_SHOES = set("boots clogs flats heels loafers pumps sandals shoes sneakers socks wedges".split())
_CARRIED = {"bag", "purse", "wallet"}


@dataclass(frozen=True)
class Photo:
    """One photograph of a set; pictures are read when asked for.

    Attributes:
        path: the picture.
        person: the same word for photographs of the same person; None if unknown.
        mask_path, labels_path: None where there is none.
        landmarks: (33, 4) float64 x, y, z, visibility; None where there are none.
        groups: (256,) int, class id -> index into GROUPS; None without classes.csv.
    """

    path: Path
    person: str | None = None
    mask_path: Path | None = None
    labels_path: Path | None = None
    landmarks: np.ndarray | None = None
    groups: np.ndarray | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.path.name

    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright."""
        from bodymap.photo import read_photo

        return read_photo(self.path)

    def foreground(self, size: tuple[int, int]) -> Bool[np.ndarray, "height width"] | None:
        """The true foreground at ``size`` (height, width): from the mask, else from the labels, else None."""
        if self.mask_path is not None:
            grey = _read_grey(self.mask_path, size)
            # masks are saved as 0/255 or as 0/1
            return grey > (127 if grey.max() > 1 else 0)
        if self.labels_path is not None:
            return _read_grey(self.labels_path, size) > 0
        return None

    def label_groups(self, size: tuple[int, int]) -> Int[np.ndarray, "height width"] | None:
        """Index into GROUPS of every pixel, at ``size``; None without labels or without classes.csv."""
        if self.labels_path is None or self.groups is None:
            return None
        return self.groups[_read_grey(self.labels_path, size)]


@dataclass(frozen=True)
class PhotoSet:
    """The photographs of one folder, in order of their names."""

    name: str
    photos: tuple[Photo, ...]


def read_photo_sets(folder: str | Path) -> list[PhotoSet]:
    """The set that ``folder`` is, or the sets in it.

    Raises:
        UserError: no such folder, no pictures in it, or one of the files of the format is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give a folder of photographs.")
    own = _read_set(folder)
    if own.photos:
        return [own]
    sets = [_read_set(sub) for sub in sorted(folder.iterdir()) if sub.is_dir() and not sub.name.startswith(".")]
    sets = [photos for photos in sets if photos.photos]
    if not sets:
        raise UserError(f"There are no photographs ({', '.join(PICTURES)}) in {folder}.")
    return sets


def layer_truth(groups: Int[np.ndarray, "height width"]) -> Int[np.ndarray, "height width"]:
    """Index into LAYER_NAMES for each index into GROUPS; 0 is background, -1 where a group has no layer."""
    table = np.full(len(GROUPS), -1, np.int8)
    table[GROUPS.index("background")] = 0
    for group, layer in GROUP_LAYER.items():
        table[GROUPS.index(group)] = LAYER_NAMES.index(layer)
    return table[groups]


def group_of(name: str, group: str) -> str:
    """The word of GROUPS for a row of classes.csv."""
    name, group = name.strip().lower(), group.strip().lower()
    group = _SYNONYMS.get(group, group)
    if group in ("body", "accessory"):
        if name == "hair":
            return "hair"
        if name in _SKIN:
            return "skin"
        if name in _SHOES:
            return "shoes"
        if name in _CARRIED:
            return "carried"
        return "accessory"
    return group if group in GROUPS else "accessory"


def _read_set(folder: Path) -> PhotoSet:
    pictures = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in PICTURES and not path.stem.endswith(_LABELS)
    )
    if not pictures:
        return PhotoSet(folder.name, ())
    rows = {row.get("file", ""): row for row in _read_table(folder / "photos.csv", ("file",))}
    landmarks = _read_landmarks(folder)
    groups = _read_groups(folder / "classes.csv")

    def optional(path: Path) -> Path | None:
        return path if path.is_file() else None

    return PhotoSet(
        folder.resolve().name,
        tuple(
            Photo(
                path=path,
                person=(rows.get(path.name) or {}).get("person") or None,
                mask_path=optional(folder / "masks" / f"{path.stem}.png"),
                labels_path=optional(folder / f"{path.stem}{_LABELS}.png"),
                landmarks=landmarks.get(path.name),
                groups=groups,
            )
            for path in pictures
        ),
    )


def _read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a csv file; none if there is no such file."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise UserError(f"{path} has no column {missing[0]!r}; its first line must name the columns.")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a csv table in UTF-8 ({error}).") from None


def _read_groups(path: Path) -> np.ndarray | None:
    rows = _read_table(path, ("id", "name", "group"))
    if not rows:
        return None
    groups = np.full(256, GROUPS.index("accessory"))
    groups[0] = GROUPS.index("background")
    for row in rows:
        try:
            number = int(row["id"])
        except (TypeError, ValueError):
            raise UserError(f"{path}: the id {row['id']!r} is not a number.") from None
        if 0 < number < 256:
            groups[number] = GROUPS.index(group_of(row["name"] or "", row["group"] or ""))
    return groups


def _read_landmarks(folder: Path) -> dict[str, Float[np.ndarray, "landmark=33 4"]]:
    """keypoints.json of the folder, else of the one above it."""
    path = next(
        (p for p in (folder / "keypoints.json", folder.resolve().parent / "keypoints.json") if p.is_file()), None
    )
    if path is None:
        return {}
    try:
        table = {name: np.array(rows, np.float64) for name, rows in read_json(path).items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} is not a table of landmarks in JSON ({error}).") from None
    for name, rows in table.items():
        if rows.shape != (33, 4):
            raise UserError(f"{path}: {name} must have 33 landmarks of 4 numbers, not {rows.shape}.")
        if not np.isfinite(rows).all():
            raise UserError(f"{path}: a landmark of {name} is not a finite number.")
    return table


def _read_grey(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8; palette images give their indices; another size than the photo's takes the nearest pixel."""
    from PIL import Image

    from bodymap.photo import DAMAGE, open_image

    try:
        with open_image(path) as image:
            image = image if image.mode in ("L", "P", "1") else image.convert("L")
            if image.mode == "1":
                image = image.convert("L")
            if image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.NEAREST)
            return np.asarray(image)
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as an image ({error}).") from None
