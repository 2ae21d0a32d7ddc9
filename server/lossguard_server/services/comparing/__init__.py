"""Two to eight stored runs beside each other: where they part, what is better, what is different, what to do."""
