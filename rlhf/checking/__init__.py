"""Look at people's feedback before anything is trained on it, and show what was understood.

`check.check_sources` reads, counts and measures and returns frozen results (`results`); `lines` writes them
for people, `document` for programs. Nothing here prints.
"""
