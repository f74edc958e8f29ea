"""Load runs, rank their trials, draw plots and write reports; needs neither torch nor Ray."""
