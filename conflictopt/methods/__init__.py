"""Every method, one per file; the registry names them."""
