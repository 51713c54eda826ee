"""What may break a rule for a while: the files of policies/exceptions, and who is told when their time is over."""
