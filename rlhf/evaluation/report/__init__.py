"""The report: what the stages made, measured on unseen prompts, as numbers, a console table and a page.

- `stage_runs`: read what a stage left in its folder
- `answers`: let a model answer, and have the answers scored and judged
- `numbers`: means, win rates and intervals of the answers
- `summary`: all numbers together (``summary.json``) and as a table on the console
- `curves`, `figures`: which metrics are drawn, and the drawing (SVG)
- `markup`, `style`: pieces of HTML
- `sections`, `measures`, `examples`, `page`: the page
"""
