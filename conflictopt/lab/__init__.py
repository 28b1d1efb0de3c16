"""Problems, studies and their statistics; no user of the library needs it."""
