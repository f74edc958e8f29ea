"""What the figures of README and docs come from: each benchmark is one command."""
