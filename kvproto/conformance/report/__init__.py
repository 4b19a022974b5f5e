"""What a run of the kit says, for people and for machines: one module for each form."""
