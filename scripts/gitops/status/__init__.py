"""What needs a person today: their services, at a glance (`gitops`) or in full (`gitops status`).

mine      whose the services are: an option, a setting, git's own settings, GitHub's teams
here      what this checkout says without asking anybody
changes   what origin's main has not, and what the check finds in it
asked     a question that has a short time for its answer, and why it has none
remote    GitHub's pull requests, and what runs
overview  all of it put together
full      what takes longer: registries, 42's rotations, the check
"""
