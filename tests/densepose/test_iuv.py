"""IUV pictures and foreign detections: written and read back, laid into the picture, damage told."""

import numpy as np
import pytest
from PIL import Image
from support.densepose import strip_adapter, template_adapter
from support.mapped import correspondence, positions

from bodymap.densepose.iuv import ChartDetection, VertexDetection, iuv_of_map, read_detection, read_iuv, write_iuv
from bodymap.densepose.scoring import box_of
from bodymap.errors import UserError
from bodymap.types import Correspondence


def test_a_map_as_iuv_leads_back_to_its_places(tmp_path):
    adapter, c = template_adapter(), correspondence(0.5, (210, 132))
    iuv = iuv_of_map(adapter, c)
    assert ((iuv[..., 0] > 0) == c.mask).all() and (iuv[~c.mask] == 0).all()
    path = write_iuv(iuv, tmp_path / "a.png")
    # DensePose's own tools read I first, in OpenCV's order of channels: blue in the file
    assert (np.array(Image.open(path))[..., 2] == iuv[..., 0]).all()
    detection = read_detection(path, c.size)
    row, column = np.nonzero(c.mask)
    back = adapter.body.position(detection.smpl(adapter, row, column))
    error = np.linalg.norm(back - positions(c), axis=1)
    # a 255th of the atlas is up to a centimetre; a few pixels at borders of charts leap
    assert np.median(error) < 0.006 and (error > 0.03).mean() < 0.01


def test_nobody_gives_an_empty_picture():
    assert not iuv_of_map(template_adapter(), Correspondence.empty((8, 9))).any()


def test_either_order_of_channels_is_read(tmp_path):
    iuv = np.zeros((20, 30, 3), np.uint8)
    iuv[5:9, 4:20] = 24, 200, 100
    for name, picture in (("cv", iuv[..., ::-1]), ("plain", iuv)):
        Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"{name}.png")
        assert (read_iuv(tmp_path / f"{name}.png") == iuv).all()
    Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(UserError, match="no IUV"):
        read_iuv(tmp_path / "photo.png")
    with pytest.raises(UserError, match="measures 30 x 20"):
        read_detection(tmp_path / "cv.png", (30, 20))


def test_chart_results_are_laid_into_their_box(tmp_path):
    labels = np.array([[2, 0], [2, 3]], np.uint8)
    uv = np.stack([np.full((2, 2), 0.25), np.full((2, 2), 0.5)])
    np.savez(tmp_path / "a.npz", labels=labels, uv=uv, box=[3.7, 9.0, 2, 2], score=0.75)
    found = read_detection(tmp_path / "a.npz", (10, 20))
    # the lower row lies below the picture
    assert np.argwhere(found.mask).tolist() == [[9, 3]] and found.score == 0.75
    assert found.box == (3, 9, 1, 1) and found.uv[9, 3].tolist() == [0.25, 0.5]
    quantised = np.concatenate([labels[None], np.full((2, 2, 2), 51, np.uint8)])
    np.savez(tmp_path / "b.npz", labels_uv_uint8=quantised, box=[0, 0, 2, 2])
    found = read_detection(tmp_path / "b.npz", (10, 20))
    assert found.chart[:2, :2].tolist() == labels.tolist() and np.allclose(found.uv[0, 0], 0.2)
    place = strip_adapter().body.position(found.smpl(strip_adapter(), np.array([1]), np.array([1])))
    assert np.allclose(place, [[1.2, 0.02, 0]])


def test_vertices_of_cse(tmp_path):
    np.savez(tmp_path / "a.npz", vertex=np.array([[5, -1]]), box=[1, 2, 2, 1], score=0.5)
    found = read_detection(tmp_path / "a.npz", (4, 4))
    assert isinstance(found, VertexDetection) and np.argwhere(found.mask).tolist() == [[2, 1]]
    adapter = strip_adapter()
    assert np.allclose(adapter.body.position(found.smpl(adapter, *np.nonzero(found.mask))), adapter.vertices[5])


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.full((4, 4), 25), "uv": np.zeros((2, 4, 4))},
        {"labels": np.full((4, 4), 2), "uv": np.zeros((2, 4, 5))},
        {"labels": np.full((4, 4), 2), "uv": np.full((2, 4, 4), np.nan)},
        {"labels": np.full((4, 4), 2)},
        {"vertex": np.zeros((3, 4), int)},
        {"labels": np.full((4, 4), 2), "uv": np.zeros((2, 4, 4)), "box": [1, 2]},
    ],
)
def test_damage_is_told(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError):
        read_detection(tmp_path / "a.npz", (4, 4))
    with pytest.raises(UserError, match="no detection"):
        read_detection(tmp_path / "b.npz", (4, 4))


def test_boxes():
    mask = np.zeros((9, 9), bool)
    assert box_of(mask) == (0, 0, 0, 0)
    mask[2:5, 3:8] = True
    assert box_of(mask) == ChartDetection(mask.astype(np.uint8), np.zeros((9, 9, 2))).box == (3, 2, 5, 3)
