"""One theorem a file; each module has `theorem()`, and is named after its conclusion."""
