"""The numbers of the BodyMap paper (Ianina et al., CVPR 2022), corrected by its supplement, in per cent.

They stand beside ours for orientation only: the paper's scans and its test sequences are not ours, so the data differ.
"""

from __future__ import annotations

# Windows of the 2D accuracy: largest channel difference of 255
WINDOWS: tuple[int, ...] = (5, 10, 20)

# 2D accuracy at the three windows: method -> (5, 10, 20)
ACCURACY_SYNTHETIC: dict[str, tuple[float, float, float]] = {
    "DensePose": (25.93, 46.10, 69.91),
    "CSE": (44.52, 67.51, 75.13),
    "RGB-only": (66.15, 73.81, 79.80),
    "BodyMap": (71.12, 79.73, 96.92),
}
ACCURACY_COCO: dict[str, tuple[float, float, float]] = {
    "DensePose": (49.23, 55.75, 59.71),
    "CSE": (58.10, 60.34, 64.14),
    "RGB-only": (61.18, 65.32, 68.52),
    "BodyMap": (65.34, 68.22, 73.88),
}

# Ablations, synthetic and DensePose-COCO: name -> ((5, 10, 20), (5, 10, 20))
Pair = tuple[tuple[float, float, float], tuple[float, float, float]]
BACKBONES: dict[str, Pair] = {
    "ResNet": ((45.12, 60.82, 79.12), (30.41, 55.67, 61.15)),
    "EffNet": ((51.22, 65.77, 82.19), (40.25, 61.17, 70.22)),
    "U-Net": ((68.42, 75.13, 94.19), (60.82, 65.74, 70.12)),
    "ViT": ((71.12, 79.73, 96.92), (65.34, 68.22, 73.88)),
}
LOSSES: dict[str, Pair] = {
    "L_cls": ((65.16, 71.52, 85.12), (49.37, 55.81, 59.14)),
    "+ L_sil": ((69.18, 75.32, 92.31), (54.12, 60.22, 62.17)),
    "+ L_geo": ((70.23, 78.71, 95.80), (61.83, 64.32, 68.17)),
    "+ L_con": ((71.12, 79.73, 96.92), (65.34, 68.22, 73.88)),
}

# Fine-tuning on DensePose-COCO: kind -> (5, 10, 20)
FINE_TUNING: dict[str, tuple[float, float, float]] = {
    "none": (40.51, 52.18, 55.22),
    "sparse": (56.12, 60.02, 63.15),
    "dense": (65.34, 68.22, 73.88),
}

# Average precision and recall over GPS thresholds
AP_COCO_COLUMNS: tuple[str, ...] = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
AP_COCO: dict[str, tuple[float, ...]] = {
    "AMA-net": (64.1, 91.4, 72.9, 71.6, 94.7, 79.8),
    "DensePose": (66.4, 92.9, 77.9, 71.9, 95.5, 82.6),
    "DensePose-DeepLab": (51.8, 83.7, 56.3, 61.1, 88.9, 66.4),
    "SimPose (RenderPeople)": (57.3, 88.4, 67.3, 66.4, 95.1, 77.8),
    "SimPose (SMPL)": (56.2, 87.9, 65.3, 65.2, 95.1, 75.2),
    "CSE": (67.0, 93.8, 78.6, 72.8, 96.4, 83.7),
    "CSE-DeepLab": (68.0, 94.1, 80.0, 74.3, 97.1, 85.5),
    "BodyMap RGB-only": (71.0, 94.3, 83.3, 75.2, 94.3, 86.1),
    "BodyMap": (75.2, 95.8, 89.7, 79.8, 97.3, 89.7),
}
AP_SYNTHETIC_COLUMNS: tuple[str, ...] = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
AP_SYNTHETIC: dict[str, tuple[float, ...]] = {
    "DensePose-DeepLab": (55.3, 85.6, 60.1, 48.3, 58.2, 66.8, 90.1, 68.2, 50.1, 66.1),
    "CSE-DeepLab": (72.8, 95.7, 84.2, 65.7, 73.1, 78.2, 97.3, 87.5, 67.2, 78.0),
    "BodyMap RGB-only": (75.3, 96.1, 89.2, 69.3, 75.2, 81.2, 97.4, 89.2, 70.3, 80.2),
    "BodyMap": (79.5, 97.8, 90.5, 72.3, 79.4, 85.3, 98.1, 92.5, 73.4, 84.5),
}

# Temporal consistency at frame intervals 1, 12, 120
INTERVALS: tuple[int, ...] = (1, 12, 120)
TEMPORAL: dict[str, tuple[float, float, float]] = {
    "DensePose": (77.79, 40.86, 16.32),
    "CSE": (85.55, 55.85, 18.93),
    "HumanGPS": (86.42, 65.19, 36.17),
    "BodyMap": (88.70, 74.01, 46.11),
}

# What else the paper says of its model
SECONDS_AT_1024 = 0.1  # about, on a V100
PARAMETERS = 600_000_000  # about
