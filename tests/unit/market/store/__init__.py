"""The bar store: series, files, and what can be wrong with them."""
