"""The zstd dictionaries that stored bodies are compressed with; `README.md` says how they were made."""
