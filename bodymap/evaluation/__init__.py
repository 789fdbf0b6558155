"""What ``python -m bodymap.evaluate`` is made of: pictures are judged, judgements summed up and set beside the paper's.

judge      one synthetic picture, compared with its truth; many of them as one dictionary
network    the network by itself on synthetic crops, also with its correspondence input taken away
synthetic  the two synthetic test sets
breaks     accuracy by what makes a picture hard, and the worst pictures
photos     folders of real photographs
report     dictionaries -> JSON and markdown tables
sheet      contact sheets
progress   how long it still takes
"""
