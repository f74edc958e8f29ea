"""Options and arguments of commands: the same name and meaning in each."""
