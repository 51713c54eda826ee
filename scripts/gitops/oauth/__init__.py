"""42's OAuth secrets: they rotate every two weeks, and so do ours, through pull requests.

state       what each application's secret is at and what comes next: pure, a table
model       what git remembers of an application and its generations
page        what 42's application page says, read where it can be read in one way alone
blocks      which value stands in which credential's block; dates: whose a date is, and whether it can be meant
layout      what is left of a page without its values; record: as a file; issue: what differs, told on GitHub
login       signing in to it by plain requests; browser: by a real one where it needs scripts
answers     what 42 shows instead of what was asked for, and the reason that each is
sources     where secrets come from: the page, or a person
observe     from git, GitHub and 42 to the facts that `state` decides on
rotate      fetch, verify, seal, propose
doctor      all that a rotation needs, tried one by one
alerts      Slack, and numbers for Prometheus
"""
