"""What runs is kept equal to what the config says: each part is started, changed and ended alone.

engines.py   captioners, each with its engine and its slots
cameras.py   cameras, each with its source
outputs.py   outputs, each with its courier
"""
