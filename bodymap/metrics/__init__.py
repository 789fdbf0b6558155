"""Measures of quality as pure functions: each file one family, arrays in, numbers out, axis order written out.

* ``accuracy``: colour and geodesic windows, by part, region and layer; left and right
* ``similarity``: geodesic point similarity, average precision and recall
* ``segmentation``: mask IoU, leak and miss, boundary F
* ``landmarks``: the rule by which body landmarks judge a part map on photographs
* ``temporal``: matches between the frames of a video
* ``consistency``: measures without labels: mirrored photographs, the same person twice
* ``calibration``: how honest the confidence is
* ``image``: PSNR, SSIM, LPIPS
* ``exchange``: what an exchange of looks changed, left, and carried over
* ``paper``: the published numbers, as data
"""
