"""The bar store: daily bars of many symbols in Parquet files, one series per symbol, feed and adjustment."""
