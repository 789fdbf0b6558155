"""Every table of the paper as a command: what is trained, how it is judged, the paper's numbers beside ours.

registry   the tables, their rows, and what each row trains (the one page to read)
running    one row after the other: train, judge, one JSON file each; a run that was stopped goes on
data       the pictures that all rows share
subjects   a row's network as something that maps pictures
measures   how a row is judged: pictures, given masks, sequences, a set of DensePose-COCO's format
baselines  networks of the paper's rivals: 24 charts with UV, a full-resolution embedding
charts     24 charts on our template
markdown   rows -> tables
figures    photograph | CSE | embedding | charts | ours
command    ``python -m bodymap.evaluate tables`` and ``figures``
"""
