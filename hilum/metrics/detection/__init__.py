"""Are the boxes where the findings are? COCO's averages, free-response ROC, and intervals by patients.

`tables` reads the two tables that everything starts from, `matching` says which found box hits which true one,
`weighted` scores images that count several times (a bootstrap replicate), `coco` is the field's own evaluation, `froc`
sensitivity against false positives an image, and `bootstrap` the intervals.
"""
