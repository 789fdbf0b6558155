"""Swap: one person's appearance, or one garment of it, onto another person's photograph; no training needed.

python -m apps.swap SRC TGT -o out.png            # from the command line
from apps.swap.transfer import swap               # from Python
"""
