"""The machine: processes, files, network, parallel work."""
