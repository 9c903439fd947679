"""One sweep worked off: its file, its images, its server, its progress."""
