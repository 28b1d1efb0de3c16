"""Methods against plain Adam at equal CPU time, from the records of a study."""
