"""Where items outgrow one database: the same predictions by Ray Data, from Parquet files to Parquet files."""
