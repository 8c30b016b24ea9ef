"""Collections of films: one file (or folder) each, from a release as downloaded to our manifest.

The table lists, under the name a user types, the function that writes the data set. No torch is imported here.
"""

DATASETS = {"phantom": "hilum.datasets.phantom:write_phantom"}
