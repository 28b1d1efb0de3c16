"""The sections of a report, one per file: findings to Markdown, tables and figures."""
