"""The platform's one command, `gitops`, and what it is made of."""
