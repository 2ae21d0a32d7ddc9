"""One run as a report: gathered from the stores into a record, and pages that are functions of that record."""
