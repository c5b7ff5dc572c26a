"""Look at people's feedback before anything is trained on it: what was understood, shown so that a person sees it.

`check.check_sources` reads, counts and measures and returns frozen results (`results`); `lines` writes them
for people, `document` for programs. Nothing here prints.
"""
