"""The notices: judged figures become alerts, each told once and with its cause."""
