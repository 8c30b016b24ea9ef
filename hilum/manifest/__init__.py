"""The table of films: one row an image, Parquet or CSV, checked once at the door and from then on trusted.

The columns are those of `hilum.schema`. A CSV written by hand needs two of them, `image` and `patient_id`:
`image_id` defaults to the file's stem (to the path when stems repeat), `study_id` to the patient, `view_position`
and `split` to blank. A column that looks like one of ours under another name is refused, not ignored.
"""

from hilum.manifest.rules import same_patient
from hilum.manifest.split import assign_splits
from hilum.manifest.table import FILE_NAMES, Manifest

__all__ = ["FILE_NAMES", "Manifest", "assign_splits", "same_patient"]
