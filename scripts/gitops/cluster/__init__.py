"""A cluster on AWS, from an empty account and back: stacks of CloudFormation, planned, made, told of and taken down."""
