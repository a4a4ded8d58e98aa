"""This machine: processes, files, the network, work done in parallel."""
