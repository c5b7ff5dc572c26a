"""Every setting of every stage has an effect, and a table says how it is shown.

    python -m tests.settings.effects             # the list: setting, value, what the test shows
    python -m pytest tests/settings/effects      # shows it

An entry (`effect.Effect`) names a setting, another value for it, what to look at in a run and how that has
to differ. The machinery (`checking.check`) runs the stage on tiny models twice with the values of its baseline
and once with the other value, and fails where

- the settings of the runs differ in anything but the setting of the entry (`along`: what it cannot do without),
- what is looked at differs between the two equal runs (it is noise),
- it is the same with the other value (the setting is ignored), or differs in another way than the entry says.

To add a setting, add one line to the table of its stage (`of_<stage>.py`); `shared.py` makes the lines of the
sections that several stages have, `sources.py` those of a source of data. A setting without a line, and a line
without a setting, fail `test_list.py`.
"""
