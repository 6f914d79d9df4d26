"""What every room uses: files, seeds, hardware, logs, an OpenAI-compatible client."""
