"""The stream: records become bounded, judged figures."""
