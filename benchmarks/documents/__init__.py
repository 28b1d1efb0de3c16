"""Parts of documents that are made from records: tables, numbers, figures, whole files."""
