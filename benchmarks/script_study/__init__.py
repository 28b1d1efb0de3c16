"""``auto`` on scripts that people published, as they are."""
