"""From a folder of films to a prepared data folder: what `hilum prepare` does.

The name differs from the verb's because `hilum.prepare` is the verb's function.
"""

from hilum.ingest.run import Prepared, prepare_folder

__all__ = ["Prepared", "prepare_folder"]
