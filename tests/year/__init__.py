"""A year of the platform in minutes: the real bots on a simulated clock, and a program that counts what came of it.

`clock` says what time it is, `plan` what happens to the platform, `world` what there is (the fakes of tests/fakes and a
clone), `actions` what GitHub starts when, `cluster` what Argo CD and the controller make of main, `people` what
people do, `score` counts, `drawing` draws. `simulation` runs one: `python -m tests.year` is `make year`.
"""
