"""How the tables of each kind of task are read for comparison; `judgement.KINDS` says which reads which."""
