"""What every room uses: files, seeds, hardware, formatting, logs, an OpenAI-compatible client."""
