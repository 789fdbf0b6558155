"""Sets of our own in DensePose-COCO's format: written, read back, and judged, the truth getting full marks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.densepose import template_adapter
from support.mapped import correspondence
from support.pictures import template_sample

from bodymap import evaluate, predict
from bodymap.densepose import synthetic
from bodymap.densepose.annotations import read_annotations
from bodymap.densepose.charts import COARSE_OF_CHART, KAPPA_OF_CHART
from bodymap.densepose.iuv import iuv_of_map, read_iuv, write_iuv
from bodymap.densepose.scoring import MapDetection, pixel_of, point_errors
from bodymap.errors import UserError
from bodymap.evaluation import densepose
from bodymap.types import LAYER_NAMES

SIZE = (210, 132)


@pytest.fixture(scope="module")
def adapter():
    return template_adapter()


@pytest.fixture(scope="module")
def written(adapter, tmp_path_factory):
    """(folder, maps): two pictures, in the second a bystander and a carried thing; no noise."""
    folder = tmp_path_factory.mktemp("set")
    first, second = template_sample(0.0, SIZE), template_sample(2.0, SIZE)
    instance = second.instance.copy()
    instance[:40, :20] = 2
    layer = second.layer.copy()
    layer[:, : SIZE[1] // 2][second.foreground[:, : SIZE[1] // 2]] = LAYER_NAMES.index("carried")
    second = replace(second, instance=instance, layer=layer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "PER_PERSON", 24)  # geodesics of this fine a mesh take their time
        counts = synthetic.write_set(iter([first, second]), adapter, folder, seed=0, noise=0)
    assert counts[:2] == (2, 2)
    maps = [correspondence(0.0, SIZE), correspondence(2.0, SIZE)]
    return folder, maps


def test_the_file_reads_back(written, adapter):
    pictures = read_annotations(written[0] / "annotations.json")
    assert [len(p.people) for p in pictures] == [1, 2]
    person, half = pictures[0].people[0], pictures[1].people[0]
    assert 15 < len(person.truth.chart) <= 30
    assert pictures[1].people[1].truth is None and pictures[1].people[1].box == (0, 0, 20, 40)
    # what is carried is background
    assert half.box[0] >= SIZE[1] // 2 and not half.mask(SIZE)[:, : SIZE[1] // 2].any()
    mask, true = person.mask(SIZE), template_sample(0.0, SIZE).foreground
    assert (mask & true).sum() / (mask | true).sum() > 0.95
    # the coarse mask under each point is the point's own part
    grid = np.floor(person.truth.grid / 255 * 256).astype(int).clip(0, 255)
    agree = person.truth.coarse[grid[:, 1], grid[:, 0]] == np.array(COARSE_OF_CHART)[person.truth.chart]
    assert agree.mean() > 0.9


def test_truth_gets_full_marks(written, adapter):
    folder, maps = written
    for picture, found in zip(read_annotations(folder / "annotations.json"), maps, strict=True):
        person = picture.people[0]
        errors = point_errors(adapter, person, MapDetection(found))
        assert np.median(errors) < 0.001 and errors.max() < 0.02
        assert pixel_of(person, SIZE)[2].all()


def test_noise_is_as_large_as_it_should_be(adapter, monkeypatch, tmp_path):
    image = {"id": 1, "file_name": "1.jpg", "height": SIZE[0], "width": SIZE[1]}
    monkeypatch.setattr(synthetic, "PER_PERSON", 50)
    sample, found = template_sample(0.0, SIZE), MapDetection(correspondence(0.0, SIZE))
    entry = {"id": 1, "image_id": 1, **synthetic.annotate(sample, adapter, np.random.default_rng(0), 0.1)}
    (tmp_path / "a.json").write_text(json.dumps({"images": [image], "annotations": [entry]}))
    person = read_annotations(tmp_path / "a.json")[0].people[0]
    errors = point_errors(adapter, person, found) / np.array(KAPPA_OF_CHART)[person.truth.chart]
    # normal in the two directions of a plane: the median of the distance is sqrt(2 ln 2) standard deviations
    assert 0.08 < np.median(errors) < 0.16


def test_same_seed_same_set(adapter, tmp_path):
    sample = template_sample(0.0, SIZE)
    texts = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        synthetic.write_set(iter([sample]), adapter, tmp_path / name, seed, shift=True)
        picture = (tmp_path / name / "pictures" / "000000000001.jpg").read_bytes()
        texts.append(((tmp_path / name / "annotations.json").read_text(), picture))
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][1] != texts[2][1]


def test_too_little_to_see(adapter):
    sample = template_sample(0.0, SIZE)
    triangle = np.full_like(sample.triangle, -1)
    assert synthetic.annotate(replace(sample, triangle=triangle), adapter, np.random.default_rng(0)) is None


# ---------------------------------------------------------------------------------------------- the evaluation


def test_truth_through_the_whole_evaluation(written, adapter):
    folder, maps = written
    pictures = densepose.annotated(read_annotations(folder / "annotations.json"))
    by_name = dict(zip([p.file for p in pictures], maps, strict=True))
    detect = lambda picture, photo: [MapDetection(by_name[picture.file])]  # noqa: E731
    figures = densepose.evaluate_densepose(pictures, folder / "pictures", adapter, detect)
    assert figures["ap"]["gps part"]["AP"] == figures["ap"]["gps 0.255"]["AR"] == pytest.approx(1)
    assert figures["acc_rgb"]["5"] == pytest.approx(1, abs=0.02) and figures["background"] == 0
    first, second = figures["people"]
    assert first["mask_iou"] > 0.95 > second["mask_iou"]
    assert figures["ap"]["gpsm part"]["AP"] < 1
    text = densepose.densepose_report(figures, "toy")
    assert "| this, toy " in text and "Table 1" in text and "Table 3" in text


def test_nobody_found(written, adapter):
    pictures = read_annotations(written[0] / "annotations.json")
    figures = densepose.evaluate_densepose(pictures, written[0] / "pictures", adapter, lambda *_: [])
    assert figures["ap"]["gps part"]["AP"] == 0 and figures["background"] == 1 and figures["acc_rgb"]["20"] == 0


def test_command_on_foreign_detections(written, adapter, tmp_path, capsys):
    folder, maps = written
    adapter.save(tmp_path / "adapter.npz")
    detections = tmp_path / "detections"
    detections.mkdir()
    for number, found in enumerate(maps, start=1):
        write_iuv(iuv_of_map(adapter, found), detections / f"{number:012d}_iuv.png")
    arguments = ["densepose", str(folder / "annotations.json"), str(folder / "pictures")]
    arguments += ["--adapter", str(tmp_path / "adapter.npz"), "--detections", str(detections)]
    assert evaluate.main([*arguments, "--json", str(tmp_path / "f.json")]) == 0
    figures = json.loads((tmp_path / "f.json").read_text())["densepose"]
    assert figures["ap"]["gps part"]["AP"] > 0.95 and figures["acc_rgb"] is None
    assert len(figures["people"]) == 2 and figures["people"][0]["gps"]["part"] > 0.95
    assert "GPSm" in capsys.readouterr().out


def test_mistakes(written, adapter, tmp_path):
    folder = written[0]
    path = str(adapter.save(tmp_path / "adapter.npz"))
    annotations, pictures = str(folder / "annotations.json"), str(folder / "pictures")
    for arguments, says in (
        ([annotations, str(tmp_path / "none"), "--adapter", path], "no folder"),
        ([annotations, str(tmp_path), "--adapter", path], "2 of 2 pictures"),
        ([annotations, pictures, "--adapter", annotations], "no adapter"),
        ([annotations, pictures, "--adapter", path, "--detections", "none"], "no folder"),
        ([pictures, pictures, "--adapter", path], "no annotations"),
    ):
        with pytest.raises(UserError, match=says):
            evaluate.main(["densepose", *arguments])
    small = tmp_path / "small"
    small.mkdir()
    for name in ("000000000001.jpg", "000000000002.jpg"):
        Image.new("RGB", (32, 32)).save(small / name)
    with pytest.raises(UserError, match="measures 32 x 32"):
        evaluate.main(["densepose", annotations, str(small), "--adapter", path, "--detections", str(tmp_path)])
    with pytest.raises(UserError, match="--count"):
        synthetic.main(["--adapter", path, "-o", str(tmp_path / "set"), "--count", "0"])


def test_predict_format_iuv(adapter, tmp_path, monkeypatch):
    """With a known map in the network's place the command writes the picture that the map says."""
    from bodymap.predictor import BodyMap

    found = correspondence(0.0, SIZE)
    model = SimpleNamespace(predict=lambda photo, mask: found, template=adapter.template)
    monkeypatch.setattr(BodyMap, "from_pretrained", classmethod(lambda cls, *_, **__: model))
    photo = tmp_path / "one.png"
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(photo)
    path = str(adapter.save(tmp_path / "adapter.npz"))
    arguments = [str(photo), "-o", str(tmp_path / "out"), "--format", "iuv"]
    with pytest.raises(UserError, match="needs --adapter"):
        predict.main(arguments)
    with pytest.raises(UserError, match="only for --format iuv"):
        predict.main([*arguments[:-2], "--adapter", path])
    assert predict.main([*arguments, "--adapter", path]) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["one_iuv.png"]
    assert (read_iuv(tmp_path / "out" / "one_iuv.png") == iuv_of_map(adapter, found)).all()


def test_the_engine_itself(adapter, tmp_path):
    """A real picture of the engine: points inside the box."""
    synthetic.main(["--adapter", str(adapter.save(tmp_path / "a.npz")), "-o", str(tmp_path / "set"), "--count", "1",
                    "--size", "96"])  # fmt: skip
    for picture in read_annotations(tmp_path / "set" / "annotations.json"):
        for person in picture.people:
            if person.truth is not None:
                assert pixel_of(person, picture.size)[2].all() and len(person.truth.chart) > 5
