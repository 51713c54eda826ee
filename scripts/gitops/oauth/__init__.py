"""42's OAuth secrets: they rotate every two weeks, and so do ours, through pull requests.

state       what each application's secret is at and what comes next: pure, a table
model       what git remembers of an application and its generations
page        what 42's application page says, read strictly
login       signing in to it by plain requests; browser: by a real one where it needs scripts
sources     where secrets come from: the page, or a person
observe     from git, GitHub and 42 to the facts that `state` decides on
rotate      fetch, verify, seal, propose
alerts      Slack, and numbers for Prometheus
"""
