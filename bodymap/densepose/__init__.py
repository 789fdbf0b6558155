"""DensePose-COCO: its annotations, its charts on the SMPL body, and its evaluation, tied to our template.

charts       the 24 charts and their names; the user's UV_Processed.mat
mesh         the SMPL body as a plain mesh: closest points, geodesics, vertices brought into the table's order
adapter      IUV <-> SMPL <-> our template; ``python -m bodymap.densepose.adapter`` makes the file
rle          COCO's run-length masks
annotations  the annotation files
scoring      GPS, GPSm and mask IoU of detections and people, as the official evaluator computes them
iuv          IUV pictures and what detectron2 writes, read and written
synthetic    people of our engine in the same format; ``python -m bodymap.densepose.synthetic``

Nothing of DensePose or SMPL ships with this project: both belong to others, and a user brings the files.
"""
