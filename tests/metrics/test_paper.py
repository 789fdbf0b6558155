"""The paper's numbers: the rows that appear twice must agree."""

from bodymap.metrics import paper


def test_the_full_method_is_the_same_in_every_table():
    full = paper.ACCURACY_SYNTHETIC["BodyMap"], paper.ACCURACY_COCO["BodyMap"]
    assert full == ((71.12, 79.73, 96.92), (65.34, 68.22, 73.88))
    assert paper.LOSSES["+ L_con"] == paper.BACKBONES["ViT"] == full
    assert paper.FINE_TUNING["dense"] == full[1]


def test_rows_fit_their_columns_and_rise_with_the_window():
    for row in (*paper.ACCURACY_SYNTHETIC.values(), *paper.ACCURACY_COCO.values()):
        assert len(row) == len(paper.WINDOWS) and list(row) == sorted(row)
    assert all(len(row) == len(paper.AP_COCO_COLUMNS) for row in paper.AP_COCO.values())
    assert all(len(row) == len(paper.AP_SYNTHETIC_COLUMNS) for row in paper.AP_SYNTHETIC.values())
    assert all(list(row) == sorted(row, reverse=True) for row in paper.TEMPORAL.values())
