"""Points as they lie when the rules have seen them: parts of a series, their chunks, and the pyramid above."""
