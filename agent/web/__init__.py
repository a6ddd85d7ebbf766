"""The pages and the HTTP API: what happens at home, seen at a glance, searched, and used by other programs."""
