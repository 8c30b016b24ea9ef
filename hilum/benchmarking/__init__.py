"""Several encoders on several tasks, with several shares of labels and seeds: `hilum benchmark` and its facts.

`task_file` and `cells` say what is to be done, `work` does it, `leaderboard` and `cross` say what came out. What is
known of other people's encoders, and which collections of films share images, stands in `public_encoders` and
`xray_collections`.
"""
