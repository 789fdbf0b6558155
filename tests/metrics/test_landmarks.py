"""The landmark rule, on part maps painted by hand."""

import math

import numpy as np
import pytest

from bodymap.metrics import landmarks
from bodymap.types import PART_NAMES

SIZE = 200  # the landmarks below span 100 % of it, so that the window's radius is 2 pixels


def figure():
    """Landmarks none of which counts, spanning the picture's whole height."""
    rows = np.zeros((33, 4))
    rows[:, 0] = 0.5
    rows[1, 1], rows[2, 1] = 0.0, 1.0
    return rows


def place(rows, index, x, y, visibility=1.0):
    rows[index] = ((x + 0.5) / SIZE, (y + 0.5) / SIZE, 0, visibility)
    return rows


def judge(part, rows):
    scores = landmarks.score_landmarks(part, rows)
    assert len(scores) == 1
    return scores[0]


def painted(name):
    return np.full((SIZE, SIZE), PART_NAMES.index(name), np.int16)


@pytest.mark.parametrize(
    ("index", "part", "right"),
    [
        (0, "head", True), (7, "neck", True), (8, "torso_front", False),
        (11, "left_upper_arm", True), (11, "right_upper_arm", False), (12, "torso_back", True),
        (11, "left_forearm", False),
        (13, "left_forearm", True), (14, "left_forearm", False), (13, "left_hand", False),
        (15, "left_hand", True), (16, "right_forearm", True), (15, "left_upper_arm", False),
        (19, "left_hand", True), (20, "right_forearm", False), (20, "left_hand", False),
        (23, "torso_front", True), (24, "right_thigh", True), (23, "right_thigh", False),
        (25, "left_shin", True), (26, "right_foot", False), (27, "left_foot", True), (28, "right_thigh", False),
        (31, "left_foot", True), (32, "left_foot", False), (31, "left_shin", False),
    ],
)  # fmt: skip
def test_parts_that_meet_at_a_joint(index, part, right):
    assert judge(painted(part), place(figure(), index, 100, 100)).right is right


def test_side_and_part_are_told_apart():
    score = judge(painted("right_forearm"), place(figure(), 13, 100, 100))
    assert (score.inside, score.part, score.side, score.right) == (True, True, False, False)
    score = judge(painted("torso_front"), place(figure(), 11, 100, 100))
    assert (score.side, score.right) == (None, True)


def test_what_does_not_count():
    part = painted("head")
    assert landmarks.score_landmarks(part, figure()) == []
    assert landmarks.score_landmarks(part, place(figure(), 0, 100, 100, 0.79)) == []
    assert len(landmarks.score_landmarks(part, place(figure(), 0, 100, 100, 0.8))) == 1
    for x, y in ((-1, 100), (SIZE, 100), (100, -1), (100, SIZE)):
        assert landmarks.score_landmarks(part, place(figure(), 0, x, y)) == []
    for index in (1, 9, 17, 21, 29):  # eyes, mouth, little finger, thumb, heel have no rule
        assert landmarks.score_landmarks(part, place(figure(), index, 100, 100)) == []


def test_outside_the_mask_is_wrong():
    part = painted("head")
    part[100, 100] = -1
    score = judge(part, place(figure(), 0, 100, 100))
    assert not score.inside and not score.right


def test_the_majority_of_the_window_decides():
    part = painted("left_hand")
    part[100, 100] = PART_NAMES.index("head")  # one pixel of 13
    assert judge(part, place(figure(), 19, 100, 100)).right
    part = painted("head")
    part[100, 99:102] = PART_NAMES.index("left_hand")
    assert not judge(part, place(figure(), 19, 100, 100)).right
    # background in the window has no vote
    part = np.full((SIZE, SIZE), -1, np.int16)
    part[100, 100] = PART_NAMES.index("left_hand")
    assert judge(part, place(figure(), 19, 100, 100)).right


def test_front_and_back_of_the_torso_vote_together():
    # 5 front + 4 back against 4 thigh: the torso has the majority, though no single label has more than front
    part = painted("right_thigh")
    part[100, 98:103] = PART_NAMES.index("torso_front")
    part[101, 99:102], part[102, 100] = PART_NAMES.index("torso_back"), PART_NAMES.index("torso_back")
    assert landmarks.majority_part(part, 100.5, 100.5, 2) == ("torso", None)
    part[100, 98:103] = PART_NAMES.index("right_thigh")
    assert landmarks.majority_part(part, 100.5, 100.5, 2) == ("thigh", "right")


def test_the_window_grows_with_the_person():
    part = painted("head")
    part[100, 100] = PART_NAMES.index("left_hand")
    rows = place(figure(), 19, 100, 100)
    assert not judge(part, rows).right
    rows[:, 1] = (100 + 0.5) / SIZE  # a person of no height: the landmark's own pixel
    assert judge(part, rows).right


def test_at_the_corner_of_the_picture():
    assert judge(painted("head"), place(figure(), 0, 0, 0)).right
    assert judge(painted("head"), place(figure(), 0, SIZE - 1, SIZE - 1)).right


def test_summary_and_flip():
    part = painted("right_forearm")
    rows = place(place(place(figure(), 13, 100, 100), 15, 100, 120), 14, 50, 50)
    scores = landmarks.score_landmarks(part, rows)
    assert landmarks.mostly_flipped(scores)  # two of three on the other side
    figures = landmarks.summary([scores, []])
    assert figures["landmarks"] == 3 and figures["score"] == pytest.approx(1 / 3)
    assert figures["part"] == 1 and figures["side"] == pytest.approx(1 / 3)
    assert figures["by_kind"] == {"elbow": 0.5, "wrist": 0.0}
    assert math.isnan(landmarks.summary([])["score"])


@pytest.mark.parametrize(
    ("shoulders", "hips", "view"),
    [(0.2, 0.1, "front"), (-0.2, -0.1, "back"), (0.03, 0.02, "side"), (0.2, -0.1, "side")],
)
def test_seen_from(shoulders, hips, view):
    rows = figure()
    rows[:, :2] = 0.5
    rows[11, 0] += shoulders / 2
    rows[12, 0] -= shoulders / 2
    rows[23, 0] += hips / 2
    rows[24, 0] -= hips / 2
    rows[[23, 24], 1] = 0.8
    assert landmarks.seen_from(rows) == view
