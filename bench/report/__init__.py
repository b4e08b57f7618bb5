"""The files a run leaves behind: JSON for programs, one HTML page for people."""
