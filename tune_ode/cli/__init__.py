"""The command line: commands, their options, what names in them stand for, what they print."""
