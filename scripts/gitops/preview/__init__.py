"""What a change does to every Application, object by object and field by field."""
